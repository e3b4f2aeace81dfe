"""Fetches public corpora: the files in `pins.toml`, each checked against its pinned SHA-256.

A file appears under its name only when it is complete and correct. Correct files are not fetched again, so an interrupted fetch
resumes. NERC_CORPORA_URL names a mirror of the public host; it must serve `<repository>/<commit>/<path>`.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from experiments.errors import ReadError
from kb.files import draft_of

HOST = "https://raw.githubusercontent.com"
_PIECE = 1 << 16


@dataclass(frozen=True)
class Pin:
    """A file: its path below `corpora` of the data directory, its address below the host, its SHA-256 and its size."""

    path: str
    address: str
    sha256: str
    size: int


@cache
def _sources() -> tuple[tuple[tuple[str, ...], tuple[Pin, ...]], ...]:
    text = resources.files("experiments.corpora").joinpath("pins.toml").read_text(encoding="utf-8")
    return tuple((tuple(source["corpora"]), tuple(_pins(source))) for source in tomllib.loads(text)["source"])


def _pins(source: dict[str, Any]) -> Iterator[Pin]:
    for name, path, digest, size in source["files"]:
        address = quote(f"{source['repository']}/{source['commit']}/{path}")
        yield Pin(f"{source['folder']}/{name}", address, digest, size)


def names() -> tuple[str, ...]:
    """Return the names of the corpora that can be fetched."""
    return tuple(sorted({name for corpora, _ in _sources() for name in corpora}))


def pins(name: str) -> tuple[Pin, ...]:
    """Return the files of a corpus; none if it cannot be fetched."""
    return tuple(pin for corpora, files in _sources() if name in corpora for pin in files)


def missing(files: tuple[Pin, ...], data: Path) -> tuple[Pin, ...]:
    """Return the files that are missing in the data directory. Raises ReadError if a different file has such a name."""
    lacking = []
    for pin in files:
        file = data / "corpora" / pin.path
        if not file.exists():
            lacking.append(pin)
        elif not file.is_file() or _digest(file) != pin.sha256:
            raise ReadError(
                f"{file}: another version of the file is there; it was left alone: move it away, or use --data"
            )
    return tuple(lacking)


def fetch(files: tuple[Pin, ...], data: Path, tick: Callable[[], None] = lambda: None) -> None:
    """Fetch files in order into the data directory; `tick` is called after each.

    Raises ReadError if the host cannot be reached, refuses, or sends a different file. The files before that one stay.
    """
    host = (os.environ.get("NERC_CORPORA_URL") or HOST).rstrip("/")
    for pin in files:
        file = data / "corpora" / pin.path
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft_of(file) as draft:
                _download(f"{host}/{pin.address}", draft, pin)
        finally:
            with suppress(OSError):  # non-empty folders and their parents stay
                for folder in (folder for folder in file.parents if data in folder.parents):
                    folder.rmdir()
        tick()


def _download(address: str, draft: Path, pin: Pin) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with urlopen(Request(address, headers={"User-Agent": "nerc"}), timeout=60) as answer, draft.open("wb") as out:
            while size <= pin.size and (piece := answer.read(_PIECE)):
                out.write(piece)
                digest.update(piece)
                size += len(piece)
    except HTTPError as error:
        raise ReadError(f"{address}: the host answered {error.code} {error.reason}; nothing was written") from None
    except (OSError, HTTPException, ValueError) as error:  # ValueError: the mirror is not a valid address
        why = getattr(error, "reason", None) or error
        raise ReadError(
            f"{address}: cannot be fetched ({why}); what came before it stays, so try again with a network, or copy the "
            f"file to {draft.parent}"
        ) from None
    if (size, digest.hexdigest()) != (pin.size, pin.sha256):
        what = "cut short" if size < pin.size else "not the file that is pinned: its SHA-256 is another one"
        raise ReadError(f"{address}: what came is {what} ({size} of {pin.size} bytes read); nothing was written")


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
