"""Statistics of a race: a test for two programs on the documents that both answered, and a model of all comparisons.

`worse` is a paired randomization test for micro-F1 (Noreen 1989; Yeh 2000). It assumes nothing about the distribution of the
differences, and it cannot reject on a handful of documents. `Beliefs` estimates from all races the gain of each value of each
setting, so that the next candidates combine the values that help.
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
"""Probability that a candidate as good as its rival is dropped by mistake, over all looks of its race."""
DRAWS = 2_000
SPREAD = 0.006
"""Prior standard deviation of a value's gain around its expected gain, in F1. It is small, so that chance on few documents
moves the estimate little (in simulated races .005 to .008 were best)."""
INTERPLAY = 0.004
"""Standard deviation of a program's gain around the sum of the gains of its values."""

_PER_DOCUMENT = ("counts", "predicted", "lost", "answers")
Rows = Sequence[Counts]
Floats = NDArray[np.float64]


@dataclass(slots=True)
class Runner:
    """A candidate in the race, at a point of the search space.

    `rows` are its counts on the first documents of the order; `reported` is how many of them the last trial had.
    """

    point: tuple[int, ...]
    program: NERProgram
    pieces: list[Scored] = field(default_factory=list)
    rows: list[Counts] = field(default_factory=list)
    reported: int = 0

    @property
    def scored(self) -> Scored:
        """All its scores as one."""
        joined = [tuple(x for p in self.pieces for x in getattr(p, name)) for name in _PER_DOCUMENT]
        unreadable, units = (sum(getattr(p, name) for p in self.pieces) for name in ("unreadable", "units"))
        return Scored(joined[0], joined[1], unreadable, units, joined[2], joined[3])

    @property
    def rankable(self) -> bool:
        """Whether at most 2 % of its units went unanswered."""
        return sum(r.unanswered for r in self.rows) <= OUTAGE * max(sum(p.units for p in self.pieces), 1)

    def f1(self, documents: int | None = None) -> float:
        """Return the micro-F1 on the first `documents`, by default on all that it was scored on."""
        return sum(self.rows[:documents], Counts()).f1


def worse(ours: Rows, theirs: Rows, looks: int, seed: int = 1) -> bool:
    """Return whether the micro-F1 of `ours` is significantly below that of `theirs`, on the documents that both have.

    The documents on which the two differ are swapped between them at random; p is the share of draws with a difference as low
    as the observed one. Each of the `looks` at a race spends an equal part of ALPHA (Bonferroni), so that repeated looks drop
    no more good candidates than one look. With fewer than six such documents p cannot be small enough.
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
    """Return the difference in micro-F1 (`ours` minus `theirs`) and its influence function, on the n documents that both have.

    The influence function has n numbers, the linear part of the difference for each document. The sum of their squares is the
    variance of the difference.
    """
    n = min(len(ours), len(theirs))
    a, b = _table(ours[:n]), _table(theirs[:n])
    return float(_f1(a.sum(0)) - _f1(b.sum(0))), _influence(a) - _influence(b)


class Beliefs:
    """A Bayesian linear model of gains: the posterior over values of settings, from differences between programs and a base.

    A program's gain is the sum of the gains of its values and of an interaction term of its own. `values` is the posterior mean
    of every value of every setting (one vector), `programs` that of every program. Races share documents, so their errors are
    correlated: the covariance of two differences is the product of their influence functions.
    """

    def __init__(self, hopes: Floats, shown: Floats, gains: Floats, influences: Sequence[Floats]) -> None:
        """Fit the model to the `gains` of programs over a base and to their influence functions, `influences`.

        `hopes` is the prior mean of each value's gain. `shown` has a row for each program: 1 for a value that only the program
        has, -1 for a value that only the base has.
        """
        longest = max((len(i) for i in influences), default=0)
        errors = np.array([np.pad(i, (0, longest - len(i))) for i in influences]).reshape(len(influences), longest)
        unseen = np.diag([1 / (1 + len(i)) ** 2 for i in influences])  # if no document differs, the next one may
        own = INTERPLAY**2 * np.eye(len(shown))
        weights = np.linalg.pinv(SPREAD**2 * shown @ shown.T + own + errors @ errors.T + unseen, hermitian=True)
        surprise = weights @ (gains - shown @ hopes)
        self.values: Floats = hopes + SPREAD**2 * shown.T @ surprise
        self.programs: Floats = shown @ self.values + INTERPLAY**2 * surprise
        covariance = SPREAD**2 * (np.eye(len(hopes)) - SPREAD**2 * shown.T @ weights @ shown)
        self._root = np.linalg.cholesky(covariance + 1e-10 * np.eye(len(hopes)))

    def draw(self, generator: np.random.Generator) -> Floats:
        """Draw a gain for every value from the posterior (Thompson sampling)."""
        drawn: Floats = self.values + self._root @ generator.standard_normal(len(self.values))
        return drawn


def _table(rows: Rows) -> Floats:
    """Return for each document 2 * correct and predicted + gold: their sums give the micro-F1. Shape (documents, 2)."""
    return np.array([(2 * r.correct, r.predicted + r.gold) for r in rows], dtype=float).reshape(len(rows), 2)


def _f1(sums: Floats) -> Floats:
    of = sums[..., 1]
    return np.divide(sums[..., 0], of, out=np.zeros_like(of), where=of > 0)


def _influence(table: Floats) -> Floats:
    whole = table.sum(0)
    made: Floats = (table[:, 0] - _f1(whole) * table[:, 1]) / max(whole[1], 1.0)
    return made
