"""How the LM that writes instructions answered, where DSPy only logs that it did not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dspy.utils.exceptions import AdapterParseError, LMError

from ner_programs.prompts.adapter import refusal
from optimizers._dspy.teleprompter import Ended
from optimizers.search import Search

FAILURES = 6
"""So often it may fail before its first answer."""


class WriterFailures:
    """Counts failures, and keeps what the last was: of a call, of reading, or that nothing was said.

    Who asks counts what is `answered`.
    """

    def __init__(self) -> None:
        self.answered = self.failed = 0
        self.failure = ""

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note what goes wrong in the block (a ValueError: the answer was empty); a wrong set-up of the LM ends the run."""
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
        """Say in a trial of the first program that nothing was ever written, if it was asked for."""
        sample = search.sample(1)
        if self.failure and not self.answered and search.affords(search.program, sample):
            search.score(search.program, {"no instruction was written": self.failure}, sample)
