"""Bayesian search over proposed instructions and sets of demonstrations, jointly (dspy.MIPROv2).

Without an LM that writes instructions, only sets of demonstrations are searched.

Opsahl-Ong et al., Optimizing instructions and demonstrations for multi-stage language model programs, EMNLP 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import dspy
from pydantic import Field

from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._dspy.teleprompter import Right, documents_for, run, student, trainset, valset
from optimizers.search import Search
from optimizers.trial import Compilation

SUMMARY = 11
"""Calls for the summary of the data, at most."""
PROPOSAL = 3
"""Calls for a program-aware instruction: a description of the program, one of the stage, the instruction."""
TRIES = 3
"""Calls for one bootstrapped demonstration, about."""
AWARE = 200
"""Minimum number of calls at which the LM that writes instructions also sees a summary of the data and the program's code."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a search spends its calls: the numbers of candidates of each kind, of trials, and of dev documents for each trial."""

    candidates: int
    trials: int
    documents: int
    aware: bool


def plan(search: Search, bootstrapped: int) -> Plan:
    """Divide a search's calls: an eighth for candidates, the rest for trials, all on the same dev documents.

    DSPy's small random batches would compare programs on different documents, and batches differ more than instructions do. A
    combination that is drawn again costs nothing, so twice as many are drawn as the budget covers.
    """
    stages = len(search.program.predictors()) if search.compilation.lm.role("prompt").writes else 0
    aware = search.calls >= AWARE and stages > 0
    each = stages * (PROPOSAL if aware else 1) + TRIES * bootstrapped
    summary = SUMMARY if aware else 0
    candidates = max(3, min(12, (search.calls // 8 - summary) // each))
    left = max(search.calls - summary - candidates * each, search.calls // 2)
    trials = max(6, candidates + 2, min(2 * candidates, left // search.whole))
    return Plan(candidates, 2 * trials, documents_for(search, trials + 1, left), aware)


class Proposing(dspy.MIPROv2):
    """MIPROv2 without empty and duplicate instructions; `mark` gets the number of empty ones.

    Without an LM that writes instructions, the initial instruction is the only candidate.
    """

    def __init__(self, mark: dict[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self.mark = mark

    def _propose_instructions(self, program: Any, *args: Any, **kwargs: Any) -> dict[int, list[str]]:
        if not self.prompt_model.writes:
            return {n: [p.signature.instructions] for n, p in enumerate(program.predictors())}
        proposed = super()._propose_instructions(program, *args, **kwargs)
        if empty := sum(not text.strip() for texts in proposed.values() for text in texts):
            self.mark["empty proposals"] = empty
        return {n: list(dict.fromkeys(text for text in texts if text.strip())) for n, texts in proposed.items()}


class Mipro:
    """Bootstraps sets of demonstrations, has an LM propose instructions, and searches over their combinations."""

    asks_writer = True

    def __init__(self, bootstrapped: int, labeled: int, seed: int) -> None:
        self.bootstrapped, self.labeled, self.seed = bootstrapped, labeled, seed

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the candidate that is best on all of dev."""
        search = Search(student(program), dev, compilation, self.seed)
        examples = trainset(program, train, self.seed)
        planned, mark = plan(search, self.bootstrapped), dict[str, Any]()

        def make(start: NERProgram) -> NERProgram:
            if not examples:
                return start
            teleprompter = Proposing(
                mark, metric=Right(program.task, examples), prompt_model=compilation.lm.role("prompt"), auto=None,
                num_candidates=planned.candidates, max_bootstrapped_demos=self.bootstrapped,
                max_labeled_demos=self.labeled, seed=self.seed, track_stats=False,
            )  # fmt: skip
            return teleprompter.compile(  # type: ignore[no-any-return]
                start, trainset=examples, valset=valset(search, planned.documents), num_trials=planned.trials,
                minibatch=False, program_aware_proposer=planned.aware, data_aware_proposer=planned.aware,
            )  # fmt: skip

        return run(search, make, examples, mark)


def build(
    *,
    bootstrapped: Annotated[int, Field(ge=1, le=10_000)] = 4,
    labeled: Annotated[int, Field(ge=0, le=10_000)] = 16,
    seed: int = 1,
) -> Mipro:
    """Build it: sets of up to `bootstrapped` own right answers, filled up with labelled examples to `labeled` in all."""
    return Mipro(bootstrapped, labeled, seed)
