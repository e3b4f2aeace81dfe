"""Prepares a verifier before the search: demonstrations for an LM verifier, training answers for a fusion.

Demonstrations are the extractor's cross-fitted answers on train, compared with gold. They are chosen so that the five
decisions (keep, reject, label, span, add) occur as evenly as the answers allow. A fusion is trained on the program's
cross-fitted answers to units of train.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import dspy

from ner_programs.alignment.align import align
from ner_programs.bundle.state import identity
from ner_programs.evaluate import in_threads
from ner_programs.fusion.model import FEWEST
from ner_programs.lms.metered import Budget, BudgetSpent
from ner_programs.program import NERProgram
from ner_programs.types import Document, Entity
from ner_programs.verifiers.fuse import FuseVerifier, fuse_of
from ner_programs.verifiers.llm import LLMVerifier
from optimizers._draws import drawn, of_few_groups

TRIES = 6
"""Texts answered for each demonstration that is wanted."""
SAME = 5
"""Units of one group in the training answers of a fusion, at first: the CRF of that fold may see no unit of the group."""


def taught(program: NERProgram, examples: Sequence[dspy.Example], seed: int = 1) -> NERProgram:
    """Return a copy of `program` with demonstrations for its LM verifier, or `program` itself if there is nothing to do.

    `examples` come from train (`program.examples`). Each is answered without demonstrations from its own document. Costs at
    most `TRIES` extraction calls for each demonstration.
    """
    verifier = llm_verifier(program)
    if verifier is None or verifier.predict.demos:
        return program
    asked = drawn(examples, TRIES * verifier.k, seed)

    def diffed(example: dspy.Example) -> dict[str, Any] | None:
        found = own_answer(program, example)
        if found is None or not (found or example.entities):
            return None
        origin = {k: example[k] for k in ("id", "document", "group")}
        return origin | verifier.demonstration(example.text, example.knowledge, found, example.entities)

    shown = [d for d in in_threads(diffed, asked) if d is not None]
    made: NERProgram = program.deepcopy()
    copied = llm_verifier(made)
    assert copied is not None
    copied.predict.demos = balanced(shown, verifier.k, verifier.mode)
    return made


def own_answer(program: NERProgram, example: dspy.Example) -> tuple[Entity, ...] | None:
    """Return the extractor's entities in a train text, without demonstrations from its document. None if the call failed."""
    answer = program.extract(example.text, example.knowledge, example.exclude)
    return None if answer.unanswered else align(example.text, answer.items, policy=program.spec.occurrences)


def llm_verifier(program: NERProgram) -> LLMVerifier | None:
    """Return the program's LM verifier, also if it is inside another verifier; None without one."""
    inside = program.verify.named_sub_modules(LLMVerifier) if program.verify is not None else ()
    return next((module for _, module in inside), None)


def balanced(shown: Sequence[dict[str, Any]], k: int, mode: str) -> list[dict[str, Any]]:
    """Choose k demonstrations greedily, so that all decisions occur about equally often."""
    wanted = ("keep", "reject") if mode == "reject" else ("keep", "reject", "label", "span", "add")
    waiting = list(shown)
    chosen: list[dspy.Example] = []
    so_far: Counter[str] = Counter()
    while waiting and len(chosen) < k:
        gains = [_gain(d, so_far, wanted) for d in waiting]
        best = waiting.pop(max(range(len(waiting)), key=lambda i: (gains[i], -i)))
        so_far.update(v["kind"] for v in best["verdicts"])
        chosen.append(dspy.Example(**best))
    return chosen


def _gain(demonstration: dict[str, Any], so_far: Counter[str], wanted: Sequence[str]) -> float:
    kinds = Counter(v["kind"] for v in demonstration["verdicts"] if v["kind"] in wanted)
    return sum(1 / (1 + so_far[kind]) for kind in kinds) / (1 + 0.1 * kinds.total())


def fuses(program: NERProgram) -> FuseVerifier | None:
    """Return the program's fusion verifier, also if it is inside another verifier; None without one."""
    return fuse_of(getattr(program.verify, "verifier", None))


def fused(program: NERProgram, examples: Sequence[dspy.Example], seed: int = 1, most: int | None = None) -> NERProgram:
    """Return a copy of `program` with training answers for its fusion, or `program` itself if there is nothing to do.

    `examples` come from train (`program.examples`). At most `most` of them are drawn, and each is answered without
    demonstrations from its own document, by one extraction call. If too few remain to learn from, no call is made.
    """
    fuse = fuses(program)
    if fuse is None or fuse.answers:
        return program
    known = {d.id for d in program.pool}
    wanted = fuse.units if most is None else min(fuse.units, most)
    there = [e for e in examples if e.id in known]
    if min(len(there), wanted) < FEWEST:
        return program
    asked = of_few_groups(there, wanted, SAME, f"fuse {seed}")
    answers = zip(asked, in_threads(lambda example: own_answer(program, example), asked), strict=True)
    made: NERProgram = program.deepcopy()
    copied = fuses(made)
    assert copied is not None
    copied.answers = {example.id: found for example, found in answers if found is not None}
    return made


def within_reserve(budget: Budget, program: NERProgram) -> Budget:
    """Return the budget without the calls for the training answers of the final program, at most a quarter of it."""
    fuse = fuses(program)
    if fuse is None or budget.calls is None:
        return budget
    return replace(budget, calls=budget.calls - min(len(fuse.answers), budget.calls // 4))


def anew(program: NERProgram, before: NERProgram, train: Sequence[Document], seed: int) -> NERProgram:
    """Return `program` with its fusion trained on its own answers, if the present ones are those of the program `before`.

    If the budget ends first, the program keeps the present answers.
    """
    fuse = fuses(program)
    if fuse is None or not fuse.answers or identity(program) == identity(before):
        return program
    made: NERProgram = program.deepcopy()
    copied = fuses(made)
    assert copied is not None
    copied.answers = {}
    with suppress(BudgetSpent):
        answered = fused(made, program.examples(train), seed, len(fuse.answers))
        answered.why = program.why
        return answered
    return program
