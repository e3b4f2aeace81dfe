"""Which files were read throughout and found whole: remembered in the user's cache, one empty file for each.

A file is known by its header, device, inode, size and time of change, so whatever is written to it is looked at anew.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from kb import cache
from kb._digest import digest

_SETTLED = 2.0  # seconds: of a file that changed a moment ago the time says too little


def is_known(about: os.stat_result, header: bytes) -> bool:
    """Whether this file, with this header, is remembered."""
    try:
        return _mark(about, header).is_file()
    except OSError:
        return False


def remember(about: os.stat_result, header: bytes) -> None:
    """Remember a file; without a cache to write to it is read again the next time."""
    if time.time() - about.st_mtime < _SETTLED:
        return
    try:
        mark = _mark(about, header)
        mark.parent.mkdir(mode=0o700, exist_ok=True)
        mark.touch(mode=0o600)
    except OSError:
        pass


def _mark(about: os.stat_result, header: bytes) -> Path:
    known = f"{digest(header)} {about.st_dev} {about.st_ino} {about.st_size} {about.st_mtime_ns}"
    return cache.folder() / "verified" / digest(known.encode())
