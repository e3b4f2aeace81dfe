"""The errors that a user can mend: the command line prints them in one line and exits with 2."""

from experiments._errors import ReadError, SpecError, TrackingError
from kb._errors import KnowledgeError
from ner_programs import NercError

USER_ERRORS = (KnowledgeError, NercError, ReadError, SpecError, TrackingError)
