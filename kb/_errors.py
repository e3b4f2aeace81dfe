"""What can go wrong with knowledge, said in one line that names the file and line, or the option and what there is."""

from __future__ import annotations

from pathlib import Path


class KnowledgeError(ValueError):
    """A source, a folder or an option of the knowledge base cannot be used as it is; the message says why."""


class UnknownConceptError(KnowledgeError, KeyError):
    """An id that the knowledge base does not hold."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote it


def at(path: Path, line: int, message: str) -> KnowledgeError:
    """The error `path:line: message`; lines count from 1, as editors do."""
    return KnowledgeError(f"{path}:{line}: {message}")
