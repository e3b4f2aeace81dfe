"""The k nearest demonstrations by TF-IDF over words and word pairs (KATE's idea with a sparse encoder)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from sklearn.feature_extraction.text import TfidfVectorizer

from ner_programs.demos._base import Demonstration, Pool, allowed


class Tfidf:
    """Cosine similarity over the whole pool; the nearest comes last."""

    def __init__(self, pool: Pool, k: int) -> None:
        self.pool, self.k = pool, k
        self._vectors, self._index = pool.once("tfidf", lambda: _indexed([d.text for d in pool]))

    def __deepcopy__(self, memo: dict[int, Any]) -> Tfidf:
        return self

    def __call__(self, text: str, exclude: Collection[str] = ()) -> list[Demonstration]:
        """Return the k nearest demonstrations, ties in the order of the pool, nearest last."""
        if self._index is None or self.k < 1:
            return []
        scores = (self._vectors.transform([text]) @ self._index).toarray()[0]
        width = min(len(scores), 2 * self.k + len(exclude) + 64)
        while True:
            near = np.argpartition(-scores, width - 1)[:width] if width < len(scores) else np.arange(len(scores))
            ranked = near[np.lexsort((near, -scores[near]))]
            chosen = [d for d in (self.pool[int(i)] for i in ranked) if allowed(d, text, exclude)][: self.k]
            if len(chosen) == self.k or width == len(scores):
                return chosen[::-1]
            width = min(len(scores), 4 * width)


def _indexed(texts: Sequence[str]) -> tuple[Any, Any]:
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    return vectors, vectors.fit_transform(texts).T.tocsr() if any(map(_has_word, texts)) else None


def _has_word(text: str) -> bool:
    return any(a.isalnum() and b.isalnum() for a, b in pairwise(text))


def build(*, pool: Pool, k: Annotated[int, Field(ge=0)] = 8) -> Tfidf:
    """Build the index over `pool`."""
    return Tfidf(pool, k)
