"""Answers to learn from, for a program that fuses: its own, about units of train, cross-fitted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import dspy

from ner_programs.alignment import align
from ner_programs.fusion import FEWEST
from ner_programs.lms.metered import Budget, BudgetSpent
from ner_programs.program import NERProgram
from ner_programs.types import Document, Entity
from ner_programs.verifiers.fuse import FuseVerifier, fuse_of
from optimizers._base import in_threads
from optimizers._search import identity


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
    drawn = random.Random(f"fuse {seed}").sample(there, min(len(there), wanted))

    def answered(example: dspy.Example) -> tuple[Entity, ...] | None:
        said = program.extract(example.text, example.knowledge, example.exclude)
        return None if said.unanswered else align(example.text, said.mentions, policy=program.spec.occurrences)

    answers = zip(drawn, in_threads(answered, drawn), strict=True)
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
