"""Which demonstrations of a pool do harm: labels that the rest of the pool, or the program itself, speaks against.

Three signs add up, none of which needs a call of its own but the answers on train: strings that the rest of the pool marks
otherwise; what the program is sure of and the gold does not have (confident learning: Northcutt, Jiang and Chuang 2021); and
mistakes on other texts that a demonstration was shown for and speaks in favour of, less what it was right about.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ner_programs.demos import Demonstration
from ner_programs.types import Entity

LEAST = 3
"""So many other places of a string there must be before they speak for or against a mark."""
PRIOR = 5.0
"""A demonstration's blame is shared with so many showings that did neither good nor harm."""

_WORD = re.compile(r"\w+")
_LONGEST_OWN_CASE = 4
Name = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the program said of one train text, made without its own document, and the ids of what it was shown."""

    id: str
    gold: tuple[Entity, ...]
    said: tuple[Entity, ...]
    shown: tuple[str, ...]


class Marks:
    """How often each string of a pool that is a mention anywhere is marked, by label, and how often it stands bare."""

    def __init__(self, pool: Sequence[Demonstration]) -> None:
        self.pool = pool
        self.marked = [Counter((_name(m.text), m.label) for m in d.mentions) for d in pool]
        self.by_name: dict[Name, Counter[str]] = {}
        for marks in self.marked:
            for (name, label), n in marks.items():
                if name:
                    self.by_name.setdefault(name, Counter())[label] += n
        self._sizes: dict[str, list[int]] = {}
        for name in self.by_name:
            self._sizes.setdefault(name[0], []).append(len(name))
        self._sizes = {first: sorted(set(sizes), reverse=True) for first, sizes in self._sizes.items()}
        self.bare = [Counter(self._bare(d)) for d in pool]
        self.bare_by_name: Counter[Name] = Counter()
        for names in self.bare:
            self.bare_by_name.update(names)

    def against(self, row: int) -> float:
        """Return how strongly the rest of the pool speaks against the labels of a demonstration; 0 where it does not."""
        marked, bare, total = self.marked[row], self.bare[row], 0.0
        for name in {name for name, _ in marked} | bare.keys():
            own = Counter({label: n for (other, label), n in marked.items() if other == name})
            elsewhere = self.by_name.get(name, Counter()) - own
            free = self.bare_by_name[name] - bare[name]
            there = elsewhere.total() + free
            if there < LEAST:
                continue
            for label, n in own.items():
                total += n * _doubt(elsewhere[label], there)
            total += bare[name] * _doubt(free, there)
        return total

    def says(self, row: int, entity: Entity) -> int:
        """Return 1 where a demonstration marks the string of an entity with its label, -1 where it has it bare, else 0."""
        name = _name(entity.text)
        if self.marked[row][name, entity.label]:
            return 1
        return -1 if self.bare[row][name] else 0

    def _bare(self, d: Demonstration) -> Iterator[Name]:
        """Yield the names that stand unmarked in a demonstration, left to right, the longest at each place."""
        words = list(_WORD.finditer(d.text))
        spans = [(m.start or 0, (m.start or 0) + len(m.text)) for m in d.mentions]
        free = [not any(start < w.end() and w.start() < end for start, end in spans) for w in words]
        folded, at = [_folded(w[0]) for w in words], 0
        while at < len(words):
            sizes = self._sizes.get(folded[at], ())
            size = next((n for n in sizes if tuple(folded[at : at + n]) in self.by_name and all(free[at : at + n])), 0)
            if size:
                yield tuple(folded[at : at + size])
            at += size or 1


def _doubt(agreeing: int, there: int) -> float:
    """Return how surely (0..1) a mark is wrong that so many of the other places have too."""
    return max(0.0, 1 - 2 * (agreeing + 1) / (there + 1))


def suspicions(marks: Marks, answers: Sequence[Answer]) -> list[float]:
    """Return how much speaks against each demonstration of the pool, in its order; what is not above 0 is no suspicion."""
    row_of = {d.id: row for row, d in enumerate(marks.pool)}
    doubts = [marks.against(row) for row in range(len(marks.pool))]
    blame, often = [0.0] * len(doubts), [0] * len(doubts)
    for answer in answers:
        wrong, missed = set(answer.said) - set(answer.gold), set(answer.gold) - set(answer.said)
        own = row_of.get(answer.id)
        if own is not None:
            doubts[own] += sum(max(0.0, 2 * (e.score if e.score is not None else 0.5) - 1) for e in wrong)
        for id in answer.shown:
            if (row := row_of.get(id)) is None:
                continue
            often[row] += 1
            blame[row] += sum(marks.says(row, e) for e in wrong) - sum(marks.says(row, e) for e in missed)
            blame[row] -= sum(marks.says(row, e) for e in set(answer.said) & set(answer.gold))
    return [doubt + b / (n + PRIOR) for doubt, b, n in zip(doubts, blame, often, strict=True)]


def worst(marks: Marks, answers: Sequence[Answer], count: int) -> list[str]:
    """Return the ids of the demonstrations that most speaks against, at most `count`, the worst first."""
    scores = suspicions(marks, answers)
    ranked = sorted((row for row, s in enumerate(scores) if s > 0), key=lambda row: (-scores[row], row))
    return [marks.pool[row].id for row in ranked[:count]]


def _name(surface: str) -> Name:
    return tuple(map(_folded, _WORD.findall(surface)))


def _folded(word: str) -> str:
    """Return a word without its case, but for short ones that are abbreviations: "ALL" is no "all"."""
    return word if len(word) <= _LONGEST_OWN_CASE and not word[1:].islower() else word.lower()
