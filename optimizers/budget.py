"""A budget: how it is read, how the LM's meter holds a compilation to it, and what is left of it.

The meter refuses the call that would exceed a budget. `optimizers.search` shares a budget between search and final choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import dspy

from ner_programs.errors import BudgetError
from ner_programs.evaluate import calls_for
from ner_programs.lms.metered import Budget, Meter, MeteredLM
from ner_programs.program import NERProgram
from ner_programs.types import Document

if TYPE_CHECKING:
    from optimizers.search import Search

CAUTION = 1.1
"""By how much more than measured a call is taken to cost where tokens or money are limited."""


def budget_from(options: Any) -> Budget:
    """Read `optimizer.budget`; raises BudgetError for what is no limit."""
    kinds = {"calls": int, "tokens": int, "cost": int | float}
    if not isinstance(options, Mapping):
        raise BudgetError(f"optimizer.budget is a table, {{ calls = 1000 }}, not {options!r}")
    for name, limit in options.items():
        if name not in kinds:
            raise BudgetError(f"optimizer.budget.{name}: there is no such limit; there are: {', '.join(kinds)}")
        if isinstance(limit, bool) or not isinstance(limit, kinds[name]) or limit <= 0:
            raise BudgetError(f"optimizer.budget.{name}: a number above 0, not {limit!r}")
    return Budget(**options)


@contextmanager
def within(budget: Budget) -> Iterator[Callable[[], Budget]]:
    """Limit what the LM in use may spend; BudgetSpent comes out of the block when it is reached.

    The block gets a function that says what is left of the budget.
    """
    spent = meter().spent
    calls, tokens, cost = spent.calls, spent.tokens, spent.cost

    def left() -> Budget:
        return Budget(
            None if budget.calls is None else budget.calls - (spent.calls - calls),
            None if budget.tokens is None else budget.tokens - (spent.tokens - tokens),
            None if budget.cost is None else budget.cost - (spent.cost - cost),
        )

    with meter().limited(budget):
        yield left


def meter() -> Meter:
    """Return the meter of the LM in use; raises BudgetError where it has none."""
    lm = dspy.settings.lm
    if not isinstance(lm, MeteredLM):
        raise BudgetError("a budget needs a metered LM: dspy.context(lm=ner_programs.open_lm(...))")
    return lm.meter


def calls_made() -> int:
    """Return how many calls the LM in use has made in this run."""
    lm = dspy.settings.lm
    return lm.meter.spent.calls if isinstance(lm, MeteredLM) else 0


def paid(program: dspy.Module, documents: Sequence[Document], calls: int) -> list[Document]:
    """Return the first of `documents`, as many as so many calls let the program answer."""
    costs = accumulate(calls_for(program, [d]) for d in documents)
    return [d for d, cost in zip(documents, costs, strict=True) if cost <= calls]


class Remaining:
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
