"""Packed files: what `.gz` and `.zst` hold, read as a stream of bytes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

from experiments.errors import ReadError

PACKED = (".gz", ".zst")


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to read its bytes, unpacked where its suffix is one of PACKED. Raises ReadError for a damaged one."""
    if path.suffix.lower() not in PACKED:
        with path.open("rb") as stream:
            yield stream
        return
    try:
        with _stream(path) as stream:
            yield stream
    except (EOFError, OSError, zlib.error):  # both libraries raise OSError for what is not packed as they expect
        raise ReadError(f"{path}: it cannot be unpacked") from None


def bare(path: Path) -> Path:
    """Return the path without a suffix that says how the file is packed."""
    return path.with_suffix("") if path.suffix.lower() in PACKED else path


def _stream(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    import pyarrow  # Python 3.11 has no zstd of its own

    return BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))
