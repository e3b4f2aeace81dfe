"""Errors in a user's input. Each message is one line that names the file and line, or the option."""

from __future__ import annotations

import traceback
from pathlib import Path

from ner_programs import NercError

LONGEST = 600  # characters of a message


class ReadError(NercError):
    """A corpus cannot be read. The message never quotes the corpus's texts: it may be logged.

    The message is one line of limited length: names in it (labels, ids, columns) may come from a damaged file.
    """

    def __init__(self, message: str) -> None:
        line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)
        super().__init__(line if len(line) <= LONGEST else f"{line[: LONGEST - 100]} ... {line[-90:]}")

    @classmethod
    def at(cls, path: Path, line: int, message: str) -> ReadError:
        """Return the error for a line (numbered from 1) of a file."""
        return cls(f"{path}:{line}: {message}")


class WriteError(NercError):
    """A document cannot be written in a file format. The message names its id and never quotes it."""


class SpecError(NercError):
    """A spec, or a change to it on the command line, is invalid."""


class WorkerError(NercError):
    """A process that annotates ended before its work was done. What was found until then is kept."""


class TrackingError(NercError):
    """A run is not in the store, or lacks what is needed."""


def one_line(error: Exception) -> str | None:
    """Return the line to print for an error: our own message, or the system's error on a file; None for a bug in nerc."""
    if isinstance(error, NercError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return None


def reason(error: Exception) -> str:
    """Return why a run failed, in one line without text of a corpus: the user's error, or the type of the bug."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return one_line(error) or f"{type(error).__name__}{where}, a fault of nerc"
