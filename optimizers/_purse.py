"""What is left of a budget, counted in calls of the program that a search began with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dspy

from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._base import calls_for, calls_made

if TYPE_CHECKING:
    from optimizers._search import Search

CAUTION = 1.1
"""By how much more than measured a call is taken to cost where tokens or money are limited."""


class Purse:
    """Says what a search may still spend and what scoring costs: before it is begun, so that no trial is cut off.

    A limit in calls is exact. Limits in tokens or money are turned into calls of the first program; a program with longer
    prompts costs several of them.
    """

    def __init__(self, search: Search) -> None:
        self.search, self._began = search, calls_made()
        self.total = search.calls + search.reserve
        self._limited = search.budget.tokens is not None or search.budget.cost is not None
        spent = dspy.settings.lm.meter.spent
        self._tokens, self._cost = spent.tokens, spent.cost
        self._each: dict[int, tuple[NERProgram, float]] = {}  # a program that is kept keeps its id
        self._first = sum(per_call(search.program, search.order)) * CAUTION if self._limited else 1.0

    def left(self) -> float:
        """Return how many calls of the first program remain."""
        left = float(self.total - (calls_made() - self._began))
        budget, spent = self.search.budget, dspy.settings.lm.meter.spent
        if budget.tokens is not None:
            left = min(left, (budget.tokens - (spent.tokens - self._tokens)) / self._first)
        if budget.cost is not None:
            left = min(left, self.total * (1 - (spent.cost - self._cost) / budget.cost))
        return max(left, 0.0)

    def price(self, program: NERProgram, documents: Sequence[Document]) -> float:
        """Return what scoring `program` on documents costs at most, in calls of the first program."""
        calls = calls_for(program, documents)
        if not self._limited or not calls:
            return float(calls)
        if id(program) not in self._each:
            self._each[id(program)] = program, sum(per_call(program, self.search.order)) * CAUTION / self._first
        return calls * self._each[id(program)][1]


def per_call(program: NERProgram, documents: Sequence[Document]) -> tuple[int, int]:
    """Return about how many tokens a prompt of the program has, and an answer: measured on a few of `documents`."""
    examples = program.examples(documents[:8])[:24]
    said, answered = characters(program, examples)
    each = max(len(examples), 1)
    return said // (3 * each) + 1, answered // (3 * each) + 16


def characters(program: NERProgram, examples: Sequence[dspy.Example]) -> tuple[int, int]:
    """Return how many characters the extractor's prompts for `examples` have, and the answers that would be right."""
    extract, said, answered = program.extract, 0, 0
    for example in examples:
        demos = extract.demos(example.text, example.exclude)
        messages = extract.adapter.format(extract.predict.signature, demos, dict(example))
        said += sum(len(m["content"]) for m in messages)
        answered += len(extract.adapter.codec.encode(dict(example)))
    return said, answered
