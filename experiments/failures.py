"""The errors that a user can mend: the command line prints them in one line and exits with 2."""

from experiments._errors import ReadError, SpecError, TrackingError
from kb._errors import KnowledgeError
from ner_programs import NercError

USER_ERRORS = (KnowledgeError, NercError, ReadError, SpecError, TrackingError)


def said(error: Exception) -> str | None:
    """Return the one line to print: our own message, or which file the system refused; None for a fault of nerc."""
    if isinstance(error, USER_ERRORS):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return None
