"""How the LM that writes instructions answered, where DSPy only logs that it did not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dspy.utils.exceptions import AdapterParseError, LMError

from ner_programs.adapter import refusal
from optimizers._teleprompter import Ended

FAILURES = 6
"""So often it may fail in a row before the first answer."""


class Asked:
    """Counts answers, and keeps the last failure: a call that failed, or an answer that could not be read."""

    def __init__(self) -> None:
        self.answered = self.failed = 0
        self.failure: LMError | AdapterParseError | None = None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note how the block went; what is wrong with the LM's set-up ends the run."""
        try:
            yield
        except (LMError, AdapterParseError) as error:
            if isinstance(error, LMError) and (setup := refusal(error)):
                raise Ended(setup) from None
            self.failed, self.failure = self.failed + 1, error
            raise
        self.answered += 1

    def hopeless(self, _: object = None) -> bool:
        """Return whether there is no point in asking again."""
        return not self.answered and self.failed >= FAILURES

    def complain(self) -> None:
        """Raise the last failure if nothing was ever answered."""
        if self.failure is not None and not self.answered:
            raise self.failure
