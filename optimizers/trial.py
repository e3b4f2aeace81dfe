"""The protocol of optimizers, what they get (`Compilation`), and what they report (`Trial`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from ner_programs.errors import BudgetError
from ner_programs.evaluate import Scored
from ner_programs.lms.ledger import Spent
from ner_programs.lms.metered import Budget, MeteredLM
from ner_programs.program import NERProgram
from ner_programs.types import Document


@dataclass(frozen=True, slots=True)
class Trial:
    """A scored candidate: its changes against the initial program, its scores, and the run's number of calls by then.

    Notes, `first`, `train` and `dev` are those of the package's example.

    >>> trials = []
    >>> program = compile(first, "labeled", train=train, dev=dev, budget={"calls": 20}, on_trial=trials.append)
    >>> trials[-1].number, trials[-1].documents, trials[-1].scored.total.gold
    (2, 2, 2)
    """

    number: int
    changes: Mapping[str, Any]
    scored: Scored
    documents: int
    calls: int
    program: NERProgram = field(repr=False)


OnTrial = Callable[[Trial], None]


@dataclass(frozen=True, slots=True)
class Compilation:
    """What an optimizer works with: the LM that is asked, the budget from now on, and who hears of trials.

    `optimizers.compile` makes it and has DSPy ask the same LM. `lm.role("prompt")` is the LM that writes instructions;
    `lm.writes` says whether the LM follows any. Raises BudgetError for an LM that counts no calls.

    >>> compilation = Compilation(first.lm, Budget(calls=20))
    >>> with compilation.limited():
    ...     found = program("Day 9: given codeine.")
    >>> compilation.spent.calls, str(compilation.left)
    (1, '19 calls')
    """

    lm: MeteredLM
    budget: Budget = field(default_factory=Budget)
    on_trial: OnTrial = lambda trial: None
    _began: Spent = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.lm, MeteredLM):
            raise BudgetError("a budget needs a metered LM: dspy.context(lm=ner_programs.open_lm(...))")
        object.__setattr__(self, "_began", replace(self.lm.meter.spent))

    @property
    def calls(self) -> int:
        """The number of calls that the LM has made in this run, also before the compilation."""
        return self.lm.meter.spent.calls

    @property
    def spent(self) -> Spent:
        """What was spent since the compilation began."""
        return self.lm.meter.spent - self._began

    @property
    def left(self) -> Budget:
        """The rest of the budget."""
        limit, spent = self.budget, self.spent
        return Budget(
            None if limit.calls is None else limit.calls - spent.calls,
            None if limit.tokens is None else limit.tokens - spent.tokens,
            None if limit.cost is None else limit.cost - spent.cost,
        )

    def part(self, budget: Budget) -> Compilation:
        """Return a compilation that begins now, with a budget of its own."""
        return replace(self, budget=budget)

    def limited(self, budget: Budget | None = None) -> AbstractContextManager[None]:
        """Limit what the LM may spend in the block, by default to the budget. Raises BudgetSpent when that is spent."""
        return self.lm.meter.limited(self.budget if budget is None else budget)


class Optimizer(Protocol):
    """Turns a program, train and dev documents into a better program, and leaves the given program unchanged.

    An optimizer that needs an LM to write instructions sets `needs_writer = True`. One that uses such an LM if there is one
    sets `asks_writer = True`. A whole one, which tries numbers of demonstrations:

    >>> class Numbers:
    ...     def compile(self, program, *, train, dev, compilation):
    ...         search = Search(program, dev, compilation)
    ...         with search.spending():
    ...             for k in (1, 3):
    ...                 changes = {"demos": {"name": "tfidf", "k": k}}
    ...                 search.score(program.with_settings(**changes), changes, search.sample(2))
    ...         return search.choose()
    >>> compile(first, Numbers(), train=train, dev=dev, budget={"calls": 20}).spec.demos["k"] in (1, 3)
    True
    """

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the best program found within the compilation's budget. Report every finished trial to its `on_trial`."""


@runtime_checkable
class Checked(Optimizer, Protocol):
    """An optimizer that can check its options against a program before anything is spent."""

    def check(self, program: NERProgram) -> None:
        """Raise ComponentError for an unknown setting or value."""
