"""Reading files that anybody may have made: ordinary ones only, never through a link, no larger than expected."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from kb._errors import NercError


class UnfitFile(NercError):
    """A file that is not read: it is missing, a link, a device, or too large. The message is about it, without its name."""


def opened(path: Path, most: int) -> BufferedReader:
    """Open an ordinary file of at most so many bytes to read. Raises UnfitFile."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        told = {errno.ELOOP: "it is a symbolic link, which is not followed", errno.ENOENT: "it is missing"}
        raise UnfitFile(told.get(error.errno or 0, f"it cannot be read: {error.strerror}")) from None
    about = os.fstat(descriptor)
    if stat.S_ISREG(about.st_mode) and about.st_size <= most:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISREG(about.st_mode):
        raise UnfitFile(f"it has {about.st_size} bytes, more than the {most} that it may have")
    raise UnfitFile("it is no ordinary file")


def content(path: Path, most: int) -> bytes:
    """Read an ordinary file of at most so many bytes. Raises UnfitFile."""
    with opened(path, most) as file:
        return file.read(most)
