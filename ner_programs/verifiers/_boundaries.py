"""Where a corpus lets its mentions begin and end: a log-linear model over the spans near a given one.

Few weights join the evidence (`_span_evidence`) for each option, fitted so that of the options the annotated one is most
likely (a conditional logit, McFadden 1974). Evidence for a text never contains the text's own (decision D8): it is counted in
the other blocks of the labelled texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ner_programs.demos import Demonstration
from ner_programs.demos.cross_fit import BLOCKS, blocks_of
from ner_programs.verifiers._span_evidence import Evidence, Floats, Place, View, Words, places

_SHOWN = 1500  # mentions that the weights are fitted on; counts are of all
_LEAST = 10  # mentions without which there is nothing to learn
_RAGGED = 0.01  # the share of edges inside words up to which words are taken to be whole
_STEPS, _CLOSE = 50, 1e-4


class Model:
    """The conventions of some labelled texts: of a few spans near a given one, which would be annotated.

    `threshold` is how much likelier (in log-odds) than the given one a better span must be. `whole`: edges never lie inside a
    word.
    """

    def __init__(self, evidence: Evidence, weights: Floats, threshold: float, whole: bool) -> None:
        self.view, self.weights, self.threshold = View(evidence, Evidence()), weights, threshold
        self.whole = whole

    def better(self, words: Words, place: Place) -> tuple[int, int]:
        """Return the span of words that is to stand in place of the given one, most often the same."""
        options = place.options()
        scores = self.view.features(words, place, options) @ self.weights
        best = int(scores.argmax())
        given = options.index((place.start, place.end))
        return options[best] if scores[best] - scores[given] > self.threshold else options[given]


def fit(demonstrations: Sequence[Demonstration], wrong: float) -> Model | None:
    """Fit the model, for answers of which about a share `wrong` has a wrong edge; None where there is too little to learn."""
    shown: list[list[tuple[Words, Place]]] = [[] for _ in range(BLOCKS)]
    ragged = 0
    for d, block in zip(demonstrations, blocks_of(demonstrations), strict=True):
        if spans := d.spans:
            words = Words(d.text)
            shown[block] += [(words, place) for place in places(words, spans) if place.start < place.end]
            ragged += sum(s not in words.starts or e not in words.ends for s, e, _ in spans)
    size = sum(map(len, shown))
    if size < _LEAST or sum(map(bool, shown)) < 2:
        return None
    parts = [Evidence.of(some) for some in shown]
    total = Evidence()
    for part in parts:
        total.merge(part)
    views = [(View(total, part), some) for part, some in zip(parts, shown, strict=True)]
    every = math.ceil(size / _SHOWN)
    cases = [_case(view, words, place) for view, some in views for words, place in some[::every]]
    weights = _weights(cases)
    return Model(total, weights, _threshold(cases, weights, wrong), ragged <= _RAGGED * size)


class _Case(NamedTuple):
    """A mention of the training texts: features of its options, and which of them it is, and which are a step away."""

    rows: Floats
    right: int
    near: list[int]


def _case(view: View, words: Words, place: Place) -> _Case:
    options = place.options()
    steps = [abs(i - place.start) + abs(j - place.end) for i, j in options]
    near = [n for n, step in enumerate(steps) if step == 1]
    return _Case(view.features(words, place, options), steps.index(0), near)


def _weights(cases: Sequence[_Case]) -> Floats:
    """Return the weights under which the right options are most likely, drawn a little to zero."""
    rows = np.vstack([case.rows for case in cases])
    sizes = np.array([len(case.rows) for case in cases])
    begins = np.cumsum(sizes) - sizes
    right = begins + np.array([case.right for case in cases])
    scale = rows.std(axis=0) + 1e-9
    rows = rows / scale
    wanted = rows[right].sum(axis=0)

    def likelihood(weights: Floats) -> tuple[float, Floats]:
        scores = rows @ weights
        scores -= np.repeat(np.maximum.reduceat(scores, begins), sizes)
        odds = np.exp(scores)
        sums = np.add.reduceat(odds, begins)
        value = scores[right].sum() - np.log(sums).sum() - weights @ weights / 2
        return float(value), odds / np.repeat(sums, sizes)

    weights = np.zeros(rows.shape[1])
    value, likely = likelihood(weights)
    for _ in range(_STEPS):  # Newton's method, a step halved until it gains
        weighted = rows * likely[:, None]
        means = np.add.reduceat(weighted, begins)
        curvature = rows.T @ weighted - means.T @ means + np.eye(len(weights))
        step = np.linalg.solve(curvature, wanted - means.sum(axis=0) - weights)
        gained, then = likelihood(weights + step)
        while gained < value and np.abs(step).max() > _CLOSE:
            step /= 2
            gained, then = likelihood(weights + step)
        if np.abs(step).max() <= _CLOSE:
            break
        weights, value, likely = weights + step, gained, then
    fitted: Floats = weights / scale
    return fitted


def _threshold(cases: Sequence[_Case], weights: Floats, wrong: float) -> float:
    """Return the threshold that mends most edges a word off, less right ones moved, if a share `wrong` of answers is off."""
    broken: list[float] = []
    mended: list[float] = []
    for case in cases:
        scores = case.rows @ weights
        best = float(scores.max())
        if scores[case.right] < best:
            broken.append(best - scores[case.right])
        else:
            mended += [(best - scores[n]) for n in case.near]
    steps = sum(len(case.near) for case in cases) or 1
    tried = np.sort(np.array([0.0, *broken]))
    lost = (1 - wrong) / len(cases) * (len(broken) - np.searchsorted(np.sort(broken), tried, side="right"))
    won = wrong / steps * (len(mended) - np.searchsorted(np.sort(mended), tried, side="right"))
    return float(tried[int((won - lost).argmax())])
