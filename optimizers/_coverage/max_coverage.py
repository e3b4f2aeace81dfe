"""Max coverage: chooses demonstrations that together cover a corpus, by greedy submodular maximisation.

The value of a set is the sum over features of weight * sqrt(n), where n demonstrations of the set have the feature. The value
is monotone, and each further demonstration of a feature adds less (Lin and Bilmes 2011, "A class of submodular functions for
document summarization"). So the greedy choice reaches at least 1 - 1/e of the best value of its size (Nemhauser, Wolsey and
Fisher 1978).
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
"""Extra weight, in mentions, of a mention that the program gets wrong."""
FREQUENT = 150
"""Number of most frequent words that are features themselves next to a mention. Other words are features by their shape."""

Feature = tuple[str, ...]
_TOKEN = re.compile(r"\w+|[^\w\s]")
_LETTERS, _DIGITS = re.compile(r"[^\W\d_]+"), re.compile(r"\d+")


def value(chosen: Sequence[Collection[Feature]], weights: Mapping[Feature, float]) -> float:
    """Return the value of a set of demonstrations; `chosen` has the features of each."""
    counts = Counter(feature for features in chosen for feature in set(features))
    return sum(weights.get(feature, 0.0) * sqrt(n) for feature, n in counts.items())


def greedy(items: Sequence[Collection[Feature]], weights: Mapping[Feature, float], k: int) -> list[int]:
    """Choose k items greedily and return their indices in the order of choice. The first of equal items wins.

    Gains never grow, so an old gain is an upper bound: an item's gain is computed anew only when its old gain is the highest
    (lazy greedy, Minoux 1978).
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
    """The features of demonstrations: labels, shapes, heads, context words, and unlabelled words that are heads elsewhere."""

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
        """Yield the features of one mention; its `start` is a character offset into `text`."""
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
        """Return the weight of each feature: the root of its frequency in the pool, normalised to 1 within its kind.

        `hard` counts mentions that the program gets wrong; they weigh more. So the best set has each feature about in
        proportion to the pool. A feature of only one demonstration weighs nothing, unless it is hard: it teaches nothing
        about other texts.
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
    """Return the shape of a string: `Knee pain-2` becomes `X x-9`."""
    cased = _LETTERS.sub(lambda letters: "x" if letters[0].islower() else "X", text)
    return _DIGITS.sub("9", cased)


def _head(surface: str) -> str:
    words = _TOKEN.findall(surface)
    return words[-1].lower() if words else ""
