"""How two programs are compared on documents that both answered, and what many such comparisons say together.

`worse` decides one race: a paired randomization test for micro-F1 (Noreen 1989; Yeh 2000), which needs no assumption on how
differences are spread and refuses by itself to decide on a handful of documents. `Beliefs` learns from all races what each
value of each setting is worth, so that the next candidates join what has helped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ner_programs.evaluate import OUTAGE, Scored
from ner_programs.program import NERProgram
from ner_programs.scoring import Counts

ALPHA = 0.1
"""How likely a candidate as good as the one it races is dropped by mistake, in all looks of its race together."""
DRAWS = 2_000
SPREAD = 0.006
"""How far the gain of a value is from what was hoped, as a standard deviation in F1. Small, so that luck on few documents
moves little (simulated races went best with .005 to .008)."""
INTERPLAY = 0.004
"""How far a program is from the sum of what its values gain."""

_PER_DOCUMENT = ("counts", "entities", "lost", "answers")
Rows = Sequence[Counts]
Floats = NDArray[np.float64]


@dataclass(slots=True)
class Runner:
    """A candidate in the race, at a point of the search space; `rows` are the counts of the first documents of the order."""

    point: tuple[int, ...]
    program: NERProgram
    pieces: list[Scored] = field(default_factory=list)
    rows: list[Counts] = field(default_factory=list)
    told: int = 0

    @property
    def scored(self) -> Scored:
        """All that it was scored on, as one."""
        joined = [tuple(x for p in self.pieces for x in getattr(p, name)) for name in _PER_DOCUMENT]
        unreadable, units = (sum(getattr(p, name) for p in self.pieces) for name in ("unreadable", "units"))
        return Scored(joined[0], joined[1], unreadable, units, joined[2], joined[3])

    @property
    def rankable(self) -> bool:
        """Whether so few calls went unanswered that its score says something about it."""
        return sum(r.unanswered for r in self.rows) <= OUTAGE * max(sum(p.units for p in self.pieces), 1)

    def f1(self, documents: int | None = None) -> float:
        """Return the micro-F1 on the first documents, or on all that it was scored on."""
        return sum(self.rows[:documents], Counts()).f1


def worse(ours: Rows, theirs: Rows, looks: int, seed: int = 1) -> bool:
    """Say whether `ours` is so much below `theirs` that it is unlikely to win: micro-F1 on the documents that both have.

    The documents on which the two differ are exchanged between them at random; p is the share of draws with a difference as low
    as the observed one. Each of the `looks` at a race spends an equal part of ALPHA (Bonferroni), so looking early and often
    drops no more good candidates than looking once. With fewer than six such documents p cannot be small enough to drop.
    """
    n = min(len(ours), len(theirs))
    a, b = _table(ours[:n]), _table(theirs[:n])
    differ = (a != b).any(axis=1)
    step = (b - a)[differ]
    observed = _f1(a.sum(0)) - _f1(b.sum(0))
    if observed >= 0:
        return False
    swapped = np.random.default_rng(seed).integers(0, 2, (DRAWS, len(step))) @ step
    drawn = _f1(a.sum(0) + swapped) - _f1(b.sum(0) - swapped)
    p = (1 + np.count_nonzero(drawn <= observed + 1e-12)) / (1 + DRAWS)
    return bool(p < ALPHA / looks)


def difference(ours: Rows, theirs: Rows) -> tuple[float, Floats]:
    """Return by how much the micro-F1 of `ours` is above `theirs`, and what each document has to do with it.

    Both are taken on the n documents that both have. The second value has n numbers, the linear part of the difference
    (its influence function): the sum of their squares is the variance of the difference.
    """
    n = min(len(ours), len(theirs))
    a, b = _table(ours[:n]), _table(theirs[:n])
    return float(_f1(a.sum(0)) - _f1(b.sum(0))), _influence(a) - _influence(b)


class Beliefs:
    """What values are worth, by the differences between programs and one of them: a Bayesian linear model.

    A program's gain is the sum of what its values gain and of an interplay of its own. `values` is the expected gain of every
    value of every setting (one vector for all), `programs` that of every program. Races share documents, so their errors are
    not independent: the covariance of two differences is the product of their influence functions.
    """

    def __init__(self, hopes: Floats, shown: Floats, gains: Floats, influences: Sequence[Floats]) -> None:
        """Learn from the `gains` of programs over a base, and from the `influences` of the documents behind them.

        `hopes` is what is expected of values before. `shown` has a row for each program: 1 for each value that it has and
        the base has not, -1 for those that only the base has.
        """
        longest = max((len(i) for i in influences), default=0)
        errors = np.array([np.pad(i, (0, longest - len(i))) for i in influences]).reshape(len(influences), longest)
        unseen = np.diag([1 / (1 + len(i)) ** 2 for i in influences])  # where no document differs, one more might
        own = INTERPLAY**2 * np.eye(len(shown))
        weights = np.linalg.pinv(SPREAD**2 * shown @ shown.T + own + errors @ errors.T + unseen, hermitian=True)
        surprise = weights @ (gains - shown @ hopes)
        self.values: Floats = hopes + SPREAD**2 * shown.T @ surprise
        self.programs: Floats = shown @ self.values + INTERPLAY**2 * surprise
        covariance = SPREAD**2 * (np.eye(len(hopes)) - SPREAD**2 * shown.T @ weights @ shown)
        self._root = np.linalg.cholesky(covariance + 1e-10 * np.eye(len(hopes)))

    def draw(self, generator: np.random.Generator) -> Floats:
        """Return one possible worth of every value (Thompson sampling)."""
        drawn: Floats = self.values + self._root @ generator.standard_normal(len(self.values))
        return drawn


def _table(rows: Rows) -> Floats:
    """Return twice the right ones, and the sum of predicted and gold ones, of each document."""
    return np.array([(2 * r.correct, r.predicted + r.gold) for r in rows], dtype=float).reshape(len(rows), 2)


def _f1(sums: Floats) -> Floats:
    of = sums[..., 1]
    return np.divide(sums[..., 0], of, out=np.zeros_like(of), where=of > 0)


def _influence(table: Floats) -> Floats:
    whole = table.sum(0)
    made: Floats = (table[:, 0] - _f1(whole) * table[:, 1]) / max(whole[1], 1.0)
    return made
