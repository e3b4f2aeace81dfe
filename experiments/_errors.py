"""What can go wrong with what a researcher hands in: one line each, naming the file and line or the option."""

from __future__ import annotations

from pathlib import Path


class ReadError(ValueError):
    """A corpus cannot be read as it is. The message never quotes the corpus: its texts may be private."""

    @classmethod
    def at(cls, path: Path, line: int, message: str) -> ReadError:
        """Return the error for a line (numbered from 1) of a file."""
        return cls(f"{path}:{line}: {message}")


class SpecError(ValueError):
    """A spec, or a change to it on the command line, says something that is not understood."""


class TrackingError(ValueError):
    """A run that was asked for is not in the store, or does not hold what is needed."""
