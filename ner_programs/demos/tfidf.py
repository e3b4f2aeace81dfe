"""The k nearest demonstrations by TF-IDF over words and word pairs (KATE's idea with a sparse encoder)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ner_programs.demos._ranking import Nearest, Scores
from ner_programs.demos._sparse import tfidf
from ner_programs.demos.base import Pool, Shown


class Tfidf(Nearest):
    """Cosine similarity over the whole pool; the nearest comes last."""

    def __init__(self, pool: Pool, k: int) -> None:
        super().__init__(pool, k)
        self._index = pool.once("tfidf", lambda: tfidf(pool))

    def scores(self, text: str, exclude: Collection[str]) -> Scores:
        """Return cosines."""
        return np.zeros(len(self.pool), np.float32) if self._index is None else self._index.scores(text)


def build(*, pool: Pool, k: Shown = 8) -> Tfidf:
    """Build the index over `pool`."""
    return Tfidf(pool, k)
