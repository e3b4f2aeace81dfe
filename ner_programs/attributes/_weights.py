"""One attribute as a logistic regression over features that are there or not."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

Bools = npt.NDArray[np.bool_]
_C, _TOLERANCE, _STEPS = 3.0, 1e-3, 1000
_THRESHOLDS = [round(0.05 * n, 2) for n in range(2, 13)]
_USUAL = 0.3  # the threshold where too few have the attribute to choose one: rare classes are best cut below one half


class Weights(NamedTuple):
    """An attribute: an entity has it if the weights of its features add up to more than 0.

    `f1` is what it gets on the texts that it was learned from, where each block of these is judged by the others.
    """

    name: str
    bias: float
    weights: dict[str, float]
    f1: float

    def says(self, row: Sequence[str]) -> bool:
        """Return whether an entity with these features has the attribute."""
        get = self.weights.get
        return self.bias + sum(get(feature, 0.0) for feature in row) > 0


def fit(name: str, rows: Sequence[Sequence[str]], y: Bools, blocks: Sequence[int]) -> Weights:
    """Fit the attribute that some of the entities have. Its threshold is best where each block is judged by the others."""
    numbers = {feature: n for n, feature in enumerate(sorted({feature for row in rows for feature in row}))}
    found = [numbers[feature] for row in rows for feature in row]
    ends = np.cumsum([0, *map(len, rows)], dtype=np.int32)
    shape = len(rows), len(numbers)
    matrix: Any = csr_matrix((np.ones(len(found)), np.array(found, dtype=np.int32), ends), shape=shape)
    block = np.array(blocks)
    threshold, f1 = _threshold(matrix, y, block)
    model = _fitted(matrix, y)
    weights = dict(zip(numbers, model.coef_[0].tolist(), strict=True))
    return Weights(name, float(model.intercept_[0]) - log(threshold / (1 - threshold)), weights, f1)


def _fitted(matrix: Any, y: Bools) -> Any:
    return LogisticRegression(C=_C, solver="liblinear", tol=_TOLERANCE, max_iter=_STEPS).fit(matrix, y)


def f1_of(said: Bools, wanted: Bools) -> float:
    """Return F1 of what is said; 0 if nothing is right."""
    return float(2 * (said & wanted).sum() / max(1, said.sum() + wanted.sum()))


def _threshold(matrix: Any, y: Bools, block: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return the probability from which on the attribute is said, and F1 with it, over cross-fitted probabilities."""
    likely = np.zeros(len(y))
    for out in np.unique(block[y]):
        rest = block != out
        if y[rest].any() and not y[rest].all():
            likely[~rest] = _fitted(matrix[rest], y[rest]).predict_proba(matrix[~rest])[:, 1]
    f1 = {t: f1_of(likely > t, y) for t in _THRESHOLDS}
    best = max(f1, key=lambda t: (f1[t], -abs(t - _USUAL)))
    return (best if f1[best] > 0 else _USUAL), f1[best]
