"""The user's cache folder. Nothing else is written outside the folders that a user names."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def folder() -> Path:
    """Return nerc's folder in the user's cache, or NERC_CACHE. Only the user can read it."""
    place = Path(os.environ.get("NERC_CACHE") or platformdirs.user_cache_dir("nerc")).absolute()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place
