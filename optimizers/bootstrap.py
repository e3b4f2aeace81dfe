"""Demonstrations that the program itself got right on train (dspy.BootstrapFewShot), filled up with labelled ones."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Sequence

import dspy

from ner_programs import metric
from ner_programs.lms.metered import Budget, BudgetSpent
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._base import Candidate, OnTrial, best_of, within
from optimizers._errors import BudgetError
from optimizers.labeled import extractor_of


class Bootstrap:
    """Up to `bootstrapped` own answers, and labelled demonstrations up to `k` in all."""

    def __init__(self, k: int, bootstrapped: int, seed: int) -> None:
        self.k, self.bootstrapped, self.seed = k, bootstrapped, seed

    def compile(
        self,
        program: NERProgram,
        *,
        train: Sequence[Document],
        dev: Sequence[Document],
        budget: Budget,
        on_trial: OnTrial,
    ) -> NERProgram:
        """Return the program with its demonstrations, scored on dev. Raises BudgetError if `budget` ends before that."""
        changes = {"bootstrapped": self.bootstrapped, "k": self.k, "seed": self.seed}
        try:
            with within(budget):
                made = with_bootstrapped(program, program.examples(train), self.k, self.bootstrapped, self.seed)
                best_of([Candidate(changes, lambda: made)], dev, budget, on_trial)
        except BudgetSpent:
            raise BudgetError("the budget ended while demonstrations were being bootstrapped") from None
        return made


def with_bootstrapped(
    program: NERProgram, examples: Sequence[dspy.Example], k: int, bootstrapped: int, seed: int
) -> NERProgram:
    """Return a copy of `program` whose extractor shows own right answers.

    Only texts with mentions are tried: on the others an empty answer is right for free and teaches nothing. The labelled
    demonstrations that fill up come from all of `examples`.
    """
    shuffled = random.Random(seed).sample(list(examples), len(examples))
    trials = [e for e in shuffled if e.entities][: 4 * bootstrapped]
    teleprompter = dspy.BootstrapFewShot(
        metric=metric, max_bootstrapped_demos=bootstrapped, max_labeled_demos=0, max_errors=len(examples) + 1
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        drawn = teleprompter.compile(program.deepcopy(), trainset=trials)
    made = extractor_of(drawn, program)
    origin = {
        e.text: {k: e[k] for k in ("id", "document", "group")} for e in trials
    }  # DSPy keeps inputs and outputs only
    own = [dspy.Example(**{**origin[d["text"]], **dict(d)}) for d in made.extract.predict.demos]
    used = {d["text"] for d in own}
    made.extract.predict.demos = [e for e in shuffled if e.text not in used][: max(k - len(own), 0)] + own
    return made


def build(*, k: int = 16, bootstrapped: int = 4, seed: int = 1) -> Bootstrap:
    """Build it."""
    return Bootstrap(k, bootstrapped, seed)
