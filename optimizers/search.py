"""One compilation under a budget: scores candidates on samples of dev and chooses the best on all of dev.

The reserve for the final choice is min(2 dev passes, budget / 2). A search spends the rest inside `spending()`, which ends
quietly when it is spent. Then `choose()` scores the finalists on all of dev, or on as much as two can afford. Equal requests
are one call, so documents on which a finalist was scored before cost nothing. All samples of dev are prefixes of one seeded
order, so that programs are compared on the same documents.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ner_programs import NercError
from ner_programs.bundle.state import identity
from ner_programs.errors import BudgetError, OutageError
from ner_programs.evaluate import OUTAGE, Scored, calls_for, score, units_of
from ner_programs.lms.metered import Budget, BudgetSpent
from ner_programs.program import NERProgram
from ner_programs.scoring import Counts
from ner_programs.types import Document
from optimizers._explain import of_final
from optimizers._racing import worse
from optimizers.budget import Remaining, per_call
from optimizers.trial import Compilation, Trial

FINALISTS = 2
WITHOUT_LIMIT = 12
"""Passes over dev that a search plans with if its budget has no limit."""


@dataclass(slots=True)
class Contender:
    """A candidate program; `rows` are its counts on dev documents, by their place in the order."""

    program: NERProgram
    changes: Mapping[str, Any]
    number: int = 0
    rows: dict[int, Counts] = field(default_factory=dict)
    units: int = 0

    @property
    def total(self) -> Counts:
        """The sum of its counts."""
        return sum(self.rows.values(), Counts())

    @property
    def rankable(self) -> bool:
        """Whether at most 2 % of its units went unanswered."""
        return self.total.unanswered <= OUTAGE * max(self.units, 1)

    def f1(self, places: Sequence[int]) -> float:
        """Return the micro-F1 on the documents at `places`; all of them must be scored."""
        return sum((self.rows[i] for i in places), Counts()).f1


class Search:
    """Scores programs on dev, reports each as a trial, and chooses the best in the end.

    `order` are the dev documents in the seeded order. `contenders` are the candidates in the order of their first trial.
    `calls` is the number of calls before the final choice, `reserve` the number for the final choice.

    >>> search = Search(first, dev, Compilation(first.lm, Budget(calls=20)))
    >>> with search.spending():
    ...     tried = search.score(first, {}, search.sample(1))
    >>> best = search.choose()
    >>> (len(tried.rows), best is first)  # the sample, and then all of dev
    (2, True)
    """

    def __init__(self, program: NERProgram, dev: Sequence[Document], compilation: Compilation, seed: int = 1) -> None:
        if not dev:
            raise BudgetError("an optimizer needs dev documents; give the corpus a dev part")
        self.program, self.compilation, self.seed = program, compilation, seed
        self.budget, self.on_trial = compilation.budget, compilation.on_trial
        self.order = random.Random(f"dev {seed}").sample(list(dev), len(dev))
        self.place = {d.id: i for i, d in enumerate(self.order)}
        if len(self.place) < len(self.order):
            raise NercError("two dev documents have the same id; ids tell documents apart")
        self.contenders: dict[str, Contender] = {}
        self._trials = 0
        self.whole = calls_for(program, dev)
        total = self._affordable()
        self.reserve = min(FINALISTS * self.whole, total // 2)
        self.calls = max(total - self.reserve, 1)
        self.remaining = Remaining(self)

    @property
    def left(self) -> int:
        """Number of calls that remain before the final choice."""
        return max(self.calls - self.compilation.spent.calls, 0)

    def affords(self, program: NERProgram, documents: Sequence[Document]) -> bool:
        """Return whether scoring `program` on `documents` fits the budget before the final choice, in every limited unit."""
        return self.remaining.price(program, documents) <= self.remaining.left() - self.reserve

    def sample(self, documents: int) -> list[Document]:
        """Return the first `documents` documents of the order, at least one."""
        return self.order[: max(1, min(documents, len(self.order)))]

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Limit a search to its share of the budget. When it is spent, the block ends and an unfinished trial is dropped."""
        try:
            with self.compilation.limited(self._share()):
                yield
        except BudgetSpent:
            pass

    def score(
        self, program: NERProgram, changes: Mapping[str, Any], documents: Sequence[Document], *, report: bool = True
    ) -> Contender:
        """Score a program on dev documents and report it as a trial. Raises BudgetSpent if the calls do not suffice."""
        return self.finished(program, changes, documents, score(program, documents), report=report)

    def finished(
        self, program: NERProgram, changes: Mapping[str, Any], documents: Sequence[Document], scored: Scored, *,
        report: bool = True,
    ) -> Contender:  # fmt: skip
        """Record the scores of a program, and report them as a trial. Equal programs are one contender."""
        contender = self.contenders.setdefault(identity(program), Contender(program, changes))
        places = [self.place[d.id] for d in documents]
        contender.units += units_of(
            program, [d for d, i in zip(documents, places, strict=True) if i not in contender.rows]
        )
        contender.rows |= dict(zip(places, scored.counts, strict=True))
        if report:
            self._trials += 1
            contender.number = contender.number or self._trials
            self.on_trial(Trial(self._trials, changes, scored, len(documents), self.compilation.calls, program))
        if scored.total.unanswered >= scored.units > 0 and not any(c.rankable for c in self.contenders.values()):
            raise self._outage()  # no call was answered: further trials would only wait
        return contender

    def best(self) -> list[Contender]:
        """Return the rankable candidates, best first: those scored on at least half of the most documents, by F1."""
        known = [c for c in self.contenders.values() if c.rankable]
        most = max((len(c.rows) for c in known), default=0)
        return sorted(known, key=lambda c: (2 * len(c.rows) < most, -c.total.f1, c.number))

    def choose(self, *favoured: NERProgram) -> NERProgram:
        """Return the best program on all of dev, of the `favoured` and then the best candidates.

        The finalists are scored in this order while calls remain. The initial program is a finalist, the second, unless it is
        significantly worse. If the calls cover less than two passes over dev, two finalists are compared on a part of dev. Ties
        go to the cheaper program, then to the earlier one.

        Raises BudgetError if nothing could be scored, OutageError if too many calls failed.
        """
        wanted = [self.contenders.setdefault(identity(p), Contender(p, {})) for p in favoured]
        first = self.contenders.setdefault(identity(self.program), Contender(self.program, {}))
        ranked = [*wanted, *(c for c in self.best() if c.rows)] or [first]
        second = [] if self._clearly_worse(first, ranked[0]) else [first]
        finalists = list({id(c): c for c in (ranked[0], *second, *ranked[1:])}.values())
        places = range(self._payable(finalists[:FINALISTS]))
        with suppress(BudgetSpent):
            for n, contender in enumerate(finalists):
                rest = [self.order[i] for i in places if i not in contender.rows]
                if n >= FINALISTS and self.remaining.price(contender.program, rest) > self.remaining.left():
                    break
                if rest or not contender.number:
                    changes = (
                        {**contender.changes, "final": contender.number} if contender.number else contender.changes
                    )
                    self.score(contender.program, changes, [self.order[i] for i in places])
        tried = [c for c in self.contenders.values() if c.rows]
        if not tried:
            raise BudgetError(
                f"optimizer.budget ({self.budget}) does not allow one trial on dev ({len(self.order)} documents)"
            )
        full = [c for c in tried if all(i in c.rows for i in places)]
        fit = [c for c in full if c.rankable]
        if not fit and (known := [c for c in self.best() if c.rows]):
            return self.won(known[0], "the budget ended before the final choice, and it was the best by then")
        if not fit:
            raise self._outage()
        top = max(c.f1(places) for c in fit)
        equal = [c for c in fit if c.f1(places) == top]
        winner = min(equal, key=lambda c: (size_of(c.program, self.order) if len(equal) > 1 else 0, c.number))
        return self.won(winner, of_final(winner, fit, tried, places, len(self.order)))

    def won(self, winner: Contender, why: str) -> NERProgram:
        """Return the winner's program, with one sentence on `why` it won."""
        start = identity(winner.program) == identity(self.program)
        winner.program.why = (
            f"{'The program that the search began with is kept' if start else f'Trial {winner.number} wins'}: {why}."
        )
        return winner.program

    def _clearly_worse(self, ours: Contender, theirs: Contender) -> bool:
        both = sorted(ours.rows.keys() & theirs.rows.keys())
        return worse([ours.rows[i] for i in both], [theirs.rows[i] for i in both], looks=1)

    def _payable(self, finalists: Sequence[Contender]) -> int:
        """Return how many documents of the order all `finalists` can be scored on with the remaining budget."""
        left = self.remaining.left()
        for size in range(1, len(self.order) + 1):
            document = [self.order[size - 1]]
            left -= sum(self.remaining.price(c.program, document) for c in finalists if size - 1 not in c.rows)
            if left < 0:
                return max(size - 1, 1)
        return len(self.order)

    def _affordable(self) -> int:
        """Return how many calls the budget covers. Limits in tokens or money are converted by the estimated cost of a call."""
        most = [self.budget.calls] if self.budget.calls is not None else []
        if self.budget.tokens is not None or self.budget.cost is not None:
            tokens_in, tokens_out = per_call(self.program, self.order)
            if self.budget.tokens is not None:
                most.append(self.budget.tokens // (tokens_in + tokens_out))
            price = self.compilation.lm.meter.backend.price
            if self.budget.cost is not None and price is not None and (each := price.cost(tokens_in, tokens_out)) > 0:
                most.append(int(self.budget.cost / each))
        return max(min(most), 1) if most else WITHOUT_LIMIT * self.whole

    def _share(self) -> Budget:
        """Return the rest of the search's share, in every unit that the budget limits."""
        spent, share = self.compilation.spent, self.calls / (self.calls + self.reserve)
        limited, tokens, cost = self.budget != Budget(), self.budget.tokens, self.budget.cost
        return Budget(
            self.left if limited else None,
            None if tokens is None else max(int(tokens * share) - spent.tokens, 0),
            None if cost is None else max(cost * share - spent.cost, 0.0),
        )

    def _outage(self) -> OutageError:
        """Return the error for a search in which no program can be ranked."""
        last = self.compilation.lm.meter.last_failure
        return OutageError(
            f"in every trial more than {OUTAGE:.0%} of the LM calls failed{f' (the last one: {last})' if last else ''}; "
            "the answers so far are kept: the same command goes on from here"
        )


def size_of(program: NERProgram, documents: Sequence[Document]) -> int:
    """Return a program's cost: the estimated number of tokens for a few of `documents`."""
    return sum(per_call(program, documents)) * calls_for(program, documents[:8])
