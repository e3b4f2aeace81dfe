"""Files that anybody may have made are read: ordinary ones only, never through a link, no larger than expected.

What is wrong with one is said in one line. Our own are written whole or not at all.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from kb.errors import NercError

Digits = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


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


def problem(error: ValueError) -> str:
    """Return what a schema, or the reading of a file, has to say: the place and kind of the first error, in one short line."""
    said = str(error)
    if isinstance(error, ValidationError):
        first: Any = error.errors(include_url=False, include_input=False)[0]
        said = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in said)
    return line if len(line) <= 300 else f"{line[:200]} ... {line[-90:]}"


@contextmanager
def draft_of(file: Path, mode: int = 0o666) -> Iterator[Path]:
    """Give a path to write to, which takes the place of `file` when the block is done; if the block fails, nothing changes.

    `mode` is what the draft may be used for from its first byte on, less the user's mask.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}.draft")
    try:
        draft.touch(mode)
        yield draft
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
