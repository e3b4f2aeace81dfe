"""Joint search over settings, demonstrations and instructions, by racing candidates on growing samples of dev.

All candidates are scored on the same prefix of dev, which grows from round to round.

- A candidate that a paired test finds unlikely to win is dropped at once (Hoeffding races, Maron & Moore 1994; F-Race,
  Birattari et al. 2002). If the budget of the next rounds is too small, the least promising candidates are dropped
  (successive halving, Jamieson & Talwalkar 2016).
- The freed budget pays for new candidates: the incumbent with the changes that a Bayesian linear model of all races expects to
  gain most (Thompson sampling; iterated racing as in irace, Lopez-Ibanez et al. 2016; challengers against an incumbent as in
  SMAC, Hutter et al. 2011). So changes that help are combined, unlike in a race of single changes.
- A new candidate starts on the smallest sample and may be dropped on each.
- The rest of the budget scores the best two on as much of dev as it covers.

TPE (optuna) is not used: it needs dozens of trials, and it uses neither the uncertainty of a score nor shared documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ner_programs.bundle.state import identity
from ner_programs.evaluate import calls_a_unit, score, units_of
from ner_programs.lms.metered import BudgetSpent
from ner_programs.program import NERProgram
from ner_programs.types import Document
from ner_programs.verifiers.boundary import share_of_wrong
from optimizers._explain import of_race
from optimizers._racing import Beliefs, Runner, difference, worse
from optimizers._reflection.conventions import Conventions
from optimizers._reflection.instruct import improved
from optimizers._search_space import DIMENSIONS, Point, Space
from optimizers.search import Search, size_of
from optimizers.trial import Compilation

SMALLEST, FEWEST = 30, 6
"""Minimum units of text, and documents, in the first round."""
FINAL = 4
"""Size of the last round: scoring one program on it costs 1 / FINAL of the budget."""
STEPS = 3
"""Dimensions in which a new candidate differs from the incumbent, at most."""
GROWTH = 0.5
"""Share of a round's calls for existing candidates. The rest is for new candidates."""
MOST = 40
"""Maximum number of candidates. On a small dev equal answers are free, and the best of hundreds would win by chance."""
LEARNT = 24
"""Units of train for one new instruction."""


class Course:
    """One compilation: the candidates, the incumbent (`best`), and the remaining budget."""

    def __init__(self, search: Search, space: Space, train: Sequence[Document], seed: int) -> None:
        self.search, self.space, self.remaining = search, space, search.remaining
        self.train, self.seed, self.generator = train, seed, np.random.default_rng(seed)
        self.sizes, self.one_change = self._sizes(), space.one_change()
        self.all: dict[Point, Runner] = {}
        self.best = self._runner(space.start)
        self.living = [self.best]
        self.conventions: Conventions | None = None

    def run(self) -> NERProgram:
        """Return the best program. Raises BudgetError if nothing could be scored, OutageError if too many calls fail."""
        with suppress(BudgetSpent), self.search.compilation.limited():
            for n, size in enumerate(self.sizes):
                left = self.remaining.left()
                self._round(n, size, left - left / (len(self.sizes) - n))
            while self._instruct(0) | self._newcomers(0):
                pass
            self._finish()
        if not self.best.rows or not self.best.rankable:
            return self.search.choose()
        self._report(self.best)
        others = [r for r in self.all.values() if r.rows and r.rankable and r is not self.best]
        most = max((self._expected(r) for r in others), default=0.0)
        rows = [dict(enumerate(r.rows)) for r in (self.best, *others)]
        winner = self.search.contenders[identity(self.best.program)]
        return self.search.won(winner, of_race(rows[0], rows[1:], most, len(self.search.order)))

    def _sizes(self) -> list[int]:
        """Return the number of documents of each round. It doubles from round to round, up to what two programs can afford."""
        documents = len(self.search.order)
        each = self.remaining.price(self.search.program, self.search.order) / documents
        last = max(1, min(documents, int(self.remaining.total / (FINAL * each))))
        sizes, half = [last], -(-last // 2)
        while half >= FEWEST and units_of(self.search.program, self.search.sample(half)) >= SMALLEST:
            sizes, half = [half, *sizes], -(-half // 2)
        return sizes

    def _round(self, number: int, size: int, floor: float) -> None:
        """Score the living candidates on `size` documents and add new ones, while `floor` calls remain for later rounds."""
        if number == 0:
            self._grow(self.best, size)
            self._report(self.best)
            gold = (d.entities for d in self.search.order)
            self.space.rebound(share_of_wrong(zip(gold, self.best.scored.predicted, strict=False)))
        else:
            self._bring(size, floor)
        self._instruct(floor)
        self._newcomers(floor)
        if number + 1 < len(self.sizes):
            self._thin(self.sizes[number + 1], self.remaining.left() / (len(self.sizes) - number - 1))

    def _bring(self, size: int, floor: float) -> None:
        """Score the incumbent, then the most promising others, on `size` documents. Drop those that are too expensive."""
        ranked = self._ranked()
        size = self._payable(ranked[:2], size)
        for n, runner in enumerate(ranked):
            if n > 1 and self._price(runner, size) > self.remaining.left() - floor:
                self._drop(runner)
                continue
            self._grow(runner, size)
            if n > 0:
                self._judge(runner)

    def _payable(self, runners: Sequence[Runner], size: int) -> int:
        """Return on how many documents, at most `size`, all of `runners` can be scored."""
        least = max(len(r.rows) for r in runners)
        fits = (n for n in range(size, least, -1) if sum(self._price(r, n) for r in runners) <= self.remaining.left())
        return next(fits, least)

    def _newcomers(self, floor: float) -> bool:
        """Add new candidates while more than `floor` calls remain. Return whether there was one."""
        some = False
        while (point := self._next()) is not None:
            size = len(self.best.rows)
            plain = self.remaining.price(self.search.program, self.search.sample(size))
            if self.space.price(point) + plain > self.remaining.left() - floor:
                break
            runner = self._runner(point)
            if self._price(runner, size) > self.remaining.left() - floor:
                continue  # more expensive than the initial program
            self._climb(runner, size)
            some = True
        return some

    def _climb(self, runner: Runner, size: int) -> None:
        """Score a new candidate on the samples of the earlier rounds, up to `size` documents, unless it is dropped."""
        self.living.append(runner)
        for step in (*(s for s in self.sizes if s < size), size):
            self._grow(runner, step)
            if not self._judge(runner):
                return

    def _judge(self, runner: Runner) -> bool:
        """Drop a candidate that is unlikely to win, or make it the incumbent if it is ahead. Return whether it lives.

        A candidate is ahead if its expected gain over the incumbent, by all races, is above 0. On few documents, the highest
        score is mostly chance.
        """
        if not runner.rankable or worse(runner.rows, self.best.rows, len(self.sizes), self.seed):
            self._drop(runner)
            return False
        if len(runner.rows) >= len(self.best.rows) and (self._expected(runner) > 0 or not self.best.rankable):
            self.best = runner
            self._report(runner)
        return True

    def _ahead(self, runner: Runner) -> bool:
        """Return whether a candidate beats the incumbent on the same documents: by F1, then by cost."""
        ours, theirs = runner.f1(), self.best.f1()
        if ours != theirs or not self.best.rankable:
            return ours > theirs or not self.best.rankable
        return size_of(runner.program, self.search.order) < size_of(self.best.program, self.search.order)

    def _thin(self, following: int, calls: float) -> None:
        """Keep the incumbent, the best challenger, and as many others as GROWTH of the next `calls` covers."""
        spare = GROWTH * calls
        for n, runner in enumerate(self._ranked()):
            spare -= self._price(runner, following)
            if n > 1 and spare < 0:
                self._drop(runner)

    def _finish(self) -> None:
        """Score the best two on as many documents as the remaining calls cover; the better one becomes the incumbent.

        The initial program is one of the two, unless it is significantly worse than the best.
        """
        pair, first = self._ranked()[:2], self._runner(self.space.start)
        if first not in pair and not worse(first.rows, pair[0].rows, 1, self.seed):
            pair[1:] = [first]
        size = self._payable(pair, len(self.search.order))
        for runner in pair:
            self._grow(runner, size)
        if len(pair) == 2 and pair[1].rankable and self._ahead(pair[1]):
            self.best = pair[1]
        for runner in self.living:
            if runner is not self.best:
                self._report(runner)

    # What to try next

    def _next(self) -> Point | None:
        """Return a new point: at first from the single changes, then one that the model expects to beat the incumbent."""
        if len(self.all) >= MOST:
            return None
        while len(self.sizes) == 1 or len(self.best.rows) <= self.sizes[0]:
            point = next(self.one_change, None)
            if point is None:
                break
            if point not in self.all:
                return point
        _, beliefs = self._beliefs()
        for _ in range(50):
            point = self.space.better(beliefs.draw(self.generator), self.best.point, STEPS)
            if point not in self.all:
                return point
        return None

    def _beliefs(self) -> tuple[list[Runner], Beliefs]:
        """Return the candidates compared with the incumbent, and the model fitted to these comparisons."""
        runs = [r for r in self.all.values() if r.rows and r is not self.best and r.rankable]
        seen = [difference(r.rows, self.best.rows) for r in runs]
        shown = self.space.shown([r.point for r in runs], self.best.point)
        return runs, Beliefs(self.space.hopes(), shown, np.array([gain for gain, _ in seen]), [i for _, i in seen])

    def _expected(self, runner: Runner) -> float:
        """Return the expected F1 gain of a candidate over the incumbent; -1 if they were not compared."""
        runs, beliefs = self._beliefs()
        return next((float(gain) for r, gain in zip(runs, beliefs.programs, strict=True) if r is runner), -1.0)

    def _ranked(self) -> list[Runner]:
        """Return the living candidates: the incumbent, then the others by expected gain."""
        others = [(self._expected(r), r) for r in self.living if r is not self.best]
        return [self.best, *(r for _, r in sorted(others, key=lambda pair: -pair[0]))]

    def _instruct(self, floor: float) -> bool:
        """Have an LM write an instruction from the incumbent's errors on train, if it can and the budget covers it."""
        writer = self.search.compilation.lm.role("prompt")
        known = self.space.values.get("instructions") if writer.writes else None
        number = len(known) - 1 if known else 0
        examples = [e for e in self.space.mixed if e.entities][LEARNT * number : LEARNT * (number + 1)]
        units = calls_a_unit(self.best.program)
        if known is None or not examples or units * len(examples) + 1 > (self.remaining.left() - floor) / 4:
            return False
        self.conventions = self.conventions or Conventions.of(self.train)
        new = improved(self.best.program, examples, self.conventions, writer)
        if new is None:
            return False
        self.space.instruct(new)
        return True

    # Scoring and reporting

    def _runner(self, point: Point) -> Runner:
        return self.all.setdefault(point, Runner(point, self.space.make(point)))

    def _price(self, runner: Runner, size: int) -> float:
        return self.remaining.price(runner.program, self.search.order[len(runner.rows) : size])

    def _grow(self, runner: Runner, size: int) -> None:
        documents = self.search.order[len(runner.rows) : size]
        if documents:
            piece = score(runner.program, documents)
            self.search.finished(runner.program, self._changes(runner), documents, piece, report=False)
            runner.pieces.append(piece)
            runner.rows += piece.counts

    def _drop(self, runner: Runner) -> None:
        self.living = [r for r in self.living if r is not runner]
        self._report(runner)

    def _report(self, runner: Runner) -> None:
        """Report a candidate as a trial, with all its scores, if it has new ones since its last report."""
        if len(runner.rows) > runner.reported:
            runner.reported = len(runner.rows)
            documents = self.search.sample(runner.reported)
            self.search.finished(runner.program, self._changes(runner), documents, runner.scored)

    def _changes(self, runner: Runner) -> dict[str, Any]:
        return self.space.changes(runner.point)


class Race:
    """Races candidates that differ in the dimensions named in `space`."""

    def __init__(self, space: Sequence[str], seed: int) -> None:
        self.space, self.seed = tuple(space), seed
        self.asks_writer = "instructions" in self.space

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the incumbent when the budget is spent. Raises BudgetError and OutageError as `Search.choose` does."""
        search = Search(program, dev, compilation, self.seed)
        space = Space(program, train, self.space, compilation.lm, self.seed)
        return Course(search, space, train, self.seed).run()


def build(
    *, space: Annotated[list[Literal["k", "selector", "format", "retriever", "verify", "demonstrations", "instructions",
                                     "calibration"]],
                        Field(min_length=1)] | None = None, seed: int = 1,
) -> Race:  # fmt: skip
    """Build it; `space` names the dimensions to search (by default all that the program has)."""
    return Race(space or DIMENSIONS, seed)
