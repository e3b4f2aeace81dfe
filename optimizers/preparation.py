"""What a verifier is given before the search: demonstrations to judge by, or answers to learn to fuse from.

Demonstrations are the extractor's own cross-fitted answers on train, diffed with gold. Texts are chosen so that the five
decisions (keep, reject, label, span, add) are shown as evenly as the answers allow. Answers to fuse are the program's own,
about units of train, cross-fitted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import dspy

from ner_programs.alignment.align import align
from ner_programs.evaluate import in_threads
from ner_programs.fusion.model import FEWEST
from ner_programs.lms.metered import Budget, BudgetSpent
from ner_programs.program import NERProgram
from ner_programs.types import Document, Entity
from ner_programs.verifiers.fuse import FuseVerifier, fuse_of
from ner_programs.verifiers.llm import LLMVerifier
from optimizers._draws import drawn, of_few_groups
from optimizers.search import identity

TRIES = 6
"""How many texts are answered for each demonstration that is wanted."""
SAME = 5
"""How many units of one group are answered to learn to fuse from: the reader that is tried on them may see no unit of it."""


def taught(program: NERProgram, examples: Sequence[dspy.Example], seed: int = 1) -> NERProgram:
    """Return a copy of `program` whose verifier has its demonstrations; without such a verifier, `program` itself.

    `examples` come from train (`program.examples`); each is answered without demonstrations from its own document. Costs at
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
    """Return what the program's extractor finds in a train text, shown no demonstration of its document; None unanswered."""
    said = program.extract(example.text, example.knowledge, example.exclude)
    return None if said.unanswered else align(example.text, said.mentions, policy=program.spec.occurrences)


def llm_verifier(program: NERProgram) -> LLMVerifier | None:
    """Return the program's verifier that asks an LM to judge candidates, be it inside another; None without one."""
    inside = program.verify.named_sub_modules(LLMVerifier) if program.verify is not None else ()
    return next((module for _, module in inside), None)


def balanced(shown: Sequence[dict[str, Any]], k: int, mode: str) -> list[dict[str, Any]]:
    """Choose k demonstrations greedily: each time the one that shows most of what has been shown least."""
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
    """Return the program's verifier that fuses, be it inside another; None without one."""
    return fuse_of(getattr(program.verify, "verifier", None))


def fused(program: NERProgram, examples: Sequence[dspy.Example], seed: int = 1, most: int | None = None) -> NERProgram:
    """Return a copy of `program` whose fusion has answers to learn from; itself, where it does not fuse or has some.

    `examples` come from train (`program.examples`); each that is drawn, `most` at most, is answered without demonstrations of
    its own document, by one extraction call. Where these are too few to learn from, none is asked for.
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
    """Return a budget less the calls that answers of the program that wins will take: a quarter of it at most."""
    fuse = fuses(program)
    if fuse is None or budget.calls is None:
        return budget
    return replace(budget, calls=budget.calls - min(len(fuse.answers), budget.calls // 4))


def anew(program: NERProgram, before: NERProgram, train: Sequence[Document], seed: int) -> NERProgram:
    """Return `program` with answers of its own, where those that it has were given by another, `before`; while calls last."""
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
