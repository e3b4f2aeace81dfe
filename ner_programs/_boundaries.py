"""Where mentions begin and end, learned from labelled texts: a log-linear model over the spans near a given one.

Each span that begins and ends at most `REACH` words from the given one, and runs into no other candidate, is an option. What
the training texts say of it are smoothed log-odds of counts: of the words (and, for words not seen, their kinds) just outside
and just inside its edges, of the words in it, of its surface, its length and its brackets. Few weights join them, fitted so
that of the options the annotated one is most likely (a conditional logit, McFadden 1974). Counts that are evidence for a text
never contain the text's own (decision D8): they are those of the other blocks of the training texts, here as in scoring.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ner_programs.demos import Demonstration

REACH = 3
"""How many words an edge may move."""
BLOCKS = 5
_SHOWN = 2000  # mentions that the weights are fitted on; counts are of all
_LEAST = 10  # mentions without which there is nothing to learn
_TOKEN = re.compile(r"\w+|[^\w\s]")
_BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))
_WEIGHT = 3.0  # what a more general count weighs against a special one, in observations
_LENGTHS = 8

Floats = NDArray[np.float64]
Key = tuple[Hashable, ...]


class Words:
    """The words of a text, marks one by one, with their offsets; `kinds` is what is known of a word never seen."""

    def __init__(self, text: str) -> None:
        found = list(_TOKEN.finditer(text))
        self.starts, self.ends = [m.start() for m in found], [m.end() for m in found]
        said = [m.group() for m in found]
        self.words, self.kinds = [w.lower() for w in said], [_kind(w) for w in said]

    def covering(self, start: int, end: int) -> tuple[int, int]:
        """Return the range of the words that touch the characters `start` to `end`."""
        return bisect_right(self.ends, start), bisect_left(self.starts, end)


def _kind(word: str) -> str:
    if not word.isalnum():
        return word
    if any(c.isdigit() for c in word):
        return "0" if word.isdigit() else "a0"
    shape = "a" if word.islower() else "A" if word[1:].islower() else "AA"
    return f"{shape}{word[-3:].lower()}"


class Place(NamedTuple):
    """A span of words (end exclusive) with its label, and the words between which it may lie."""

    start: int
    end: int
    label: str
    first: int
    last: int

    def options(self) -> list[tuple[int, int]]:
        """Return the spans near this one, itself among them."""
        starts = range(max(self.first, self.start - REACH), min(self.start + REACH + 1, self.end))
        ends = range(max(self.start + 1, self.end - REACH), min(self.last, self.end + REACH) + 1)
        return [(i, j) for i in starts for j in ends if i < j]


def places(words: Words, spans: Sequence[tuple[int, int, str]]) -> list[Place]:
    """Return the places of `spans` (characters, sorted, without overlap), each bounded by its neighbours."""
    found = [(*words.covering(start, end), label) for start, end, label in spans]
    edges = [0, *(end for _, end, _ in found)], [*(start for start, _, _ in found), len(words.words)]
    return [
        Place(start, end, label, min(edges[0][n], start), max(edges[1][n + 1], end))
        for n, (start, end, label) in enumerate(found)
    ]


@dataclass(slots=True)
class Evidence:
    """How often what a key says was an option (`seen`), and how often it was annotated (`right`)."""

    seen: Counter[Key] = field(default_factory=Counter)
    right: Counter[Key] = field(default_factory=Counter)

    def add(self, words: Words, place: Place) -> None:
        """Count a place that was annotated."""
        options = place.options()
        for family, at in {("start", i) for i, _ in options} | {("end", j) for _, j in options}:
            right = at == (place.start if family == "start" else place.end)
            for keys in _edge(words, place.label, family, at):
                self._count(keys, right)
        for at in range(min(i for i, _ in options), max(j for _, j in options)):
            self._count(_inside(words, place.label, at), place.start <= at < place.end)
        for i, j in options:
            self._count([_surface(words, place.label, i, j)], (i, j) == (place.start, place.end))
        self._count([("length", min(place.end - place.start, _LENGTHS))], True)

    def _count(self, keys: Iterable[Key], right: bool) -> None:
        for key in keys:
            self.seen[key] += 1
            if right:
                self.right[key] += 1

    def merge(self, other: Evidence) -> None:
        """Add the counts of `other`."""
        self.seen.update(other.seen)
        self.right.update(other.right)


def _edge(words: Words, label: str, family: str, at: int) -> Iterator[list[Key]]:
    """What stands left of, right of, and on both sides of an edge before word `at`: the most general key first."""
    w, k = words.words, words.kinds
    left, right = (w[at - 1], k[at - 1]) if at else ("", ""), (w[at], k[at]) if at < len(w) else ("", "")
    for side, word, kind in ((family + "<", *left), (family + ">", *right)):
        yield [(side,), (side, 0, kind), (side, word), (side, word, label)]
    both = family + "|"
    yield [(both,), (both, 0, left[1], right[1]), (both, left[0], right[0]), (both, left[0], right[0], label)]


def _inside(words: Words, label: str, at: int) -> list[Key]:
    word = words.words[at]
    return [("in",), ("in", 0, words.kinds[at]), ("in", word), ("in", word, label)]


def _surface(words: Words, label: str, start: int, end: int) -> Key:
    return ("is", label, *words.words[start:end])


class View:
    """Evidence less that of one block, as features of spans."""

    def __init__(self, all: Evidence, less: Evidence) -> None:
        self.all, self.less = all, less
        self._known: dict[Key, tuple[float, float]] = {}
        self._mentions = sum(self._of(("length", n))[0] for n in range(1, _LENGTHS + 1))

    def _of(self, key: Key) -> tuple[int, int]:
        seen = self.all.seen.get(key, 0)
        if not seen:
            return 0, 0
        return seen - self.less.seen.get(key, 0), self.all.right.get(key, 0) - self.less.right.get(key, 0)

    def _odds(self, keys: Sequence[Key]) -> tuple[float, float]:
        """Return the log-odds of the last key and of the second, each smoothed by those before it."""
        if (known := self._known.get(keys[-1])) is None:
            share, shares = 0.5, []
            for key in keys:
                seen, right = self._of(key)
                share = (right + _WEIGHT * share) / (seen + _WEIGHT)
                shares.append(math.log(share / (1 - share)))
            known = self._known[keys[-1]] = shares[-1], shares[1]
        return known

    def features(self, words: Words, place: Place, options: Sequence[tuple[int, int]]) -> Floats:
        """Return one row for each option."""
        starts, ends = sorted({i for i, _ in options}), sorted({j for _, j in options})
        edges = {
            (family, at): [x for keys in _edge(words, place.label, family, at) for x in self._odds(keys)]
            for family, some in (("start", starts), ("end", ends))
            for at in some
        }
        inside = np.array([self._odds(_inside(words, place.label, at)) for at in range(starts[0], ends[-1])])
        sums = np.vstack([np.zeros(2), inside.cumsum(axis=0)])
        rows = [
            [
                *edges["start", i],
                *edges["end", j],
                *(sums[j - starts[0]] - sums[i - starts[0]]),
                *self._whole(words, place.label, i, j),
            ]
            for i, j in options
        ]
        return np.array(rows)

    def _whole(self, words: Words, label: str, start: int, end: int) -> tuple[float, ...]:
        seen, right = self._of(_surface(words, label, start, end))
        known = math.log((right + 0.5) / (seen - right + 0.5)) if right else 0.0
        never = math.log(1 + seen) if not right else 0.0
        length = self._of(("length", min(end - start, _LENGTHS)))[0]
        inner = words.words[start:end]
        odd = sum(inner.count(left) != inner.count(right) for left, right in _BRACKETS)
        return known, float(right > 0), never, math.log((length + 1) / (self._mentions + _LENGTHS)), float(odd)


class Model:
    """The conventions of some labelled texts. `threshold` is how much likelier (in log-odds) a better span must be."""

    def __init__(self, evidence: Evidence, weights: Floats, threshold: float) -> None:
        self.view, self.weights, self.threshold = View(evidence, Evidence()), weights, threshold

    def better(self, words: Words, place: Place) -> tuple[int, int]:
        """Return the span of words that is to stand in place of the given one, most often the same."""
        options = place.options()
        scores = self.view.features(words, place, options) @ self.weights
        best = int(scores.argmax())
        given = options.index((place.start, place.end))
        return options[best] if scores[best] - scores[given] > self.threshold else options[given]


def fit(demonstrations: Sequence[Demonstration], wrong: float) -> Model | None:
    """Fit the model, for answers of which about a share `wrong` has a wrong edge; None where there is too little to learn."""
    shown: list[tuple[int, Words, Place]] = []
    blocks = blocks_of(demonstrations)
    for d, block in zip(demonstrations, blocks, strict=True):
        spans = sorted((m.start or 0, (m.start or 0) + len(m.text), m.label) for m in d.mentions)
        if spans:
            words = Words(d.text)
            shown += [(block, words, place) for place in places(words, spans)]
    if len(shown) < _LEAST or len({block for block, _, _ in shown}) < 2:
        return None
    parts, total = [Evidence() for _ in range(BLOCKS)], Evidence()
    for block, words, place in shown:
        parts[block].add(words, place)
    for part in parts:
        total.merge(part)
    views = [View(total, part) for part in parts]
    step = max(1, math.ceil(len(shown) / _SHOWN))
    cases = [_case(views[block], words, place) for block, words, place in shown[::step]]
    weights = _weights(cases)
    return Model(total, weights, _threshold(cases, weights, wrong))


def blocks_of(demonstrations: Sequence[Demonstration]) -> list[int]:
    """Return the block of each demonstration: runs of about as many, a group never in two."""
    blocks: dict[str, int] = {}
    for n, d in enumerate(demonstrations):
        blocks.setdefault(d.group, n * BLOCKS // len(demonstrations))
    return [blocks[d.group] for d in demonstrations]


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

    def loss(weights: Floats) -> tuple[float, Floats]:
        scores = rows @ weights
        scores -= np.repeat(np.maximum.reduceat(scores, begins), sizes)
        odds = np.exp(scores)
        sums = np.add.reduceat(odds, begins)
        likely = odds / np.repeat(sums, sizes)
        value = float(np.log(sums).sum() - scores[right].sum() + 0.5 * weights @ weights)
        return value, rows.T @ likely - wanted + weights

    found: Any = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B")
    weights: Floats = found.x / scale
    return weights


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
