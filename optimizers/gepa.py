"""Reflective prompt evolution: an LM reads feedback on a few answers and rewrites the instruction (dspy.GEPA).

Agrawal et al., GEPA: reflective prompt evolution can outperform reinforcement learning, arXiv 2507.19457, 2025. GEPA keeps
every instruction that is best on some dev document, and builds on any of these. The feedback comes from
`_reflection.feedback`. GEPA's own log folder is not used: the run's ledger resumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import dspy
from dspy.teleprompt.gepa.instruction_proposal import InstructionProposer
from pydantic import Field

from ner_programs.errors import BudgetError
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._dspy.teleprompter import documents_for, run, trainset, valset
from optimizers._dspy.writer_failures import WriterFailures
from optimizers._reflection.conventions import Conventions
from optimizers._reflection.feedback import gepa_metric
from optimizers.search import Search
from optimizers.trial import Compilation

TRIALS, UNITS = 10, 40
"""Programs that are scored on dev, at most, and dev units that each should have, at least. A program is scored on dev only if
it beats its parent on a few units of train."""
SHARE = 0.6
"""Share of the calls for dev documents. The rest is for trying instructions on units of train."""


class Gepa:
    """Reflects on `minibatch` answers at a time."""

    needs_writer = True

    def __init__(self, minibatch: int, seed: int) -> None:
        self.minibatch, self.seed = minibatch, seed

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the candidate that is best on all of dev."""
        if not train:
            raise BudgetError("gepa needs train documents; give the corpus a train part")
        search = Search(program, dev, compilation, self.seed)
        examples = trainset(program, train, self.seed)
        sample = valset(search, documents(search))

        def make(student: NERProgram) -> NERProgram:
            asked = WriterFailures()
            teleprompter = dspy.GEPA(
                metric=gepa_metric(Conventions.of(train)), max_metric_calls=max(search.calls, len(sample) + 1),
                reflection_minibatch_size=min(self.minibatch, len(examples)), use_merge=len(student.predictors()) > 1,
                reflection_lm=compilation.lm.role("prompt"), warn_on_score_mismatch=False, seed=self.seed,
                instruction_proposer=Proposer(asked), gepa_kwargs={"stop_callbacks": [asked.hopeless]},
            )  # fmt: skip
            made: NERProgram = teleprompter.compile(student, trainset=examples, valset=sample)
            asked.report(search)
            return made

        return run(search, make, examples)


class Proposer(InstructionProposer):
    """GEPA's own proposer, with failures counted: GEPA only logs them and tries again without end."""

    def __init__(self, asked: WriterFailures) -> None:
        super().__init__()
        self.asked = asked

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, str]:
        """Propose an instruction for each of the stages."""
        with self.asked.noted():
            proposed: dict[str, str] = super().__call__(*args, **kwargs)
        self.asked.answered += 1
        return proposed


def documents(search: Search) -> int:
    """Return how many dev documents each program can be scored on, with their share of the calls."""
    most = int(SHARE * search.calls)
    return documents_for(search, max(3, min(TRIALS, most // (UNITS * len(search.program.predictors())))), most)


def build(*, minibatch: Annotated[int, Field(ge=1, le=10_000)] = 8, seed: int = 1) -> Gepa:
    """Build it: each reflection sees `minibatch` units of train, with and without mentions in proportion."""
    return Gepa(minibatch, seed)
