"""Significance of micro-F1: bootstrap intervals, paired bootstrap and approximate randomization, Holm's correction.

A row is the unit of resampling: the `Counts` of a document, or of a sentence if documents are unknown (`pooled` adds sentences
up to documents). Each resample draws as many rows as there are, with replacement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ner_programs.scoring import Counts

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ALPHA = 0.05
FEWEST = 10
"""Minimum number of rows: with fewer, the bootstrap's interval is far too narrow for a verdict."""
Verdict = Literal["better", "worse", "not told apart", "too few to tell"]
_CELLS = 1 << 22  # numbers drawn at once: 32 MB


@dataclass(frozen=True, slots=True)
class Difference:
    """F1 of `b` minus F1 of `a`: the estimate, its 95 % interval and the two-sided bootstrap p-value."""

    delta: float
    lo: float
    hi: float
    p: float

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0. For several differences use `verdict`, which corrects for their number."""
        return self.lo > 0 or self.hi < 0


def verdict(difference: Difference, p_holm: float, rows: int) -> Verdict:
    """Return the verdict on a difference over `rows` rows; every table and page uses this rule.

    It is "better" or "worse" if the interval excludes 0 and the p-value, corrected over all comparisons of the table, is at
    most ALPHA. With fewer than FEWEST rows it is "too few to tell".
    """
    if rows < FEWEST:
        return "too few to tell"
    if not difference.significant or p_holm > ALPHA:
        return "not told apart"
    return "better" if difference.delta > 0 else "worse"


def pooled(rows: Sequence[Counts], groups: Sequence[str]) -> list[Counts]:
    """Add up the rows of each group, in order of first appearance; `groups[i]` is the group of `rows[i]`."""
    sums: dict[str, Counts] = {}
    for row, group in zip(rows, groups, strict=True):
        sums[group] = sums.get(group, Counts()) + row
    return list(sums.values())


def interval(counts: Sequence[Counts], n: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile interval of micro-F1 over `n` resamples of the rows. Raises ValueError without rows."""
    table = np.array([(2 * c.correct, c.predicted + c.gold) for c in counts], dtype=np.int64)
    scores = np.concatenate([_f1(sums) for sums in _resamples(table, n, seed)])
    return _middle(scores)


def paired(a: Sequence[Counts], b: Sequence[Counts], n: int = 10_000, seed: int = 0) -> Difference:
    """Compare two programs by the paired bootstrap. Raises ValueError if the rows are not the same, or if there are none."""
    table = _side_by_side(a, b)
    deltas = np.concatenate([_f1(sums[:, 2:]) - _f1(sums[:, :2]) for sums in _resamples(table, n, seed)])
    total = table.sum(axis=0, keepdims=True)
    point = float((_f1(total[:, 2:]) - _f1(total[:, :2]))[0])
    tail = min(int((deltas <= 0).sum()), int((deltas >= 0).sum()))
    return Difference(point, *_middle(deltas), p=min(1.0, 2 * (tail + 1) / (n + 1)))


def randomization(a: Sequence[Counts], b: Sequence[Counts], n: int = 10_000, seed: int = 0) -> float:
    """Return the two-sided p-value of the difference in micro-F1 by approximate randomization (Noreen 1989; Yeh 2000).

    Under the null hypothesis the two answers to a row are exchangeable. Each of `n` shuffles swaps each row's answers with
    probability 1/2. p is the share of shuffles, including the observed one, whose difference is at least as large. The order
    of the programs does not matter. Raises ValueError if the rows are not the same, or if there are none.
    """
    table = _side_by_side(a, b)
    if not len(table):
        raise ValueError("a randomization test needs at least one row")
    both, apart = table[:, :2] + table[:, 2:], table[:, 2:] - table[:, :2]
    total, point = both.sum(axis=0, keepdims=True), apart.sum(axis=0, keepdims=True)
    apart = apart[apart.any(axis=1)]  # swapping equal counts changes nothing
    random = np.random.default_rng(seed)
    least = abs(_gap(total, point)[0]) - 1e-12  # equal fractions may differ in their last digit
    extreme = 0
    for block in _blocks(n, len(apart)):
        kept = random.integers(0, 2, size=(block, len(apart)), dtype=np.int8)
        extreme += int((np.abs(_gap(total, 2 * _sums(kept, apart) - point)) >= least).sum())
    return (extreme + 1) / (n + 1)


def _gap(total: Ints, apart: Floats | Ints) -> Floats:
    """Return F1 of b minus F1 of a from the sum and the difference (b minus a) of their (2 correct, predicted + gold)."""
    return _f1(total + apart) - _f1(total - apart)  # both are twice the counts, which leaves F1 unchanged


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979), in the given order, to be compared with 0.05 directly."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - rank)))
        corrected[i] = highest
    return corrected


def _side_by_side(a: Sequence[Counts], b: Sequence[Counts]) -> Ints:
    """Return (2 correct, predicted + gold) of `a`, then of `b`, one row each, shape (rows, 4)."""
    if len(a) != len(b):
        raise ValueError(f"a paired comparison needs the same rows on both sides, not {len(a)} and {len(b)}")
    if any(x.gold != y.gold for x, y in zip(a, b, strict=True)):
        raise ValueError("a paired comparison needs the same rows on both sides: their gold counts differ")
    rows = [
        (2 * x.correct, x.predicted + x.gold, 2 * y.correct, y.predicted + y.gold) for x, y in zip(a, b, strict=True)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def _resamples(table: Ints, n: int, seed: int) -> Iterator[Floats]:
    """Yield blocks of the column sums of `n` resamples of a table of rows; shapes (m, columns), the m add up to n.

    Equal rows are drawn together by one multinomial over the distinct rows. The distribution is the same, and of a thousand
    sentences perhaps thirty are distinct. If most rows are distinct, they are drawn one by one and counted.
    """
    if not len(table):
        raise ValueError("a bootstrap needs at least one row")
    distinct, often = np.unique(table, axis=0, return_counts=True)
    random = np.random.default_rng(seed)
    if len(distinct) > len(table) // 4:
        for block in _blocks(n, len(table)):
            drawn = random.integers(0, len(table), size=(block, len(table)), dtype=np.int32)
            drawn += np.arange(0, block * len(table), len(table), dtype=np.int32)[:, None]
            yield _sums(np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape), table)
        return
    for block in _blocks(n, len(distinct)):
        yield _sums(random.multinomial(len(table), often / len(table), size=block), distinct)


def _blocks(n: int, columns: int) -> Iterator[int]:
    """Split `n` draws of `columns` columns into blocks that fit into memory."""
    size = max(1, _CELLS // max(1, columns))
    yield from (min(size, n - first) for first in range(0, n, size))


def _sums(weights: npt.NDArray[np.integer[Any]], table: Ints) -> Floats:
    """Return the sums of the rows of `table`, weighted by each row of `weights`: whole numbers, exact below 2**53."""
    return weights.astype(np.float64) @ table.astype(np.float64)


def _f1(sums: Floats | Ints) -> Floats:
    """Return F1 of rows (2 correct, predicted + gold), shape (m, 2) to (m,); 0/0 is 1."""
    return np.divide(sums[:, 0], sums[:, 1], out=np.ones(len(sums)), where=sums[:, 1] > 0)


def _middle(scores: Floats) -> tuple[float, float]:
    lo, hi = np.percentile(scores, (2.5, 97.5))
    return float(lo), float(hi)
