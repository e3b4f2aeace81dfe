"""The mean F1 of several runs (seeds, draws) on the same rows: its interval, and the paired difference of two such means.

Each resample draws rows and averages the F1 of the runs on them. A few runs estimate the mean over all possible runs with an
error, so each resample also adds such an error: Student's t with (runs - 1) degrees of freedom, times the runs' standard error.
So the interval covers both documents and runs; for a single run it covers documents only. With three runs it is wide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.scoring.significance import Difference, Floats, _f1, _middle, _resamples
from ner_programs.scoring import Counts

Rows = Sequence[Counts]


def f1(rows: Rows) -> float:
    """Return the micro-F1 of all rows together."""
    return sum(rows, Counts()).f1


def mean_and_sd(runs: Sequence[Rows]) -> tuple[float, float | None]:
    """Return the mean F1 of runs and the sample standard deviation; None for a single run."""
    scores = [f1(rows) for rows in runs]
    return float(np.mean(scores)), float(np.std(scores, ddof=1)) if len(scores) > 1 else None


def mean_interval(runs: Sequence[Rows], n: int = 10_000) -> tuple[float, float]:
    """Return the 95 % interval of the mean F1. Raises ValueError without rows."""
    means = np.concatenate([_means(sums) for sums in _resamples(_table(runs), n, 0)]) + _error(runs, n, 1)
    return _middle(np.clip(means, 0, 1))


def mean_difference(a: Sequence[Rows], b: Sequence[Rows], n: int = 10_000, *, matched: bool = False) -> Difference:
    """Return the mean F1 of `b` minus that of `a`, paired by rows. Raises ValueError if the rows are not the same.

    `matched` means that run i of both has the same draw, so that the error of the means is that of the differences.
    """
    if len({tuple(c.gold for c in rows) for rows in (*a, *b)}) > 1:
        raise ValueError("a paired bootstrap needs the same rows on both sides: their gold counts differ")
    table, cut = _table([*a, *b]), 2 * len(a)
    deltas = np.concatenate([_means(s[:, cut:]) - _means(s[:, :cut]) for s in _resamples(table, n, 0)])
    if matched:
        deltas += _drawn([f1(y) - f1(x) for x, y in zip(a, b, strict=True)], n, 1)
    else:
        deltas += _error(b, n, 1) - _error(a, n, 2)
    total = table.sum(axis=0, keepdims=True).astype(np.float64)
    point = float((_means(total[:, cut:]) - _means(total[:, :cut]))[0])
    tail = min(int((deltas <= 0).sum()), int((deltas >= 0).sum()))
    return Difference(point, *_middle(deltas), p=min(1.0, 2 * (tail + 1) / (n + 1)))


def _error(runs: Sequence[Rows], n: int, seed: int) -> Floats:
    """Draw `n` errors of the mean of these runs as an estimate of the mean of all runs; 0 for a single run."""
    return _drawn([f1(rows) for rows in runs], n, seed)


def _drawn(scores: Sequence[float], n: int, seed: int) -> Floats:
    if len(scores) < 2:
        return np.zeros(n)
    size = float(np.std(scores, ddof=1)) / len(scores) ** 0.5
    drawn: Floats = np.random.default_rng(seed).standard_t(len(scores) - 1, n) * size
    return drawn


def _table(runs: Sequence[Rows]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return (2 correct, predicted + gold) of every run side by side, shape (rows, 2 runs)."""
    columns = [[(2 * c.correct, c.predicted + c.gold) for c in rows] for rows in runs]
    return np.concatenate([np.array(c, dtype=np.int64).reshape(-1, 2) for c in columns], axis=1)


def _means(sums: Floats) -> Floats:
    """Return the mean F1 over runs, shape (m, 2 runs) to (m,)."""
    made: Floats = np.mean([_f1(sums[:, i : i + 2]) for i in range(0, sums.shape[1], 2)], axis=0)
    return made
