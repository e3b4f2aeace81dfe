"""What an optimizer is, how programs are scored by corpus micro-F1, and how a budget limits what they spend.

A budget is enforced by the LM's meter, which refuses the call that would exceed it. See `_search` for how optimizers use this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Protocol, TypeVar, runtime_checkable

import dspy

from ner_programs.answers import Answers
from ner_programs.lms.metered import Budget, Meter, MeteredLM
from ner_programs.program import NERProgram
from ner_programs.scoring import Counts
from ner_programs.types import AnnotatedText, Document, Entity, Mention
from ner_programs.units import split
from ner_programs.verifiers.strong import Strong
from optimizers._errors import BudgetError

Tick = Callable[[], None]
Labelled = TypeVar("Labelled", bound=Any)
"""A document, or an example: something with `entities`."""
OUTAGE = 0.02
"""A candidate with a larger share of unanswered calls is not ranked: an outage must not choose the program."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A program's answers to documents, in their order; `counts` has one row for each document.

    `lost` are, for each document, the mentions that the program said and that became no entity (none where it does not say);
    `answers` how the LM's answers about each document ended.
    """

    counts: tuple[Counts, ...]
    entities: tuple[tuple[Entity, ...], ...]
    unreadable: int
    units: int
    lost: tuple[tuple[Mention, ...], ...] = ()
    answers: tuple[Answers, ...] = ()

    @property
    def total(self) -> Counts:
        """The counts of all documents together."""
        return sum(self.counts, Counts())

    @property
    def rankable(self) -> bool:
        """Whether so few calls went unanswered (2 % of the units of text) that the score says something about the program."""
        return self.total.unanswered <= OUTAGE * max(self.units, 1)


@dataclass(frozen=True, slots=True)
class Trial:
    """One finished candidate: what was changed, how it scored, and how many calls the run had made by then."""

    number: int
    changes: Mapping[str, Any]
    scored: Scored
    documents: int
    calls: int
    program: NERProgram = field(repr=False)


OnTrial = Callable[[Trial], None]


class Optimizer(Protocol):
    """From a program, train and dev documents to a better program; never changes the program it is given.

    One that only works with instructions that an LM writes says so: `needs_writer = True`; one that has some written where an
    LM can: `asks_writer = True`.
    """

    def compile(
        self,
        program: NERProgram,
        *,
        train: Sequence[Document],
        dev: Sequence[Document],
        budget: Budget,
        on_trial: OnTrial,
    ) -> NERProgram:
        """Return the best program found within `budget`; every finished trial is reported to `on_trial`."""


def writes(lm: Any = None) -> bool:
    """Say whether an LM (by default the one in use) is a language model, which follows instructions and writes them."""
    return bool(getattr(dspy.settings.lm if lm is None else lm, "writes", True))


def role(name: str) -> Any:
    """Return the LM that takes a role, "prompt" or "strong": its own, where the one in use has it, else that one."""
    lm = dspy.settings.lm
    return lm.role(name) if isinstance(lm, MeteredLM) else lm


@runtime_checkable
class Checked(Optimizer, Protocol):
    """An optimizer that can say beforehand whether it may change a program as it is asked to."""

    def check(self, program: NERProgram) -> None:
        """Raise ComponentError for a setting, or a value of it, that there is not."""


def score(
    program: dspy.Module, documents: Sequence[AnnotatedText], tick: Tick | None = None, *, cross_fit: bool = True
) -> Scored:
    """Run a program over documents, as many at a time as the LM's `concurrency` says, and count right and wrong.

    Demonstrations from a document itself, or from one related to it, are not shown (design D8), unless `cross_fit` is off:
    new documents have none, and may by chance bear the id of one that does.
    """

    def answer(document: AnnotatedText) -> dspy.Prediction:
        prediction = program(text=document.text, exclude=document.kin if cross_fit else ())
        if tick is not None:
            tick()
        return prediction

    answers = in_threads(answer, documents)
    counts = tuple(
        Counts.of(d.entities, a.entities, a.get("unanswered") or 0) for d, a in zip(documents, answers, strict=True)
    )
    unreadable = sum(a.get("unreadable") or 0 for a in answers)
    lost = tuple(tuple(a.get("lost") or ()) for a in answers)
    found, units = tuple(a.entities for a in answers), units_of(program, documents)
    return Scored(counts, found, unreadable, units, lost, ends_of(answers))


def ends_of(predictions: Iterable[dspy.Prediction]) -> tuple[Answers, ...]:
    """Return how the answers behind each prediction ended; nothing of a program that does not say."""
    return tuple(p.get("answers") or Answers(unanswered=p.get("unanswered") or 0) for p in predictions)


def in_threads(work: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
    """Map `work` over `pieces`, as many at a time as the LM's `concurrency` says; the first failure stops the rest."""
    threads = getattr(dspy.settings.lm, "concurrency", 1)
    if threads <= 1:
        return [work(p) for p in pieces]
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(copy_context().run, work, p) for p in pieces]
        try:
            return [f.result() for f in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def interleaved(pieces: Sequence[Labelled]) -> list[Labelled]:
    """Return pieces with and without `entities`, each in their order, so mixed that every beginning has its share of both."""
    parts = [p for p in pieces if p.entities], [p for p in pieces if not p.entities]
    places = [((i + 0.5) / len(part), n) for n, part in enumerate(parts) for i in range(len(part))]
    following = [iter(part) for part in parts]
    return [next(following[n]) for _, n in sorted(places)]


def calls_for(program: dspy.Module, documents: Sequence[AnnotatedText]) -> int:
    """Return how many calls one pass over `documents` makes at most."""
    return calls_a_unit(program) * units_of(program, documents)


def calls_a_unit(program: dspy.Module) -> int:
    """Return how many calls a unit of text takes at most; a strong LM asks with the extractor's own predictor."""
    return len(program.predictors()) + len(list(program.named_sub_modules(Strong)))


def paid(program: dspy.Module, documents: Sequence[Document], calls: int) -> list[Document]:
    """Return the first of `documents`, as many as so many calls let the program answer."""
    costs = accumulate(calls_for(program, [d]) for d in documents)
    return [d for d, cost in zip(documents, costs, strict=True) if cost <= calls]


def units_of(program: dspy.Module, documents: Sequence[AnnotatedText]) -> int:
    """Return how many units of text a program asks about in `documents`: at least so many calls are made."""
    if not isinstance(program, NERProgram):
        return sum(len(split(d.text, "document")) for d in documents)
    return sum(len(split(d.text, program.spec.unit, size=program.spec.window)) for d in documents)


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
