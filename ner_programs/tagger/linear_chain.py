"""A linear-chain CRF as plain arrays: fitted by CRFsuite, then kept as what it has learned. No library reads a file of it."""

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
"""The features of a token: those that it has, or what each of them is worth; of a text all are of one kind."""
_SMALL = 5e-4
"""A weight nearer to 0 is none."""


class LinearChain:
    """The weights of a CRF over `tags`, numbered as in `Chain`: O, then B and I of each label.

    `weights` has a row for each feature and a column for each tag, `edges` the weights of one tag after another; `known` says
    which tags were ever seen, all others are impossible.
    """

    def __init__(self, features: Sequence[str], weights: Floats, edges: Floats, known: Sequence[bool]) -> None:
        self.features, self.edges, self.known = list(features), edges, list(known)
        self._padded = np.vstack([weights, np.zeros((1, len(self.known)))])  # what is not known weighs nothing
        self.weights: Floats = self._padded[:-1]
        self._number = {feature: n for n, feature in enumerate(self.features)}
        self._possible = np.where(np.array(self.known), 1.0, 0.0)
        both = np.outer(self._possible, self._possible)
        self._follows = (np.exp(np.clip(edges, -50, 50)) * both).tolist()

    @classmethod
    def fit(
        cls, texts: Iterable[tuple[Sequence[Row], Sequence[str]]], labels: int, *, c2: float, iterations: int
    ) -> LinearChain:
        """Fit it to texts of which every token has features and a tag: "O", or "B-" or "I-" and the number of a label."""
        trainer = Trainer(iterations, c2)
        for rows, tags in texts:
            if tags:
                trainer.append(rows, tags)
        return cls.read(trained(trainer), labels)

    @classmethod
    def read(cls, model: bytes, labels: int) -> LinearChain:
        """Return what a model of CRFsuite, made in this process, has learned."""
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
        both[both.sum(axis=1) <= 0, 0] = 1.0  # weights so large that nothing can be told
        found: Floats = both / both.sum(axis=1, keepdims=True)
        return found

    def _scores(self, rows: Sequence[Row]) -> Floats:
        """Return the score of each tag (columns) of each token (rows), all in one sum over the features of the text."""
        nothing = len(self.features)
        numbers: list[int] = []
        worths: list[float] = []
        starts = []
        for row in rows:
            starts.append(len(numbers))
            numbers += map(self._number.get, row, repeat(nothing))
            numbers.append(nothing)  # no row is empty
            if isinstance(row, dict):
                worths += row.values()
                worths.append(0.0)
        each = self._padded[numbers]
        if worths:
            each *= np.array(worths)[:, None]
        found: Floats = np.add.reduceat(each, starts, axis=0)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "features": self.features, "weights": np.round(self.weights, 4).ravel().tolist(),
            "edges": np.round(self.edges, 4).ravel().tolist(), "known": self.known,
        }  # fmt: skip

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> LinearChain:
        """Return what `as_dict` was made from; ValueError where its parts do not fit one another."""
        size = len(said["known"])
        weights, edges = np.array(said["weights"], dtype=float), np.array(said["edges"], dtype=float)
        return cls(
            said["features"], weights.reshape(len(said["features"]), size), edges.reshape(size, size), said["known"]
        )


def _dumped(tagger: Any) -> Iterator[tuple[str, str, str, float]]:
    """Yield the weights of a model: what it is of, the feature or the tag before, the tag, the weight."""
    with own_file() as path:
        tagger.dump(path)
        with open(path, encoding="utf-8", newline="\n") as file:
            said = file.read()
    kind = ""
    for line in said.split("\n"):
        if line in ("TRANSITIONS = {", "STATE_FEATURES = {"):
            kind = {"T": "edge", "S": "state"}[line[0]]
        elif kind and line.startswith("  ("):
            left, _, rest = line.partition(") ")[2].rpartition(" --> ")
            right, _, weight = rest.rpartition(": ")
            yield kind, left, right, float(weight)
