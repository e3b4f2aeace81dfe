"""Failures of the LM that writes instructions. DSPy itself only logs them and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dspy.utils.exceptions import AdapterParseError, LMError

from ner_programs.prompts.asking import refusal
from optimizers._dspy.teleprompter import Ended
from optimizers.search import Search

FAILURES = 6
"""Number of failures without any answer after which asking again is pointless."""


class WriterFailures:
    """Counts failures and keeps the kind of the last one: a failed call, an unreadable answer, or an empty one.

    The caller counts the answers in `answered`.
    """

    def __init__(self) -> None:
        self.answered = self.failed = 0
        self.failure = ""

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Count an error of the block (ValueError: an empty answer) and raise it again. A wrong LM set-up ends the run."""
        try:
            yield
        except (LMError, AdapterParseError, ValueError) as error:
            if isinstance(error, LMError) and (setup := refusal(error)):
                raise Ended(setup) from None
            self.failed += 1
            self.failure = "empty" if isinstance(error, ValueError) else type(error).__name__
            raise

    def hopeless(self, _: object = None) -> bool:
        """Return whether there is no point in asking again."""
        return not self.answered and self.failed >= FAILURES

    def report(self, search: Search) -> None:
        """Report a trial of the initial program with the failure, if the LM was asked and never answered."""
        sample = search.sample(1)
        if self.failure and not self.answered and search.affords(search.program, sample):
            search.score(search.program, {"no instruction was written": self.failure}, sample)
