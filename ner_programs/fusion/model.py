"""Fusion of experts (one or several language models) with a reader (a CRF fitted once on the labelled pool), by stacking.

Their errors differ: an LM knows the language, the CRF knows the conventions of the corpus. A second CRF, the stack, is trained
on their cross-fitted answers and learns which one to trust where (stacking, Wolpert 1992; for sequences, Cohen and Carvalho
2005, "Stacked sequential learning"). Its features are the LM's tags with their scores, the same with corrected boundaries
(`verifiers/boundary`), the probabilities of the reader's tags, the names of the knowledge base, and the words. So it can keep,
drop, move, relabel and add spans, and its span probabilities are the fused scores. With `way = "product"` its features are only
those of the two readers: a product of experts (Hinton 2002), with exponents fitted by maximum likelihood.

For several experts (LMs, prompts, samples) the features are each expert's tags, the majority tag, and its votes.

No text is read by a model that was fitted on it or on its group. All offsets are character offsets, end exclusive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ner_programs.demos import Demonstration
from ner_programs.fusion.features import add_moved, experts
from ner_programs.fusion.reader import ITERATIONS, LEAST, Hints, Reader
from ner_programs.tagger.consistency import Found
from ner_programs.tagger.copies import Copies
from ner_programs.tagger.crf import THRESHOLD as ALONE
from ner_programs.tagger.crf import Hint, best_spans, probable_spans
from ner_programs.tagger.features import Encoded, encoded, flat, tags_of
from ner_programs.tagger.linear_chain import Floats, LinearChain
from ner_programs.types import Entity

Answer = Sequence[Sequence[Entity]]
"""The entities of each expert in a text, with the same order of experts for all texts."""
Moved = Callable[[Demonstration], Answer]
"""Returns the experts' entities in an answered text, with boundaries corrected by other labelled texts."""
Way = Literal["stack", "product"]

FEWEST = 20
"""Minimum number of labelled texts with an answer. With fewer, the LM's answers stay as they are."""
BLOCKS = 5
LARGE = 5
"""If the pool has this many times the answered texts or more, one reader leaves out all of them; else there is one a block."""
MOST = 0.9
"""A reader fitted on at least this share of the pool is also used for new texts."""
FEW = 150
"""With at most this many lessons, the stack is averaged with the reader."""
C2: dict[Way, float] = {"stack": 1.0, "product": 0.03}
"""Penalties, chosen with perturbed oracles on NCBI-disease and wardnotes dev, pools of 50 and 200 (benchmarks/fusion.py)."""
THRESHOLD = 0.4
"""Minimum probability of a span. It is below one half, because F1 gains from a span if its probability exceeds F1 / 2."""
_RARE = 0.01
"""Smallest probability of a gold tag, so that a single one does not outweigh all others."""
_SURE = 0.5


@dataclass(frozen=True, slots=True)
class Fused:
    """A span with its label, its probability, and its sources: "extract" (or "extract1" ...), "crf", "knowledge"."""

    start: int
    end: int
    label: str
    score: float
    by: tuple[str, ...]


Read = Callable[[Sequence[Demonstration], Hints], Reader | None]


class Fusion:
    """A trained fusion: the reader, the stack, and the stack's share in the mean of both (`trust`)."""

    def __init__(
        self, labels: Sequence[str], reader: Reader, stack: LinearChain, way: Way = "stack", trust: float = 1.0
    ) -> None:
        self.labels, self.reader, self.stack, self.way, self.trust = list(labels), reader, stack, way, trust

    def __call__(self, text: str, predicted: Answer, moved: Answer, hints: tuple[Hint, ...] = ()) -> list[Fused]:
        """Return the fused spans, in the order of the text.

        `predicted` are the experts' entities. `moved` are the same with corrected boundaries. `hints` are names from the
        knowledge base.
        """
        if not self.trust:
            spans = [(e.start, e.end, e.label, e.score or 0.0) for e in self.reader.spans(text, hints)]
            return [self._fused(span, predicted, hints, read=True) for span in spans]
        tokens, rows, likely = _seen(self.reader, self.labels, self.way, text, (predicted, moved), hints)
        made = []
        for first, last, n, score in self._best(text, tokens, rows):
            span = (tokens.offsets[first][0], tokens.offsets[last][1], self.labels[n], score)
            made.append(self._fused(span, predicted, hints, read=bool(likely[first, 1 + 2 * n] > _SURE)))
        return made

    def _best(self, text: str, tokens: Encoded, rows: Sequence[dict[str, float]]) -> list[Found]:
        """Return the most probable disjoint spans: the probability is a mean of the stack's and the reader's."""
        mean: dict[tuple[int, int, int], float] = {}
        for first, last, n, p in probable_spans(self.stack.chain(rows), LEAST):
            mean[first, last, n] = self.trust * p
        if self.trust < 1:
            ids = {label: n for n, label in enumerate(self.labels)}
            for first, last, n, p in self.reader.probable(text, tokens):
                if (label := self.reader.labels[n]) in ids:
                    at = first, last, ids[label]
                    mean[at] = mean.get(at, 0.0) + (1 - self.trust) * p
        threshold = self.trust * THRESHOLD + (1 - self.trust) * ALONE
        return best_spans([(*span, p) for span, p in mean.items()], len(rows), threshold)

    @staticmethod
    def _fused(
        span: tuple[int, int, str, float], predicted: Answer, hints: tuple[Hint, ...], *, read: bool
    ) -> Fused:  # fmt: skip
        """Return a span with its sources: experts with an overlapping span of its label, the reader, and exact hints."""
        start, end, label, score = span
        names = ["extract"] if len(predicted) == 1 else [f"extract{n}" for n in range(1, len(predicted) + 1)]
        by = [
            name
            for name, entities in zip(names, predicted, strict=True)
            if any(e.start < end and start < e.end and e.label == label for e in entities)
        ]
        named = any((h.start, h.end, h.label) == (start, end, label) for h in hints)
        return Fused(start, end, label, score, (*by, *["crf"] * read, *["knowledge"] * named))

    def as_dict(self) -> dict[str, Any]:
        """Return the fusion as plain data."""
        reader = {
            "labels": self.reader.labels,
            "chain": self.reader.chain.as_dict(),
            "copies": self.reader.copies.as_rows(),
        }
        own = {"labels": self.labels, "way": self.way, "trust": self.trust}
        return own | {"reader": reader, "stack": self.stack.as_dict()}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Fusion:
        """Build a fusion from its `as_dict`. Raises ValueError for inconsistent parts."""
        of = data["reader"]
        reader = Reader(of["labels"], LinearChain.of(of["chain"]), Copies.of_rows(of["copies"]))
        stack = LinearChain.of(data["stack"])
        for chain, labels in ((reader.chain, reader.labels), (stack, data["labels"])):
            if len(chain.known) != 1 + 2 * len(labels):
                raise ValueError("there are not two tags for each label")
        return cls(data["labels"], reader, stack, data["way"], data["trust"])


@dataclass(frozen=True, slots=True)
class Lesson:
    """A training example of a stack, from one answered text: the features of each token, and the gold tags.

    `worth` is the probability of each gold tag by the reader alone.
    """

    at: Demonstration
    rows: Sequence[dict[str, float]]
    tags: Sequence[str]
    worth: Floats


def fit(
    texts: Sequence[Demonstration], answers: Mapping[str, Answer], hints: Hints, moved: Moved, labels: Sequence[str],
    way: Way = "stack", read: Read = Reader.fit,
) -> Fusion | None:  # fmt: skip
    """Fit a fusion to labelled texts; `answers` are the experts' cross-fitted answers to some of them, by id.

    Returns None if fewer than FEWEST texts are answered, or if no answered text has a mention. `read` fits readers.
    """
    answered = [d for d in texts if d.id in answers]
    if len(answered) < FEWEST or not any(d.mentions for d in answered):
        return None
    reader, of = _readers(texts, answered, hints, read)
    if reader is None:
        return None
    lessons = []
    for d in answered:
        if (one := of(d)) is not None:
            predicted = answers[d.id], moved(d)
            lessons.append(lesson(one, labels, d, predicted, hints(d.text, (d.document, d.group)), way))
    return learned(reader, lessons, labels, way)


def lesson(
    reader: Reader, labels: Sequence[str], d: Demonstration, predicted: tuple[Answer, Answer], hints: tuple[Hint, ...],
    way: Way = "stack",
) -> Lesson:  # fmt: skip
    """Return the training example of one answered text, which `reader` has not seen."""
    gold = flat(d.spans, len(d.text))
    tokens, rows, likely = _seen(reader, labels, way, d.text, predicted, hints, [x for a, b, _ in gold for x in (a, b)])
    tags = tags_of(tokens.offsets, gold, {label: n for n, label in enumerate(labels)})
    return Lesson(d, rows, tags, _worth(likely, tags))


def learned(reader: Reader, lessons: Sequence[Lesson], labels: Sequence[str], way: Way = "stack") -> Fusion | None:
    """Fit a fusion to lessons; None if there are fewer than FEWEST, or if none has a mention.

    With at most FEW lessons, the fusion is a mean of the stack and the reader (a linear opinion pool, Stone 1961), whose
    weight is fitted by cross-validation over blocks. So few lessons, or experts that know little, cost little.
    """
    if len(lessons) < FEWEST or not any(tag != "O" for one in lessons for tag in one.tags):
        return None

    def stacked(some: Sequence[Lesson]) -> LinearChain:
        return LinearChain.fit(((x.rows, x.tags) for x in some), len(labels), c2=C2[way], iterations=ITERATIONS)

    trust = 1.0 if len(lessons) > FEW else _trust(lessons, stacked)
    return Fusion(labels, reader, stacked(lessons), way, trust)


def _trust(lessons: Sequence[Lesson], stacked: Callable[[Sequence[Lesson]], LinearChain]) -> float:
    """Return the share of the stack in the mean with the reader that makes the gold tags of held-out blocks most probable."""
    shares = np.linspace(0, 1, 11)
    worth = np.zeros(len(shares))
    for n in range(BLOCKS):
        rest, out = [x for x in lessons if block(x.at.group) != n], [x for x in lessons if block(x.at.group) == n]
        if any(tag != "O" for x in rest for tag in x.tags):
            stack = stacked(rest)
            for x in out:
                mean = np.outer(shares, _worth(stack.marginals(x.rows), x.tags)) + np.outer(1 - shares, x.worth)
                worth += np.log(np.maximum(mean, _RARE)).sum(axis=1)
    return float(shares[worth.argmax()])


def _worth(likely: Floats, tags: Sequence[str]) -> Floats:
    """Return the probability of each tag."""
    columns = [0 if tag == "O" else 1 + 2 * int(tag[2:]) + (tag[0] == "I") for tag in tags]
    worth: Floats = likely[np.arange(len(tags)), columns]
    return worth


def _readers(
    texts: Sequence[Demonstration], answered: Sequence[Demonstration], hints: Hints, read: Read
) -> tuple[Reader | None, Callable[[Demonstration], Reader | None]]:
    """Return the reader for new texts, and a function from an answered text to a reader that has not seen its group."""
    groups = {d.group for d in answered}
    others = [d for d in texts if d.group not in groups]
    if len(others) >= LARGE * len(answered):
        reader = read(others, hints)
        return (reader if len(others) >= MOST * len(texts) else read(texts, hints)), lambda d: reader
    parts = [read([d for d in texts if d.group not in groups or block(d.group) != n], hints) for n in range(BLOCKS)]
    return read(texts, hints), lambda d: parts[block(d.group)]


def block(group: str) -> int:
    """Return the block (0 to BLOCKS - 1) of a group, by a hash. The texts of a block are left out together."""
    return int.from_bytes(hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest()[:4], "big") % BLOCKS


def _seen(
    reader: Reader, labels: Sequence[str], way: Way, text: str, predicted: tuple[Answer, Answer], hints: tuple[Hint, ...],
    edges: Sequence[int] = (),
) -> tuple[Encoded, list[dict[str, float]], Floats]:  # fmt: skip
    """Return the tokens of a text, their features, and the reader's probabilities. Tokens are cut at the edges of spans."""
    ids = {label: n for n, label in enumerate(labels)}
    spans = [
        [flat(((e.start, e.end, e.label) for e in one if e.label in ids), len(text)) for one in some]
        for some in predicted
    ]
    cuts = {x for some in spans for one in some for a, b, _ in one for x in (a, b)}
    tokens = encoded(text, hints, tuple(sorted({*edges, *cuts})))
    likely = reader.marginals(tokens, labels)
    each, moved = ([tags_of(tokens.offsets, one, dict(ids)) for one in some] for some in spans)
    rows = experts(tokens, each, predicted[0], likely, whole=way == "stack")
    if way == "stack":
        add_moved(rows, moved)
    return tokens, rows, likely
