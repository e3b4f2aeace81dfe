"""Instructions that an LM proposes in rounds; each round sees the scores of the rounds before (dspy.COPRO).

An instruction that is proposed twice is scored at no cost: equal requests are one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import dspy
from pydantic import Field

from ner_programs import metric
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._dspy.teleprompter import documents_for, run, student, valset
from optimizers.search import Search
from optimizers.trial import Compilation

TRIALS = 12
"""Number of different instructions that the dev sample is sized for."""


class Copro:
    """Asks for `breadth` instructions in each of `depth` rounds, until the budget is spent."""

    needs_writer = True

    def __init__(self, breadth: int, depth: int, seed: int) -> None:
        self.breadth, self.depth, self.seed = breadth, depth, seed

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the program with the instruction that is best on dev."""
        search = Search(student(program), dev, compilation, self.seed)
        stages = len(search.program.predictors())
        proposals = min(stages * self.breadth * self.depth, search.calls // 4)
        sample = valset(search, documents_for(search, TRIALS * stages, search.calls - proposals))

        def make(start: NERProgram) -> NERProgram:
            asked = compilation.lm.role("prompt")
            teleprompter = dspy.COPRO(prompt_model=asked, metric=metric, breadth=self.breadth, depth=self.depth)
            return teleprompter.compile(start, trainset=sample, eval_kwargs={})  # type: ignore[no-any-return]

        return run(search, make)


def build(
    *,
    breadth: Annotated[int, Field(ge=2, le=10_000)] = 4,
    depth: Annotated[int, Field(ge=1, le=10_000)] = 8,
    seed: int = 1,
) -> Copro:
    """Build it."""
    return Copro(breadth, depth, seed)
