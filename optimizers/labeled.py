"""k labelled demonstrations, a seeded sample of train (dspy.LabeledFewShot)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated

import dspy
from pydantic import Field

from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._draws import interleaved
from optimizers._dspy.teleprompter import mended, run, student, trainset
from optimizers.search import Search
from optimizers.trial import Compilation


class Labeled:
    """Draws one set of `k` demonstrations."""

    def __init__(self, k: int, seed: int) -> None:
        self.k, self.seed = k, seed

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the program with k demonstrations in its extractor, scored on as much of dev as the budget covers."""
        search = Search(student(program), dev, compilation, self.seed)
        examples = trainset(program, train, self.seed)
        mark = {"labeled": self.k, "seed": self.seed}
        return run(search, lambda start: with_labeled(start, examples, self.k, self.seed), examples, mark)


def with_labeled(program: NERProgram, examples: Sequence[dspy.Example], k: int, seed: int) -> NERProgram:
    """Return a copy of `program` whose extractor shows k of `examples`, with and without mentions in proportion."""
    shuffled = interleaved(program.task, random.Random(seed).sample(examples, len(examples)))
    made = dspy.LabeledFewShot(k=k).compile(student(program), trainset=shuffled, sample=False)
    return mended(made, program)


def build(*, k: Annotated[int, Field(ge=1, le=10_000)] = 16, seed: int = 1) -> Labeled:
    """Build it."""
    return Labeled(k, seed)
