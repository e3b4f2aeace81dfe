"""Selects demonstrations by scores; the base of all selectors that rank the pool."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ner_programs.demos.base import Demonstration, Pool, showing

Scores = NDArray[np.float32]


class Nearest:
    """A selector of the k highest-scored allowed demonstrations, the highest last. Ties are in the order of the pool."""

    def __init__(self, pool: Pool, k: int) -> None:
        self.pool, self.k = pool, k

    def __deepcopy__(self, memo: dict[int, Any]) -> Nearest:
        return self

    def __call__(self, text: str, exclude: Collection[str] = ()) -> list[Demonstration]:
        """Return the k nearest demonstrations, nearest last."""
        if self.k < 1 or not self.pool:
            return []
        rows = nearest(self.pool, self.scores(text, exclude), self.k, text, exclude)
        return [self.pool[row] for row in reversed(rows)]

    def scores(self, text: str, exclude: Collection[str]) -> Scores:
        """Return the similarity of each demonstration of the pool to `text`; shape (len(pool),)."""
        raise NotImplementedError


def nearest(pool: Pool, scores: Scores, k: int, text: str, exclude: Collection[str]) -> list[int]:
    """Return the rows of the k highest-scored demonstrations allowed for `text`, highest first, ties in the pool's order."""
    width, may = 2 * k + len(exclude) + 64, showing(text, exclude)
    while True:
        ranked = _highest(scores, width)
        rows = list(islice((row for row in ranked if may(pool[row])), k))
        if len(rows) == k or width >= len(scores):
            return rows
        width *= 4


def _highest(scores: Scores, width: int) -> list[int]:
    """Return the rows of the `width` highest scores, highest first, ties by row."""
    if width < len(scores):
        least = np.partition(scores, -width)[-width]
        above = np.flatnonzero(scores > least)
        equal = np.flatnonzero(scores == least)[: width - len(above)]
        above = above[np.argsort(-scores[above], kind="stable")]
        return [*above.tolist(), *equal.tolist()]
    ranked: list[int] = np.argsort(-scores, kind="stable").tolist()
    return ranked
