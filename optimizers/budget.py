"""Budgets: parsing them, and what remains of one, in calls of the initial program.

The LM's meter refuses the call that would exceed a budget. `optimizers.search` splits one between search and final choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import dspy

from ner_programs.errors import BudgetError
from ner_programs.evaluate import calls_for
from ner_programs.lms.metered import Budget
from ner_programs.program import NERProgram
from ner_programs.types import Document

if TYPE_CHECKING:
    from optimizers.search import Search

CAUTION = 1.1
"""Safety factor on the measured cost of a call, if tokens or money are limited."""


def budget_from(options: Any) -> Budget:
    """Parse `optimizer.budget`. Raises BudgetError for an invalid limit."""
    kinds = {"calls": int, "tokens": int, "cost": int | float}
    if not isinstance(options, Mapping):
        raise BudgetError(f"optimizer.budget is a table, {{ calls = 1000 }}, not {options!r}")
    for name, limit in options.items():
        if name not in kinds:
            raise BudgetError(f"optimizer.budget.{name}: there is no such limit; there are: {', '.join(kinds)}")
        if isinstance(limit, bool) or not isinstance(limit, kinds[name]) or limit <= 0:
            raise BudgetError(f"optimizer.budget.{name}: a number above 0, not {limit!r}")
    return Budget(**options)


def paid(program: dspy.Module, documents: Sequence[Document], calls: int) -> list[Document]:
    """Return the first of `documents`, as many as the program can answer with `calls` calls."""
    costs = accumulate(calls_for(program, [d]) for d in documents)
    return [d for d, cost in zip(documents, costs, strict=True) if cost <= calls]


class Remaining:
    """The rest of a search's budget, and the price of scoring. Prices are known in advance, so that no trial is cut off.

    A limit in calls is exact. Limits in tokens or money are converted into calls of the initial program; one call of a program
    with longer prompts costs several of them.
    """

    def __init__(self, search: Search) -> None:
        self.search = search
        self.total = search.calls + search.reserve
        self._limited = search.budget.tokens is not None or search.budget.cost is not None
        self._each: dict[int, tuple[NERProgram, float]] = {}  # the program is kept so that its id stays unique
        self._first = sum(per_call(search.program, search.order)) * CAUTION if self._limited else 1.0

    def left(self) -> float:
        """Return how many calls of the initial program remain."""
        budget, spent = self.search.budget, self.search.compilation.spent
        left = float(self.total - spent.calls)
        if budget.tokens is not None:
            left = min(left, (budget.tokens - spent.tokens) / self._first)
        if budget.cost is not None:
            left = min(left, self.total * (1 - spent.cost / budget.cost))
        return max(left, 0.0)

    def price(self, program: NERProgram, documents: Sequence[Document]) -> float:
        """Return what scoring `program` on `documents` costs at most, in calls of the initial program."""
        calls = calls_for(program, documents)
        if not self._limited or not calls:
            return float(calls)
        if id(program) not in self._each:
            self._each[id(program)] = program, sum(per_call(program, self.search.order)) * CAUTION / self._first
        return calls * self._each[id(program)][1]


def per_call(program: NERProgram, documents: Sequence[Document]) -> tuple[int, int]:
    """Estimate the tokens of a prompt and of an answer, from a few of `documents`."""
    examples = program.examples(documents[:8])[:24]
    prompted, answered = characters(program, examples)
    each = max(len(examples), 1)
    return prompted // (3 * each) + 1, answered // (3 * each) + 16


def characters(program: NERProgram, examples: Sequence[dspy.Example]) -> tuple[int, int]:
    """Return the characters of the extractor's prompts for `examples`, and of the gold answers."""
    extract, prompted, answered = program.extract, 0, 0
    for example in examples:
        demos = extract.demos(example.text, example.exclude)
        messages = extract.adapter.format(extract.predict.signature, demos, dict(example))
        prompted += sum(len(m["content"]) for m in messages)
        answered += len(extract.adapter.codec.encode(dict(example)))
    return prompted, answered
