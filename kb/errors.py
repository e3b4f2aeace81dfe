"""Errors that a user can fix. Each message is one line with the file and line, or with the option and its valid values.

NercError is the base in every package. It is defined here because `kb` imports no other package.
"""

from __future__ import annotations

from pathlib import Path


class NercError(ValueError):
    """Base of all errors that a user can fix. The command line prints them in one line and exits with code 2."""


class KnowledgeError(NercError):
    """A source, a folder or an option of the knowledge base is not usable; the message gives the reason."""


class UnknownConceptError(KnowledgeError, KeyError):
    """An id that is not in the knowledge base."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote it


def at(path: Path, line: int, message: str) -> KnowledgeError:
    """Return the error `path:line: message`. Lines count from 1, as in editors."""
    return KnowledgeError(f"{path}:{line}: {message}")
