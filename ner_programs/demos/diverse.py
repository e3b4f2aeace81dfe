"""Near but diverse demonstrations, by maximal marginal relevance (Carbonell and Goldstein 1998)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ner_programs.demos._ranking import nearest
from ner_programs.demos._sparse import TfidfIndex, tfidf
from ner_programs.demos.base import Demonstration, Pool, Shown

WIDER = 4  # candidates for each wanted demonstration


class Diverse:
    """Chooses one by one, of the nearest 4 k by TF-IDF, demonstrations near to the text and far from those already chosen.

    `relevance` is the weight of nearness against diversity (the lambda of the paper): 1 is the same as `tfidf`.
    """

    def __init__(self, pool: Pool, k: int, relevance: float) -> None:
        self.pool, self.k, self.relevance = pool, k, relevance
        self._index: TfidfIndex | None = pool.once("tfidf", lambda: tfidf(pool))

    def __deepcopy__(self, memo: dict[int, Any]) -> Diverse:
        return self

    def __call__(self, text: str, exclude: Collection[str] = ()) -> list[Demonstration]:
        """Return k demonstrations, the nearest to the text last."""
        if self.k < 1 or not self.pool:
            return []
        if self._index is None:
            near = nearest(self.pool, np.zeros(len(self.pool), np.float32), self.k, text, exclude)
            return [self.pool[row] for row in reversed(near)]
        scores = self._index.scores(text)
        near = nearest(self.pool, scores, WIDER * self.k, text, exclude)
        rows = self._index.rows[near]
        alike = (rows @ rows.T).toarray()
        chosen = _marginal(scores[near], alike, min(self.k, len(near)), self.relevance)
        return [self.pool[near[n]] for n in sorted(chosen, reverse=True)]


def _marginal(relevance: Any, alike: Any, k: int, weight: float) -> list[int]:
    """Return the k chosen rows in the order of choice, ties by row."""
    chosen: list[int] = []
    gain, cost = weight * relevance, (1 - weight) * alike
    dearest = np.zeros(len(relevance), np.float32)
    for _ in range(k):
        chosen.append(int((gain - dearest).argmax()))
        gain[chosen[-1]] = -np.inf
        np.maximum(dearest, cost[chosen[-1]], out=dearest)
    return chosen


def build(
    *,
    pool: Pool,
    k: Shown = 8,
    relevance: Annotated[float, Field(ge=0, le=1)] = 0.7,
) -> Diverse:
    """Build the index over `pool`; `relevance` weighs nearness to the text against diversity."""
    return Diverse(pool, k, relevance)
