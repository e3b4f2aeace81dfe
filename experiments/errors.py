"""What can go wrong with what a researcher hands in: one line each, naming the file and line or the option."""

from __future__ import annotations

import traceback
from pathlib import Path

from ner_programs import NercError

LONGEST = 600  # characters of a message


class ReadError(NercError):
    """A corpus cannot be read as it is. The message never quotes the corpus: its texts may be private.

    It is one line, cut where it is long, for names that it does quote (labels, ids, columns) are what a damaged file says.
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
    """A spec, or a change to it on the command line, says something that is not understood."""


class TrackingError(NercError):
    """A run that was asked for is not in the store, or does not hold what is needed."""


def said(error: Exception) -> str | None:
    """Return the one line to print: our own message, or which file the system refused; None for a fault of nerc."""
    if isinstance(error, NercError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return None


def reason(error: Exception) -> str:
    """Return why a run failed, in one line without any text of a corpus: what a user can mend, or the kind of fault."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return said(error) or f"{type(error).__name__}{where}, a fault of nerc"
