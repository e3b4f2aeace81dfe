"""The errors that a user can mend: the command line prints them in one line and exits with 2."""

import traceback
from pathlib import Path

from ner_programs import NercError


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
