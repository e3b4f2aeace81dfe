"""Reads files from untrusted origins safely, and writes files atomically.

Only regular files are read, never through a symbolic link, and none larger than expected. Error messages are one line.
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
    """A file that is not read: missing, a link, a device, or too large. The message does not name the file."""


def opened(path: Path, most: int) -> BufferedReader:
    """Open a regular file of at most `most` bytes for reading. Raises UnfitFile."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        known = {errno.ELOOP: "it is a symbolic link, which is not followed", errno.ENOENT: "it is missing"}
        raise UnfitFile(known.get(error.errno or 0, f"it cannot be read: {error.strerror}")) from None
    about = os.fstat(descriptor)
    if stat.S_ISREG(about.st_mode) and about.st_size <= most:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISREG(about.st_mode):
        raise UnfitFile(f"it has {about.st_size} bytes, more than the {most} that it may have")
    raise UnfitFile("it is no ordinary file")


def content(path: Path, most: int) -> bytes:
    """Read a regular file of at most `most` bytes. Raises UnfitFile."""
    with opened(path, most) as file:
        return file.read(most)


def problem(error: ValueError) -> str:
    """Return the first error of a schema, or of reading a file, in one short line with its place."""
    message = str(error)
    if isinstance(error, ValidationError):
        first: Any = error.errors(include_url=False, include_input=False)[0]
        message = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)
    return line if len(line) <= 300 else f"{line[:200]} ... {line[-90:]}"


@contextmanager
def draft_of(file: Path, mode: int = 0o666) -> Iterator[Path]:
    """Yield a path to write to, which replaces `file` when the block ends. If the block fails, `file` stays as it was.

    `mode` are the permissions of the draft from its creation on, without the bits of the user's mask.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}.draft")
    try:
        draft.touch(mode)
        yield draft
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
