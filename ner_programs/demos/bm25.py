"""The k nearest demonstrations by Okapi BM25 over words (Robertson and Zaragoza 2009, with a non-negative IDF)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from sklearn.feature_extraction.text import CountVectorizer

from ner_programs.demos._ranking import Nearest, Scores
from ner_programs.demos._sparse import Postings, words
from ner_programs.demos.base import Pool, Shown


class Bm25(Nearest):
    """BM25 of the text's words in each demonstration; the nearest comes last."""

    def __init__(self, pool: Pool, k: int, k1: float, b: float) -> None:
        super().__init__(pool, k)
        self._words = words()
        self._index: Postings = pool.once(f"bm25 {k1} {b}", lambda: postings([d.text for d in pool], k1, b))

    def scores(self, text: str, exclude: Collection[str]) -> Scores:
        """Return BM25 scores. A word that occurs twice in the text counts twice."""
        return self._index.scores(Counter(self._words(text)))


def postings(texts: list[str], k1: float, b: float) -> Postings:
    """Return the BM25 weight of each word in each text."""
    counter = CountVectorizer(analyzer=words(), dtype=np.float32)
    counts: Any = counter.fit_transform([*texts, "x"])[:-1].tocsr()  # scikit-learn needs at least one word
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    mean = lengths.mean() or 1.0 if len(texts) else 1.0
    holding = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log1p((len(texts) - holding + 0.5) / (holding + 0.5)).astype(np.float32)
    length = np.repeat(1 - b + b * lengths / mean, np.diff(counts.indptr))
    counts.data = idf[counts.indices] * counts.data * (k1 + 1) / (counts.data + k1 * length)
    return Postings(counts, counter.vocabulary_)


def build(
    *,
    pool: Pool,
    k: Shown = 8,
    k1: Annotated[float, Field(ge=0, le=100)] = 1.5,
    b: Annotated[float, Field(ge=0, le=1)] = 0.75,
) -> Bm25:
    """Build the index over `pool`; `k1` is the saturation of word counts, `b` the normalisation by text length."""
    return Bm25(pool, k, k1, b)
