"""Evidence about where mentions begin and end: spans of words near a given one, and what labelled texts say of each.

What is counted: the words (and, for words not seen, their kinds) just outside and just inside an edge, the words in the span,
its surface and its length; each as often as it was an option, and as often as it was the annotated one. A more special count
is smoothed by a more general one, a label's by all labels'.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

REACH = 3
"""How many words an edge may move."""
_MARKS = "".join(c for c in map(chr, range(0x300, 0x10000)) if category(c).startswith("M"))
_TOKEN = re.compile(rf"[\w{_MARKS}]+|[^\w\s]")  # accents and vowel signs that are written as marks are parts of words
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


@lru_cache(maxsize=1 << 16)
def _kind(word: str) -> str:
    if not word[0].isalnum():
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

    @classmethod
    def of(cls, shown: Iterable[tuple[Words, Place]]) -> Evidence:
        """Count places that were annotated."""
        seen: list[Key] = []
        right: list[Key] = []
        for words, place in shown:
            label, options = place.label, place.options()
            for at in {i for i, _ in options}:
                keys = [key for keys in _edge(words, label, "start", at) for key in keys]
                seen += keys
                right += keys if at == place.start else ()
            for at in {j for _, j in options}:
                keys = [key for keys in _edge(words, label, "end", at) for key in keys]
                seen += keys
                right += keys if at == place.end else ()
            for at in range(min(i for i, _ in options), max(j for _, j in options)):
                keys = _inside(words, label, at)
                seen += keys
                right += keys if place.start <= at < place.end else ()
            seen += [_surface(words, label, i, j) for i, j in options]
            right.append(_surface(words, label, place.start, place.end))
            seen.append(("length", min(place.end - place.start, _LENGTHS)))
        return cls(Counter(seen), Counter(right))

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
        self._known: dict[tuple[Key, Key], tuple[float, float]] = {}
        self._mentions = sum(self._of(("length", n))[0] for n in range(1, _LENGTHS + 1))

    def _of(self, key: Key) -> tuple[int, int]:
        seen = self.all.seen.get(key, 0)
        if not seen:
            return 0, 0
        return seen - self.less.seen.get(key, 0), self.all.right.get(key, 0) - self.less.right.get(key, 0)

    def _odds(self, keys: Sequence[Key]) -> tuple[float, float]:
        """Return the log-odds of the last key and of the second, each smoothed by those before it."""
        kind, key = keys[1], keys[-1]
        if (known := self._known.get((kind, key))) is None:
            share, shares = 0.5, []
            for general in keys:
                seen, right = self._of(general)
                share = (right + _WEIGHT * share) / (seen + _WEIGHT)
                shares.append(math.log(share / (1 - share)))
            known = shares[-1], shares[1]
            if key in self.all.seen:  # what is not in the labelled texts is not kept
                self._known[kind, key] = known
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
