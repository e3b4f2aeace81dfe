"""The learner of the offline engine: a linear-chain CRF fitted on the demonstrations of one prompt, and on nothing else.

A sample is one text of the prompt; all offsets are character offsets, end exclusive. Labels are opaque: they become ids in
order of appearance, so renaming them consistently renames the answers and changes nothing else.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pycrfsuite

from ner_programs.lms._features import Hint, Offsets, cut, features, tokens
from ner_programs.lms._spans import Chain, best_spans

__all__ = ["Hint", "Sample", "Span", "Tagger", "fit", "tag_in_context", "tokens"]

_ZERO_SHOT_SCORE = 0.5
_THRESHOLD = 0.4


@dataclass(frozen=True, slots=True)
class Sample:
    """One text of the prompt: `spans` are the gold of a demonstration, `hints` what the prompt's knowledge names in it."""

    text: str
    spans: tuple[tuple[int, int, str], ...] = ()
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """An answer; `score` is the marginal probability of exactly this span and label."""

    start: int
    end: int
    label: str
    score: float


class Tagger:
    """A fitted CRF; without a model (nothing to learn from) it answers with the labelled hints."""

    def __init__(self, labels: Iterable[str], model: bytes = b"", threshold: float = _THRESHOLD) -> None:
        self._labels, self._threshold = list(labels), threshold
        self._model = model  # the C++ side may read from this buffer: keep it alive
        self._crf: Any = None
        if model:
            self._crf = pycrfsuite.Tagger()
            self._crf.open_inmemory(model)
            self._names = _tag_names(len(self._labels))
            self._present = set(self._crf.labels())
            self._transitions = self._read_transitions()

    def tag(self, sample: Sample) -> list[Span]:
        """Return the spans of a text in order of their offsets; they do not overlap."""
        if self._crf is None:
            wanted = [(h.start, h.end, h.label) for h in sample.hints if h.label and h.label not in self._labels]
            return [Span(*span, _ZERO_SHOT_SCORE) for span in flat(wanted)]
        offsets, rows = _encoded(_plain(sample.text), sample.hints)
        chain = Chain([self._node(row) for row in rows], self._transitions)
        found = best_spans(chain, self._threshold)
        return [Span(offsets[a][0], offsets[b][1], self._labels[n], p) for a, b, n, p in found]

    def _node(self, row: Sequence[str]) -> list[float]:
        """Potentials of one token: the marginals of the sequence that is this token alone are just that."""
        self._crf.set([row])
        return [self._crf.marginal(name, 0) if name in self._present else 0.0 for name in self._names]

    def _read_transitions(self) -> list[list[float]]:
        """Potentials of two neighbours: the probabilities of the sequence of two tokens without features."""
        self._crf.set([[], []])
        return [
            [self._crf.probability([a, b]) if {a, b} <= self._present else 0.0 for b in self._names] for a in self._names
        ]


def fit(
    samples: Sequence[Sample], *, iterations: int = 40, c2: float = 0.1, threshold: float = _THRESHOLD
) -> Tagger:
    """Fit a CRF on annotated samples; with none, or none annotated, the tagger trusts the hints instead."""
    ids = {label: n for n, label in enumerate(dict.fromkeys(label for s in samples for _, _, label in s.spans))}
    if not ids:
        refuted = {hint.label for s in samples for hint in s.hints}  # named in a demonstration, and not annotated
        return Tagger(refuted)
    trainer = pycrfsuite.Trainer(algorithm="lbfgs", verbose=False)
    trainer.set_params({"c1": 0.0, "c2": c2, "max_iterations": iterations})
    for sample in samples:
        spans = flat(sample.spans)
        edges = tuple(edge for start, end, _ in spans for edge in (start, end))
        offsets, rows = _encoded(_plain(sample.text), sample.hints, edges)
        if rows:
            trainer.append(rows, _tags(offsets, spans, ids))
    return Tagger(list(ids), _trained(trainer), threshold)


def tag_in_context(demonstrations: Sequence[Sample], query: Sample) -> list[Span]:
    """Fit on the demonstrations of a prompt and tag its query."""
    return fit(demonstrations).tag(query)


def flat(spans: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Drop what overlaps a longer span (of equals the first), empty spans too; sort by offset."""
    kept: list[tuple[int, int, str]] = []
    for start, end, label in sorted(spans, key=lambda s: (s[0] - s[1], s[0])):
        if start < end and all(end <= a or start >= b for a, b, _ in kept):
            kept.append((start, end, label))
    return sorted(kept)


def _tag_names(labels: int) -> list[str]:
    """O, then B and I of every label id: the order `_spans` counts in."""
    return ["O", *(f"{part}-{n}" for n in range(labels) for part in "BI")]


def _tags(offsets: Sequence[Offsets], spans: Iterable[tuple[int, int, str]], ids: dict[str, int]) -> list[str]:
    tags = ["O"] * len(offsets)
    for start, end, label in spans:
        part = "B"
        for i, (a, b) in enumerate(offsets):
            if a < end and b > start:
                tags[i] = f"{part}-{ids[label]}"
                part = "I"
    return tags


def _trained(trainer: Any) -> bytes:
    """Train through a file, the only way the library has, in a folder that only we can read and that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="nerc-crf-") as folder:
        path = os.path.join(folder, "model")
        trainer.train(path)
        with open(path, "rb") as file:
            return file.read()


def _plain(text: str) -> str:
    """Replace lone surrogates, which the library cannot encode, one character by one."""
    return text.encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=8192)
def _encoded(text: str, hints: tuple[Hint, ...], edges: tuple[int, ...] = ()) -> tuple[list[Offsets], list[list[str]]]:
    """Return tokens and features of a text, cached by content: demonstrations come back in prompt after prompt."""
    offsets = cut(tokens(text), edges)
    return offsets, features(text, offsets, hints)
