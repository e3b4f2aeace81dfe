"""A linear-chain CRF as plain arrays: trained by CRFsuite, then stored as its weights. No library reads a model file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import pycrfsuite
from numpy.typing import NDArray

from ner_programs.tagger.crf import Chain, Trainer, own_file, trained

Floats = NDArray[np.float64]
Row = Sequence[str] | dict[str, float]
"""The features of a token: their names, or a map from names to values. All rows of a text have the same form."""
_SMALL = 5e-4
"""Weights with a smaller absolute value are dropped."""


class LinearChain:
    """The weights of a CRF. Tags are numbered as in `Chain`: O, then B and I of each label.

    `weights` has the shape (features, tags). `edges` has the shape (tags, tags): the weights of a tag (row) before another
    (column). `known` marks the tags that occurred in training; all others are impossible.
    """

    def __init__(self, features: Sequence[str], weights: Floats, edges: Floats, known: Sequence[bool]) -> None:
        self.features, self.edges, self.known = list(features), edges, list(known)
        self._padded = np.vstack([weights, np.zeros((1, len(self.known)))])  # the last row is for unknown features
        self.weights: Floats = self._padded[:-1]
        self._number = {feature: n for n, feature in enumerate(self.features)}
        self._possible = np.where(np.array(self.known), 1.0, 0.0)
        both = np.outer(self._possible, self._possible)
        self._follows = (np.exp(np.clip(edges, -50, 50)) * both).tolist()

    @classmethod
    def fit(
        cls, texts: Iterable[tuple[Sequence[Row], Sequence[str]]], labels: int, *, c2: float, iterations: int
    ) -> LinearChain:
        """Train a CRF on texts. Each token has features and a tag: "O", or "B-" or "I-" with the number of a label."""
        trainer = Trainer(iterations, c2)
        for rows, tags in texts:
            if tags:
                trainer.append(rows, tags)
        return cls.read(trained(trainer), labels)

    @classmethod
    def read(cls, model: bytes, labels: int) -> LinearChain:
        """Return the weights of a CRFsuite model that was trained in this process."""
        tags = ["O", *(f"{part}-{n}" for n in range(labels) for part in "BI")]
        number = {tag: n for n, tag in enumerate(tags)}
        tagger: Any = pycrfsuite.Tagger()
        tagger.open_inmemory(model)
        known = [tag in tagger.labels() for tag in tags]
        edges = np.zeros((len(tags), len(tags)))
        rows: dict[str, Floats] = {}
        for kind, left, right, weight in _dumped(tagger):
            if kind == "edge" and left in number and right in number:
                edges[number[left], number[right]] = weight
            elif kind == "state" and right in number and abs(weight) > _SMALL:
                rows.setdefault(left, np.zeros(len(tags)))[number[right]] = weight
        weights = np.stack([*rows.values()]) if rows else np.zeros((0, len(tags)))
        return cls([*rows], weights, edges, known)

    def chain(self, rows: Sequence[Row]) -> Chain:
        """Return the potentials of a text."""
        if not rows:
            return Chain([], self._follows)
        scores = np.where(self._possible > 0, self._scores(rows), -np.inf)
        return Chain(np.exp(scores - scores.max(axis=1, keepdims=True)).tolist(), self._follows)

    def marginals(self, rows: Sequence[Row]) -> Floats:
        """Return the probability of each tag (columns) of each token (rows)."""
        if not rows:
            return np.zeros((0, len(self.known)))
        chain = self.chain(rows)
        forward, scales = chain.forward()
        backward, _ = chain.backward(scales)
        with np.errstate(invalid="ignore", over="ignore"):
            both = np.nan_to_num(np.array(forward) * np.array(backward), posinf=0.0)
        both[both.sum(axis=1) <= 0, 0] = 1.0  # the weights are too large to compute a probability: O
        found: Floats = both / both.sum(axis=1, keepdims=True)
        return found

    def _scores(self, rows: Sequence[Row]) -> Floats:
        """Return the score of each tag (columns) of each token (rows), computed in one sum over all features of the text."""
        nothing = len(self.features)
        numbers: list[int] = []
        worths: list[float] = []
        starts = []
        for row in rows:
            starts.append(len(numbers))
            numbers += map(self._number.get, row, repeat(nothing))
            numbers.append(nothing)  # so that no row is empty
            if isinstance(row, dict):
                worths += row.values()
                worths.append(0.0)
        each = self._padded[numbers]
        if worths:
            each *= np.array(worths)[:, None]
        found: Floats = np.add.reduceat(each, starts, axis=0)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the CRF as plain data."""
        return {
            "features": self.features, "weights": np.round(self.weights, 4).ravel().tolist(),
            "edges": np.round(self.edges, 4).ravel().tolist(), "known": self.known,
        }  # fmt: skip

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> LinearChain:
        """Rebuild a CRF from `as_dict`; ValueError if the sizes of its parts do not match."""
        size = len(data["known"])
        weights, edges = np.array(data["weights"], dtype=float), np.array(data["edges"], dtype=float)
        return cls(
            data["features"], weights.reshape(len(data["features"]), size), edges.reshape(size, size), data["known"]
        )


def _dumped(tagger: Any) -> Iterator[tuple[str, str, str, float]]:
    """Yield the weights of a model: kind ("edge" or "state"), the previous tag or the feature, the tag, the weight."""
    with own_file() as path:
        tagger.dump(path)
        with open(path, encoding="utf-8", newline="\n") as file:
            dump = file.read()
    kind = ""
    for line in dump.split("\n"):
        if line in ("TRANSITIONS = {", "STATE_FEATURES = {"):
            kind = {"T": "edge", "S": "state"}[line[0]]
        elif kind and line.startswith("  ("):
            left, _, rest = line.partition(") ")[2].rpartition(" --> ")
            right, _, weight = rest.rpartition(": ")
            yield kind, left, right, float(weight)
