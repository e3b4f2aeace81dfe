"""Rules and demonstrations from the program's own answers to small batches of train (dspy.SIMBA).

SIMBA answers each unit several times. Then an LM writes a rule that separates good answers from bad ones, or a good answer
becomes a demonstration. SIMBA does not use dev: its programs are scored on dev after it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import dspy
from pydantic import Field

from ner_programs import metric
from ner_programs.bundle.state import ORIGIN
from ner_programs.errors import BudgetError
from ner_programs.evaluate import calls_for
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._dspy.teleprompter import run, trainset, valset
from optimizers._dspy.writer_failures import WriterFailures
from optimizers._reflection.conventions import Conventions
from optimizers._reflection.feedback import simba_metric
from optimizers.search import Search
from optimizers.trial import Compilation

SHARE = 0.65
"""Share of the calls for SIMBA itself. The rest is for its programs on dev."""
SIZES = ((16, 4), (16, 3), (8, 3), (8, 2), (4, 2))
"""(units in a batch, candidates in a step), the largest first. The first size with three steps within the budget is used."""
STEPS = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """How SIMBA spends its calls: units of a batch, candidates of a step, steps, and units of its final evaluation."""

    batch: int
    candidates: int
    steps: int
    units: int


def plan(search: Search, examples: Sequence[dspy.Example]) -> Plan:
    """Divide the calls so that SIMBA can finish: it returns nothing if it is interrupted."""
    each = max(calls_for(search.program, [example]) for example in examples)
    most = int(SHARE * search.calls)
    for batch, candidates in SIZES:
        batch = min(batch, len(examples))
        step = batch * (2 * candidates + 1) * each + 2 * (candidates + 1)
        end = (candidates + 1) * each
        steps = min(STEPS, (most - batch * end) // step)
        if steps >= 3:
            break
    steps = max(steps, 1)
    units = max(batch, min((most - steps * step) // end, 4 * batch, len(examples)))
    return Plan(batch, candidates, steps, units)


class Simba:
    """Adds up to `demos` own answers as demonstrations, and rules."""

    needs_writer = True

    def __init__(self, demos: int, seed: int) -> None:
        self.demos, self.seed = demos, seed

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the best of SIMBA's final programs on all of dev."""
        if not train:
            raise BudgetError("simba needs train documents; give the corpus a train part")
        search = Search(program, dev, compilation, self.seed)
        examples = trainset(program, train, self.seed)
        planned = plan(search, examples)

        def make(student: NERProgram) -> NERProgram:
            teleprompter = dspy.SIMBA(
                metric=simba_metric(Conventions.of(train)), bsize=planned.batch, num_candidates=planned.candidates,
                max_steps=planned.steps, max_demos=self.demos, prompt_model=compilation.lm.role("prompt"),
            )  # fmt: skip
            asked, (*takes, writes) = WriterFailures(), teleprompter.strategies
            teleprompter.strategies = [*map(known, takes), watched(writes, asked)]
            made: NERProgram = teleprompter.compile(student, trainset=examples[: planned.units], seed=self.seed)
            on_dev(search, [student, *(c["program"] for c in made.candidate_programs)])
            asked.report(search)
            return made

        return run(search, make, examples)


def on_dev(search: Search, programs: Sequence[NERProgram]) -> None:
    """Score programs on the same dev documents, as many as the remaining calls cover (less those for one document)."""
    sizes, left = range(len(search.order), 1, -1), search.left - calls_for(search.program, search.sample(1))
    size = next((n for n in sizes if len(programs) * calls_for(search.program, search.sample(n)) <= left), 1)
    for program in programs:
        dspy.Evaluate(devset=valset(search, size), metric=metric)(program)


def watched(strategy: Callable[..., bool], asked: WriterFailures) -> Callable[..., bool]:
    """Wrap a strategy of SIMBA so that its failures are counted: SIMBA itself only logs them."""

    def append_a_rule(*args: Any, **kwargs: Any) -> bool:
        with asked.noted():
            written = strategy(*args, **kwargs)  # False where it did not ask
        asked.answered += written
        return written

    return append_a_rule


def known(strategy: Callable[..., bool]) -> Callable[..., bool]:
    """Wrap a strategy of SIMBA so that its demonstrations name their document, and are never shown for it."""

    def append_a_demo(bucket: Any, system: NERProgram, **kwargs: Any) -> bool:
        before = [len(p.demos) for p in system.predictors()]
        taken = strategy(bucket, system, **kwargs)
        origin = {k: bucket[0]["example"][k] for k in ORIGIN}
        for predictor, n in zip(system.predictors(), before, strict=True):
            predictor.demos[n:] = [dspy.Example(**{**dict(d), **origin}) for d in predictor.demos[n:]]
        return taken

    return append_a_demo


def build(*, demos: Annotated[int, Field(ge=0, le=10_000)] = 4, seed: int = 1) -> Simba:
    """Build it: up to `demos` demonstrations are added to the program's own."""
    return Simba(demos, seed)
