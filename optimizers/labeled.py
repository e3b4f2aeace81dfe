"""k labelled demonstrations, drawn from train by seed (dspy.LabeledFewShot)."""

from __future__ import annotations

import random
from collections.abc import Sequence

import dspy

from ner_programs.lms.metered import Budget
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._base import Candidate, OnTrial, best_of


class Labeled:
    """One draw."""

    def __init__(self, k: int, seed: int) -> None:
        self.k, self.seed = k, seed

    def compile(
        self,
        program: NERProgram,
        *,
        train: Sequence[Document],
        dev: Sequence[Document],
        budget: Budget,
        on_trial: OnTrial,
    ) -> NERProgram:
        """Return the program with k demonstrations in its extractor, scored on dev."""
        made = with_labeled(program, program.examples(train), self.k, self.seed)
        best_of([Candidate({"labeled": self.k, "seed": self.seed}, lambda: made)], dev, budget, on_trial)
        return made


def with_labeled(program: NERProgram, examples: Sequence[dspy.Example], k: int, seed: int) -> NERProgram:
    """Return a copy of `program` whose extractor shows k of `examples`."""
    shuffled = random.Random(seed).sample(list(examples), len(examples))
    drawn = dspy.LabeledFewShot(k=k).compile(program, trainset=shuffled)
    return extractor_of(drawn, program)


def extractor_of(compiled: NERProgram, program: NERProgram) -> NERProgram:
    """Return a copy of `program` with the extractor's demonstrations of `compiled`.

    DSPy gives every predictor the same labelled demonstrations and forgets those that it had; the verifier's are its own.
    """
    made: NERProgram = program.deepcopy()
    made.extract.predict.demos = list(compiled.extract.predict.demos)
    return made


def build(*, k: int = 16, seed: int = 1) -> Labeled:
    """Build it."""
    return Labeled(k, seed)
