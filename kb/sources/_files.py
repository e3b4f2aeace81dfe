"""Reads text files, gzipped or not, line by line. Errors name file and line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from kb.errors import KnowledgeError, at


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield numbered lines (from 1) without line ends, of UTF-8 text; gzipped if the name ends in `.gz`.

    Only LF and CRLF end a line. Raises KnowledgeError if the file is missing, not UTF-8 or truncated.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise at(path, number, f"not UTF-8 ({error.reason})") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise at(path, number + 1, f"the packed file is damaged or cut short ({error})") from None
    except FileNotFoundError:
        raise KnowledgeError(f"{path}: no such file") from None
    except OSError as error:
        raise KnowledgeError(f"{path}: cannot be read ({error.strerror or error})") from None
