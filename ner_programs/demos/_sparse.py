"""Sparse vectors over a pool as an inverted index: a query visits only the postings of its own terms."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from ner_programs.demos._ranking import Scores

Analyzer = Callable[[Any], Sequence[str]]


class Postings:
    """A sparse matrix of shape (demonstrations, terms), stored by term; `terms` maps each term to its column."""

    def __init__(self, matrix: Any, terms: Mapping[str, int]) -> None:
        by_term = matrix.tocsc()
        by_term.sort_indices()
        self.size, self.terms = matrix.shape[0], terms
        self._starts, self._rows, self._weights = by_term.indptr.tolist(), by_term.indices, by_term.data

    def scores(self, query: Mapping[str, float]) -> Scores:
        """Return the inner product of a query with each demonstration."""
        found = np.zeros(self.size, np.float32)
        for term, weight in query.items():
            column = self.terms.get(term)
            if column is not None:
                here = slice(self._starts[column], self._starts[column + 1])
                found[self._rows[here]] += np.float32(weight) * self._weights[here]  # each row occurs once in a column
        return found


class TfidfIndex:
    """TF-IDF vectors of length 1 (logarithmic term counts, smooth IDF, as in scikit-learn); scores are cosines.

    `rows` is the matrix itself, with one row for each demonstration.
    """

    def __init__(self, items: Iterable[Any], analyzer: Analyzer) -> None:
        vectors = TfidfVectorizer(analyzer=analyzer, sublinear_tf=True, dtype=np.float32)
        self.rows, self._analyzer = vectors.fit_transform(items).tocsr(), analyzer
        self._postings = Postings(self.rows, vectors.vocabulary_)
        self._idf: list[float] = vectors.idf_.tolist()

    @classmethod
    def of(cls, items: Sequence[Any], analyzer: Analyzer) -> TfidfIndex | None:
        """Build the index; None if no item has a term."""
        return cls(items, analyzer) if any(analyzer(item) for item in items) else None

    def scores(self, item: Any) -> Scores:
        """Return the cosine of `item` with each of the items, shape (items,)."""
        terms = self._postings.terms
        counts = Counter(term for term in self._analyzer(item) if term in terms)
        weights = {term: (1 + math.log(n)) * self._idf[terms[term]] for term, n in counts.items()}
        length = math.sqrt(sum(w * w for w in weights.values())) or 1.0
        return self._postings.scores({term: w / length for term, w in weights.items()})


def tfidf(pool: Iterable[Any]) -> TfidfIndex | None:
    """Return the index of a pool's texts over words and word pairs; None if there are no words."""
    return TfidfIndex.of([d.text for d in pool], words_and_pairs())


def words_and_pairs() -> Analyzer:
    """Return a function that splits a text into lower-case words of at least two letters, and pairs of them."""
    split = words(r"(?u)\b\w\w+\b")

    def analyzer(text: str) -> list[str]:
        found = split(text)
        return [*found, *(f"{a} {b}" for a, b in pairwise(found))]

    return analyzer


def words(pattern: str = r"(?u)\w+") -> Analyzer:
    """Return a function that splits a text into lower-case words."""
    analyzer: Analyzer = CountVectorizer(token_pattern=pattern).build_analyzer()
    return analyzer
