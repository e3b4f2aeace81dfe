"""Fits a bias on opening and on closing a mark, by teacher forcing on train (see `ner_programs.calibration`).

A small LM copies the text and hardly ever opens a mark. Two calls for each labelled text measure how far it is from the right
decisions. The two biases that correct most of them are then compared on dev with the program as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import dspy
from pydantic import Field

from ner_programs import calibration
from ner_programs.errors import BudgetError
from ner_programs.evaluate import in_threads
from ner_programs.lms.metered import MeteredLM
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._draws import drawn
from optimizers.search import Search
from optimizers.trial import Compilation

UNITS = 30
"""Number of train texts that suffice to fit two numbers: about 30 mentions of NCBI-disease."""


class Calibrate:
    """Fits `program.opening` and `program.closing` on a seeded sample of `units` train units, or fewer if calls are few."""

    def __init__(self, units: int, seed: int) -> None:
        self.units, self.seed = units, seed

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the calibrated program, or the program itself if that is better on dev.

        Raises ComponentError if the LM or the format has no such bias, BudgetError if train has no mention.
        """
        calibration.check(program.extract, compilation.lm)
        search = Search(program, dev, compilation, self.seed)
        made, examples = program, program.examples(train)
        if not any(e.mentions for e in examples):
            raise BudgetError("calibrate learns from mentions, and train has none")
        with search.spending():
            made = calibrated(program, examples, compilation.lm, min(self.units, search.calls // 2), self.seed)
        return search.choose(made)


def calibrated(
    program: NERProgram, examples: Sequence[dspy.Example], lm: MeteredLM, units: int, seed: int = 1
) -> NERProgram:
    """Return `program` with `opening` and `closing` fitted on `units` of `examples`. Costs two calls for each.

    Returns the program itself if the LM or the format has no such bias, or if no example has a mention.
    """
    if not calibration.favours(program.extract, lm):
        return program
    asked = drawn(examples, units, f"calibrate {seed}")
    made = in_threads(lambda example: calibration.forced(program.extract, example), asked)
    try:
        opening, closing = calibration.fit(made)
    except ValueError:
        return program
    pushed: NERProgram = program.with_settings(opening=opening, closing=closing)
    found = in_threads(lambda example: calibration.marked(pushed.extract, example), asked)
    less = calibration.excess(found, sum(len(e.mentions) for e in asked))
    return pushed.with_settings(opening=round(opening - less, 1)) if less else pushed


def build(*, units: Annotated[int, Field(ge=1, le=100_000)] = UNITS, seed: int = 1) -> Calibrate:
    """Build it."""
    return Calibrate(units, seed)
