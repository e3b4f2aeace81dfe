"""The learner of the stand-in: a linear-chain CRF trained only on the demonstrations of one prompt.

A sample is one text of the prompt. All offsets are character offsets, end exclusive. Labels are opaque: they become ids in
order of appearance, so renaming labels only renames the answers.

Decoding is minimum-risk, not Viterbi. A CRF trained on few sentences has high precision and low recall, so a span is predicted
if its exact marginal probability exceeds a threshold below one half.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pycrfsuite

from ner_programs.tagger.consistency import Found, consistent
from ner_programs.tagger.copies import Copies
from ner_programs.tagger.features import Encoded, Hint, Sample, encoded, flat, safe, tags_of, tokens

__all__ = ["Hint", "Sample", "Span", "Tagger", "fit", "tag_in_context", "tokens"]

THRESHOLD = 0.33  # tuned on NCBI dev; .30-.40 differ by less than .01 F1
ENOUGH = (
    20  # tuned on dev: with 9,999 BC2GM loses .018 F1 at k = 64; with 0 NCBI-disease loses .020 at k = 16, more at 4
)
_LEAST = 0.05  # minimum probability of a span that other occurrences of its string may lift above the threshold
_TINY = 1e-300  # keeps an impossible row impossible, without a division by zero
_ZERO_SHOT_SCORE = 0.5

Row = list[float]


@dataclass(frozen=True, slots=True)
class Span:
    """A predicted span. `score` (0..1) is the marginal probability of exactly this span with this label, averaged over the
    occurrences of its string in the text."""

    start: int
    end: int
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Chain:
    """Potentials, non-negative and unnormalised: `nodes[token][tag]` (at least one token) and `edges[tag][next tag]`.

    The tag numbers are O = 0, B of label id n = 1 + 2n, I of label id n = 2 + 2n. An I only follows B or I of its label.
    """

    nodes: Sequence[Row]
    edges: Sequence[Row]

    def forward(self) -> tuple[list[Row], Row]:
        """Return the forward rows, each scaled to a sum of 1, and the scales."""
        tags = range(len(self.edges))
        before = [[b - 1, b] if b and b % 2 == 0 else list(tags) for b in tags]
        first = [0.0 if b and b % 2 == 0 else self.nodes[0][b] for b in tags]
        scales = [sum(first) or _TINY]
        rows = [[x / scales[0] for x in first]]
        for node in self.nodes[1:]:
            last = rows[-1]
            row = [node[b] * sum([last[a] * self.edges[a][b] for a in before[b]]) for b in tags]
            scales.append(sum(row) or _TINY)
            rows.append([x / scales[-1] for x in row])
        return rows, scales

    def backward(self, scales: Row) -> tuple[list[Row], list[Row]]:
        """Return the backward rows, and the backward rows if no I follows (if a span ends here)."""
        tags, edges = range(len(self.edges)), self.edges
        openers = [b for b in tags if b == 0 or b % 2]
        rows = [[1.0 for _ in tags]]
        closing = [rows[0]]
        for node, scale in zip(self.nodes[:0:-1], scales[:0:-1], strict=True):
            weight = [node[b] * rows[-1][b] / scale for b in tags]
            shut = [sum([edges[a][b] * weight[b] for b in openers]) for a in tags]
            going = [edges[a][a + a % 2] * weight[a + a % 2] if a else 0.0 for a in tags]  # to I, which is tag B + 1
            closing.append(shut)
            rows.append([x + y for x, y in zip(shut, going, strict=True)])
        return rows[::-1], closing[::-1]


def probable_spans(chain: Chain, above: float) -> list[Found]:
    """Return every span with a marginal probability greater than `above`, by forward-backward."""
    if not chain.nodes:
        return []
    forward, scales = chain.forward()
    backward, closing = chain.backward(scales)
    found: list[Found] = []
    for first, row in enumerate(forward):
        for opener in range(1, len(row), 2):
            weight, last, tag = row[opener], first, opener
            while weight * backward[last][tag] > above:  # probability of a span from `first` to `last` or longer
                probability = weight * closing[last][tag]
                if probability > above:
                    found.append((first, last, opener // 2, min(probability, 1.0)))
                last += 1
                if last == len(forward):
                    break
                weight *= chain.edges[tag][opener + 1] * chain.nodes[last][opener + 1] / scales[last]
                tag = opener + 1
    return found


def best_spans(spans: Iterable[Found], length: int, threshold: float) -> list[Found]:
    """Choose disjoint spans with the greatest sum of (probability - threshold), in a text of `length` tokens."""
    ending: dict[int, list[Found]] = {}
    for span in spans:
        ending.setdefault(span[1], []).append(span)
    best: list[tuple[float, Found | None, int]] = [
        (0.0, None, 0)
    ]  # value so far, the span that ends here, the token to go back to
    for last in range(length):
        choice: tuple[float, Found | None, int] = (best[-1][0], None, last)
        for span in ending.get(last, ()):
            value = best[span[0]][0] + span[3] - threshold
            if value > choice[0]:
                choice = (value, span, span[0])
        best.append(choice)
    chosen: list[Found] = []
    at = length
    while at:
        _, taken, at = best[at]
        if taken:
            chosen.append(taken)
    return chosen[::-1]


class Tagger:
    """A trained CRF over the tags O, and B and I of each label id. It is safe for threads."""

    def __init__(self, labels: Iterable[str], model: bytes, copies: Copies, threshold: float = THRESHOLD) -> None:
        self.labels, self.copies, self._threshold = list(labels), copies, threshold
        self.model = model  # the library reads from this buffer: keep it alive
        self._crf: Any = pycrfsuite.Tagger()
        self._crf.open_inmemory(model)
        self._lock = threading.Lock()  # the library keeps the last text as state
        names = ["O", *(f"{part}-{n}" for n in range(len(self.labels)) for part in "BI")]
        known = set(self._crf.labels())
        self._names = [name if name in known else None for name in names]
        self._edges = self._transitions()

    def tag(self, sample: Sample) -> list[Span]:
        """Return the predicted spans of a text, in order of their offsets, without overlap."""
        text = encoded(sample.text, sample.hints)
        rows = self.copies.features(text)
        with self._lock:
            chain = Chain([self._node(row) for row in rows], self._edges)
        spans = consistent(sample.text, text.offsets, probable_spans(chain, min(_LEAST, self._threshold)))
        found = best_spans(spans, len(rows), self._threshold)
        return [Span(text.offsets[a][0], text.offsets[b][1], self.labels[n], score) for a, b, n, score in found]

    def _node(self, row: Sequence[str]) -> list[float]:
        """Return the potentials of one token: the marginals of a sequence of only this token."""
        self._crf.set([row])
        return [self._crf.marginal(name, 0) if name else 0.0 for name in self._names]

    def _transitions(self) -> list[list[float]]:
        """Return the potentials of adjacent tags: the probabilities of a sequence of two tokens without features."""
        self._crf.set([[], []])
        return [[self._crf.probability([a, b]) if a and b else 0.0 for b in self._names] for a in self._names]


class HintTagger(Tagger):
    """Zero-shot tagger: there is no training data, so it predicts the labelled hints, except those with a refuted label."""

    def __init__(self, refuted: Iterable[str] = ()) -> None:
        self._refuted = frozenset(refuted)

    def tag(self, sample: Sample) -> list[Span]:
        """Return the labelled hints; the longest win where they overlap."""
        hints = [(h.start, h.end, h.label) for h in sample.hints if h.label and h.label not in self._refuted]
        return [Span(*hint, _ZERO_SHOT_SCORE) for hint in flat(hints, len(sample.text))]


def fit(samples: Sequence[Sample], *, iterations: int = 30, c2: float = 0.05, threshold: float = THRESHOLD) -> Tagger:
    """Train a CRF on annotated samples, and on a few artificial ones that have only correct hints (`believed`).

    If no sample has a span, return a `HintTagger`. Its refuted labels are those of the samples' hints, which have no gold span.
    """
    ids: dict[str, int] = {}
    data: list[tuple[Encoded, list[str]]] = []
    for sample in samples:
        spans = flat(sample.spans, len(sample.text))
        text = encoded(sample.text, sample.hints, tuple(x for a, b, _ in spans for x in (a, b)))
        data.append((text, tags_of(text.offsets, spans, ids)))
    if not ids:
        return HintTagger(hint.label for sample in samples for hint in sample.hints)
    copies = Copies(data)
    trainer = Trainer(iterations, c2)
    for number, (text, tags) in enumerate(data):
        if tags:
            trainer.append(copies.features(text, number), tags)
    hinted = Counter(hint.label for sample in samples for hint in sample.hints if hint.label)
    for label in (label for label, hints in hinted.items() if hints < ENOUGH):
        for rows, tags in believed(label, ids.setdefault(label, len(ids))):
            trainer.append(rows, tags)
    return Tagger(ids, trained(trainer), copies, threshold)


def believed(label: str, id: int) -> list[tuple[list[list[str]], list[str]]]:
    """Return artificial training texts for a label: feature rows and tags of two texts with one correct hint each.

    Without them, a few demonstrations, most without a mention, would teach the CRF that nothing is a mention. They are not used
    for a label with `ENOUGH` hints in the demonstrations: these show whether the hints are reliable, and a poor dictionary's
    are not.
    """
    edge, begin, inside = ["1"], ["1", f"h=B{safe(label)}"], ["1", f"h=I{safe(label)}"]
    one, two = [edge, begin, edge], [edge, begin, inside, edge]
    return [(one, ["O", f"B-{id}", "O"]), (two, ["O", f"B-{id}", f"I-{id}", "O"])]


def tag_in_context(demonstrations: Sequence[Sample], query: Sample) -> list[Span]:
    """Train on the demonstrations of a prompt and tag its query.

    The order of the demonstrations does not matter: prompts with the same demonstrations share one trained CRF.
    """
    return _fitted(tuple(sorted(demonstrations, key=lambda d: (d.text, [span[:2] for span in d.spans])))).tag(query)


@lru_cache(maxsize=8)
def _fitted(demonstrations: tuple[Sample, ...]) -> Tagger:
    return fit(demonstrations)


class Trainer(pycrfsuite.Trainer):
    """L-BFGS with an L2 penalty. It skips the library's parsing of its own log, which takes half of the training time."""

    def __init__(self, iterations: int, c2: float) -> None:
        super().__init__(algorithm="lbfgs", verbose=False)
        self.set_params({"c1": 0.0, "c2": c2, "max_iterations": iterations})

    def message(self, message: str) -> None:
        """Ignore a line of the log."""


def trained(trainer: Trainer) -> bytes:
    """Train, and return the model. The library can only write it to a file."""
    with own_file() as path:
        trainer.train(path)
        with open(path, "rb") as file:
            return file.read()


@contextmanager
def own_file() -> Iterator[str]:
    """Yield the path of a temporary file for the model.

    The file is in memory if the system supports that, so that a killed process leaves no words of a text on a disk. Otherwise
    it is in a folder of its own, which is deleted afterwards.
    """
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("nerc-crf"), "rb") as file:
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.TemporaryDirectory(prefix="nerc-crf-") as folder:
            yield os.path.join(folder, "model")
