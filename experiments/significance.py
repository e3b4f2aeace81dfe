"""Bootstrap intervals of micro-F1, and the paired bootstrap between two programs.

A row is what is resampled: the `Counts` of a document, or of a sentence where documents are not known (`pooled` adds
sentences up to their documents). Each resample draws as many rows as there are, with replacement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ner_programs.scoring import Counts

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_CELLS = 1 << 22  # numbers drawn at once: 32 MB


@dataclass(frozen=True, slots=True)
class Difference:
    """F1 of `b` less F1 of `a`: the point, its 95 % interval and the two-sided bootstrap p-value."""

    delta: float
    lo: float
    hi: float
    p: float

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0: the only case in which one may say "better" or "worse"."""
        return self.lo > 0 or self.hi < 0


def pooled(rows: Sequence[Counts], groups: Sequence[str]) -> list[Counts]:
    """Add up the rows of each group, in order of first appearance; `groups[i]` is the group of `rows[i]`."""
    sums: dict[str, Counts] = {}
    for row, group in zip(rows, groups, strict=True):
        sums[group] = sums.get(group, Counts()) + row
    return list(sums.values())


def interval(counts: Sequence[Counts], n: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile interval of micro-F1 over `n` resamples of the rows; ValueError without rows."""
    table = np.array([(2 * c.correct, c.predicted + c.gold) for c in counts], dtype=np.int64)
    scores = np.concatenate([_f1(sums) for sums in _resamples(table, n, seed)])
    return _middle(scores)


def paired(a: Sequence[Counts], b: Sequence[Counts], n: int = 10_000, seed: int = 0) -> Difference:
    """Compare two programs on the same rows in the same order; ValueError where they are not as many, or none."""
    if len(a) != len(b):
        raise ValueError(f"a paired bootstrap needs the same rows on both sides, not {len(a)} and {len(b)}")
    if any(x.gold != y.gold for x, y in zip(a, b, strict=True)):
        raise ValueError("a paired bootstrap needs the same rows on both sides: their gold counts differ")
    table = np.array(
        [(2 * x.correct, x.predicted + x.gold, 2 * y.correct, y.predicted + y.gold) for x, y in zip(a, b, strict=True)],
        dtype=np.int64,
    )
    deltas = np.concatenate([_f1(sums[:, 2:]) - _f1(sums[:, :2]) for sums in _resamples(table, n, seed)])
    total = table.sum(axis=0, keepdims=True)
    point = float((_f1(total[:, 2:]) - _f1(total[:, :2]))[0])
    tail = min(int((deltas <= 0).sum()), int((deltas >= 0).sum()))
    return Difference(point, *_middle(deltas), p=min(1.0, 2 * (tail + 1) / (n + 1)))


def _resamples(table: Ints, n: int, seed: int) -> Iterator[Ints]:
    """Yield blocks of the column sums of `n` resamples of a table of rows; shapes (m, columns), the m add up to n.

    Equal rows are drawn together, by one multinomial over the distinct ones: the same distribution, and of a thousand
    sentences perhaps thirty differ.
    """
    if not len(table):
        raise ValueError("a bootstrap needs at least one row")
    distinct, often = np.unique(table, axis=0, return_counts=True)
    random = np.random.default_rng(seed)
    block = max(1, _CELLS // len(distinct))
    for first in range(0, n, block):
        weights = random.multinomial(len(table), often / len(table), size=min(block, n - first))
        yield weights @ distinct


def _f1(sums: Ints) -> Floats:
    """Return F1 of rows (2 correct, predicted + gold), shape (m, 2) to (m,); nothing of nothing is 1.0."""
    return np.divide(sums[:, 0], sums[:, 1], out=np.ones(len(sums)), where=sums[:, 1] > 0)


def _middle(scores: Floats) -> tuple[float, float]:
    lo, hi = np.percentile(scores, (2.5, 97.5))
    return float(lo), float(hi)
