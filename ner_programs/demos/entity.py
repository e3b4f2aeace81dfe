"""The k nearest demonstrations by their mentions, after the entity-level kNN of GPT-NER (Wang et al. 2023).

The first pass, which finds the mentions of a text, is not an LM call: it looks up, longest first, the mentions of the pool
(those that are labelled in at least half of their occurrences) and, with a knowledge base, its names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

import numpy as np

from kb import KnowledgeBase
from kb.names.tokens import normalise
from ner_programs.demos._ranking import Nearest, Scores
from ner_programs.demos._sparse import TfidfIndex, tfidf
from ner_programs.demos.base import Demonstration, Pool, Shown, plain
from ner_programs.demos.contributions import Contributions

MIN_PRECISION = 0.5


class ByMentions(Nearest):
    """Cosine of the mentions plus cosine of the texts, both by TF-IDF; the nearest comes last.

    The features of a mention are its words, the whole mention, and its concepts. A text without mentions is compared only as
    text.
    """

    def __init__(self, pool: Pool, kb: KnowledgeBase | None, k: int) -> None:
        super().__init__(pool, k)
        self._kb, known = kb, kb.fingerprint if kb is not None else ""
        self._surfaces: Surfaces = pool.once("surfaces", lambda: Surfaces(pool))
        self._texts: TfidfIndex | None = pool.once("tfidf", lambda: tfidf(pool))
        self._mentions: TfidfIndex | None = pool.once(f"mentions {known}", self._indexed)
        self._contributions: Contributions = pool.once(f"contributions {known}", lambda: Contributions(pool, kb))

    def scores(self, text: str, exclude: Collection[str]) -> Scores:
        """Return sums of two cosines. Mentions that occur only in excluded demonstrations are not searched for."""
        found = np.zeros(len(self.pool), np.float32)
        if self._texts is not None:
            found += self._texts.scores(text)
        if self._mentions is not None:
            found += self._mentions.scores(self._features(self.named(text, exclude)))
        return found

    def named(self, text: str, exclude: Collection[str] = ()) -> list[str]:
        """Return the normal forms that the first pass finds in `text`, without those that come only from excluded documents."""
        own = self._surfaces.find(text, exclude)
        if self._kb is None:
            return own
        without = self._contributions.only(exclude)
        return [*own, *(normalise(m.text) for m in self._kb.names.find(text) if not without.issuperset(m.concepts))]

    def _indexed(self) -> TfidfIndex | None:
        items = [self._features(normalise(m.text) for m in d.mentions) for d in self.pool]
        return TfidfIndex.of(items, list)

    def _features(self, names: Iterable[str]) -> list[str]:
        features: list[str] = []
        for name in dict.fromkeys(names):
            features += [*name.split(), f"={name}"]
            if self._kb is not None:
                features += [f"#{concept}" for concept in self._kb.names.lookup(name)]
        return features


class Surfaces:
    """The mentions of a pool as searchable strings; each search leaves out the excluded demonstrations."""

    def __init__(self, pool: Pool) -> None:
        self._rows: dict[str, set[int]] = {}
        for row, d in enumerate(pool):
            for key in (f"document {d.document}", f"group {d.group}", f"text {plain(d.text)}"):
                self._rows.setdefault(key, set()).add(row)
        self._marked = [_names(d) for d in pool]
        self._all = _total(self._marked)
        self._sizes: dict[str, list[int]] = {}
        for words in map(str.split, self._all):
            self._sizes.setdefault(words[0], []).append(len(words))
        self._sizes = {first: sorted(set(sizes), reverse=True) for first, sizes in self._sizes.items()}
        self._there = [Counter(name for _, name in self._windows(normalise(d.text).split())) for d in pool]
        self._everywhere = _total(self._there)

    def find(self, text: str, exclude: Collection[str] = ()) -> list[str]:
        """Return the normal forms found in `text`, left to right, the longest at each position, without overlaps."""
        keys = [f"text {plain(text)}", *(f"{kind} {id}" for id in exclude for kind in ("document", "group"))]
        out = set[int]().union(*(self._rows.get(key, ()) for key in keys))
        found: list[str] = []
        free = 0
        for at, name in self._windows(normalise(text).split()):
            if at >= free and self._right(name, out):
                found.append(name)
                free = at + name.count(" ") + 1
        return found

    def _right(self, name: str, out: Collection[int]) -> bool:
        marked = self._all[name] - sum(self._marked[row][name] for row in out)
        there = self._everywhere[name] - sum(self._there[row][name] for row in out)
        return marked > 0 and marked >= MIN_PRECISION * there

    def _windows(self, words: list[str]) -> Iterator[tuple[int, str]]:
        """Yield the positions of known names, left to right, the longest first at each position."""
        for at, word in enumerate(words):
            for size in self._sizes.get(word, ()):
                name = " ".join(words[at : at + size])
                if at + size <= len(words) and name in self._all:
                    yield at, name


def _total(counts: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total


def _names(demonstration: Demonstration) -> Counter[str]:
    return Counter(name for m in demonstration.mentions if (name := normalise(m.text)))


def build(*, pool: Pool, kb: KnowledgeBase | None = None, k: Shown = 8) -> ByMentions:
    """Build the index over `pool`; names of `kb`, if there is one, are searched for, too."""
    return ByMentions(pool, kb, k)
