"""What a user can mend, said in one line that names the file and line, or the option and what there is.

NercError is the base in every package; it stands here because nothing lies below `kb`.
"""

from __future__ import annotations

from pathlib import Path


class NercError(ValueError):
    """Base of the errors that name what to mend; the command line prints them in one line and exits with 2."""


class KnowledgeError(NercError):
    """A source, a folder or an option of the knowledge base cannot be used as it is; the message says why."""


class UnknownConceptError(KnowledgeError, KeyError):
    """An id that the knowledge base does not hold."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote it


def at(path: Path, line: int, message: str) -> KnowledgeError:
    """The error `path:line: message`; lines count from 1, as editors do."""
    return KnowledgeError(f"{path}:{line}: {message}")
