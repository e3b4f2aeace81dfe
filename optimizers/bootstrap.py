"""Demonstrations from the program's own right answers on train (dspy.BootstrapFewShot), filled up with labelled ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated

import dspy
from pydantic import Field

from ner_programs.errors import BudgetError
from ner_programs.lms.metered import BudgetSpent
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._draws import interleaved
from optimizers._dspy.teleprompter import Right, mended, run, student, trainset
from optimizers.search import Search
from optimizers.trial import Compilation

TRIES = 4
"""Texts answered for each demonstration that is wanted, at most."""


class Bootstrap:
    """Uses up to `bootstrapped` own right answers, and labelled demonstrations up to `k` in all."""

    def __init__(self, k: int, bootstrapped: int, seed: int) -> None:
        self.k, self.bootstrapped, self.seed = k, bootstrapped, seed

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the program with its demonstrations, scored on dev. Raises BudgetError if `budget` ends before the score."""
        search = Search(student(program), dev, compilation, self.seed)
        examples = trainset(program, train, self.seed)

        def make(start: NERProgram) -> NERProgram:
            try:
                return with_bootstrapped(start, examples, self.k, self.bootstrapped, self.seed)
            except BudgetSpent:
                raise BudgetError("the budget ended while demonstrations were being bootstrapped") from None

        return run(search, make, examples, {"bootstrapped": self.bootstrapped, "k": self.k, "seed": self.seed})


def with_bootstrapped(
    program: NERProgram, examples: Sequence[dspy.Example], k: int, bootstrapped: int, seed: int
) -> NERProgram:
    """Return a copy of `program` whose extractor shows labelled demonstrations, then its own right answers.

    Both come from `examples`, with and without mentions in proportion. Runs under `_dspy.teleprompter.Watch`.
    """
    shuffled = interleaved(program.task, random.Random(seed).sample(examples, len(examples)))
    teleprompter = dspy.BootstrapFewShot(
        metric=Right(program.task, examples), max_bootstrapped_demos=bootstrapped, max_labeled_demos=0
    )
    if tried := shuffled[: TRIES * bootstrapped]:
        made = mended(teleprompter.compile(student(program), trainset=tried), program, tried)
    else:
        made = student(program)
    own = list(made.extract.predict.demos) if tried else []
    used = {d["text"] for d in own}
    made.extract.predict.demos = [e for e in shuffled if e.text not in used][: max(k - len(own), 0)] + own
    return made


def build(
    *,
    k: Annotated[int, Field(ge=1, le=10_000)] = 16,
    bootstrapped: Annotated[int, Field(ge=1, le=10_000)] = 4,
    seed: int = 1,
) -> Bootstrap:
    """Build it."""
    return Bootstrap(k, bootstrapped, seed)
