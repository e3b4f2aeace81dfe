"""What can go wrong with what a researcher hands in: one line each, naming the file and line or the option."""

from __future__ import annotations

from pathlib import Path


class ReadError(ValueError):
    """A corpus cannot be read as it is. The message never quotes the corpus: its texts may be private."""

    @classmethod
    def at(cls, path: Path, line: int, message: str) -> ReadError:
        """Return the error for a line (numbered from 1) of a file."""
        return cls(f"{path}:{line}: {message}")
