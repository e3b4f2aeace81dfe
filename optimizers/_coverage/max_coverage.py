"""Which demonstrations together show most of what a corpus has: greedy maximisation of a submodular coverage function.

The value of a set is the sum over features of weight times the root of how many of the set have the feature: monotone, and
each further demonstration of a feature is worth less (Lin and Bilmes 2011, "A class of submodular functions for document
summarization"). Greedy choice then reaches at least 1 - 1/e of the best value of its size (Nemhauser, Wolsey and Fisher 1978).
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import sqrt

from ner_programs.demos import Demonstration
from ner_programs.types import Mention

HARD = 4.0
"""So many mentions counts one that the program got wrong, beside itself."""
FREQUENT = 150
"""So many of the most frequent words stand for themselves where they are the edge of a mention; others by their shape."""

Feature = tuple[str, ...]
_TOKEN = re.compile(r"\w+|[^\w\s]")
_LETTERS, _DIGITS = re.compile(r"[^\W\d_]+"), re.compile(r"\d+")


def value(chosen: Sequence[Collection[Feature]], weights: Mapping[Feature, float]) -> float:
    """Return what a set of demonstrations, given by their features, is worth."""
    counts = Counter(feature for features in chosen for feature in set(features))
    return sum(weights.get(feature, 0.0) * sqrt(n) for feature, n in counts.items())


def greedy(items: Sequence[Collection[Feature]], weights: Mapping[Feature, float], k: int) -> list[int]:
    """Return the k items that are worth most one after another, in the order of their choice; of equal ones the first.

    Gains never grow, so an item is looked at again only when it is the best by what it was worth before (Minoux 1978).
    """
    worth = [{f: weights[f] for f in sorted(set(features)) if weights.get(f, 0.0) > 0} for features in items]
    have: Counter[Feature] = Counter()

    def gain(item: int) -> float:
        return sum(w * (sqrt(have[f] + 1) - sqrt(have[f])) for f, w in worth[item].items())

    heap = [(-gain(item), item) for item in range(len(items))]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap and len(chosen) < k:
        _, item = heapq.heappop(heap)
        fresh = (-gain(item), item)
        if heap and fresh > heap[0]:
            heapq.heappush(heap, fresh)
            continue
        chosen.append(item)
        have.update(worth[item].keys())
    return chosen


class Features:
    """What a demonstration shows: labels, shapes, heads, the words at the edges, and words that are heads elsewhere."""

    def __init__(self, pool: Sequence[Demonstration]) -> None:
        words = Counter(word.lower() for d in pool for word in _TOKEN.findall(d.text))
        self.frequent = {word for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT]}
        heads = Counter(_head(m.text) for d in pool for m in d.mentions)
        self.heads = {head for head, n in heads.items() if n > 1}

    def of(self, d: Demonstration) -> set[Feature]:
        """Return all features of a demonstration."""
        found = {feature for m in d.mentions for feature in self.mention(d.text, m)}
        inside = [(m.start or 0, (m.start or 0) + len(m.text)) for m in d.mentions]
        for token in _TOKEN.finditer(d.text):
            word = token[0].lower()
            if word in self.heads and not any(start < token.end() and token.start() < end for start, end in inside):
                found.add(("bare", word))
            elif not d.mentions and (form := shape(token[0])) != "x":
                found.add(("none", form))
        return found

    def mention(self, text: str, m: Mention) -> Iterator[Feature]:
        """Yield what one mention shows; its `start` is an offset into `text`."""
        start = m.start or 0
        before = _TOKEN.findall(text[max(start - 40, 0) : start])
        after = _TOKEN.findall(text[start + len(m.text) : start + len(m.text) + 40])
        left, right = self._class(before[-1:]), self._class(after[:1])
        yield "label", m.label
        yield "shape", m.label, shape(m.text)
        yield "head", m.label, _head(m.text)
        yield "left", m.label, left
        yield "right", m.label, right
        yield "pattern", m.label, self._class(before[-2:-1]), left, right

    def weights(self, shown: Sequence[Collection[Feature]], hard: Mapping[Feature, int]) -> dict[Feature, float]:
        """Return what each feature is worth: the root of how often the pool has it, `hard` cases added, as a share of its kind.

        So the best set has each feature about as often as the pool does, for its size.
        What only one demonstration has is worth nothing, unless it is hard: showing it says nothing of another text.
        """
        counts = Counter(feature for features in shown for feature in features)
        mass = {f: sqrt(n + HARD * hard.get(f, 0)) for f, n in sorted(counts.items()) if n > 1 or f in hard}
        kinds: dict[str, float] = {}
        for feature, m in mass.items():
            kinds[feature[0]] = kinds.get(feature[0], 0.0) + m
        return {feature: m / kinds[feature[0]] for feature, m in mass.items()}

    def _class(self, words: Sequence[str]) -> str:
        if not words:
            return ""
        word = words[0].lower()
        return word if word in self.frequent else shape(words[0])


def shape(text: str) -> str:
    """Return how a string is written: `Knee pain-2` is `X x-9`."""
    cased = _LETTERS.sub(lambda letters: "x" if letters[0].islower() else "X", text)
    return _DIGITS.sub("9", cased)


def _head(surface: str) -> str:
    words = _TOKEN.findall(surface)
    return words[-1].lower() if words else ""
