"""Demonstrations for the verifier: the extractor's own cross-fitted answers on train, diffed with gold.

Texts are chosen so that the five decisions (keep, reject, label, span, add) are shown as evenly as the answers allow.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import dspy

from ner_programs.alignment import align
from ner_programs.program import NERProgram
from ner_programs.verifiers.llm import LLMVerifier
from optimizers._base import in_threads

TRIES = 6
"""How many texts are answered for each demonstration that is wanted."""


def taught(program: NERProgram, examples: Sequence[dspy.Example], seed: int = 1) -> NERProgram:
    """Return a copy of `program` whose verifier has its demonstrations; without such a verifier, `program` itself.

    `examples` come from train (`program.examples`); each is answered without demonstrations from its own document. Costs at
    most `TRIES` extraction calls for each demonstration.
    """
    verifier = llm_verifier(program)
    if verifier is None or verifier.predict.demos:
        return program
    drawn = random.Random(seed).sample(list(examples), min(len(examples), TRIES * verifier.k))

    def diffed(example: dspy.Example) -> dict[str, Any] | None:
        said = program.extract(example.text, example.knowledge, example.exclude)
        found = align(example.text, said.mentions, policy=program.spec.occurrences)
        if said.unanswered or not (found or example.entities):
            return None
        origin = {k: example[k] for k in ("id", "document", "group")}
        return origin | verifier.demonstration(example.text, example.knowledge, found, example.entities)

    shown = [d for d in in_threads(diffed, drawn) if d is not None]
    made: NERProgram = program.deepcopy()
    copied = llm_verifier(made)
    assert copied is not None
    copied.predict.demos = balanced(shown, verifier.k, verifier.mode)
    return made


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
