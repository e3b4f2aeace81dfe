"""Finds harmful demonstrations in a pool, by their probable label errors and their influence on wrong answers.

A demonstration's suspicion is the sum of three scores. The program's answers on train are the only calls that they need.

- Inconsistency: the rest of the pool labels the same strings otherwise.
- Confident disagreement: the program predicts, with confidence, mentions that the gold does not have (confident learning:
  Northcutt, Jiang and Chuang 2021).
- Influence: the demonstration was shown for other texts and supports the mistakes there, less the right answers it supports.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ner_programs.demos import Demonstration
from ner_programs.types import Entity

LEAST = 3
"""Minimum number of other occurrences of a string before they count for or against a label."""
PRIOR = 5.0
"""Pseudo-count of neutral uses: it shrinks the blame of demonstrations that were shown rarely."""

_WORD = re.compile(r"\w+")
_LONGEST_OWN_CASE = 4
Name = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The program's cross-fitted answer to one train text.

    `predicted` are the entities of the answer, `shown` the ids of the demonstrations in its prompt.
    """

    id: str
    gold: tuple[Entity, ...]
    predicted: tuple[Entity, ...]
    shown: tuple[str, ...]


class Marks:
    """Counts, for each string that is a mention anywhere in a pool: how often it is labelled as what, how often not at all."""

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
        """Return how strongly the rest of the pool contradicts the labels of a demonstration; 0 if it does not."""
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
        """Return 1 if the demonstration gives the entity's string the same label, -1 if it leaves it unlabelled, else 0."""
        name = _name(entity.text)
        if self.marked[row][name, entity.label]:
            return 1
        return -1 if self.bare[row][name] else 0

    def _bare(self, d: Demonstration) -> Iterator[Name]:
        """Yield the names that are unlabelled in a demonstration, from left to right, the longest at each position."""
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
    """Return a confidence (0..1) that a label is wrong, if `agreeing` of `there` other occurrences have the same."""
    return max(0.0, 1 - 2 * (agreeing + 1) / (there + 1))


def suspicions(marks: Marks, answers: Sequence[Answer]) -> list[float]:
    """Return the suspicion of each demonstration, in the pool's order. Only values above 0 mean anything."""
    row_of = {d.id: row for row, d in enumerate(marks.pool)}
    doubts = [marks.against(row) for row in range(len(marks.pool))]
    blame, often = [0.0] * len(doubts), [0] * len(doubts)
    for answer in answers:
        wrong, missed = set(answer.predicted) - set(answer.gold), set(answer.gold) - set(answer.predicted)
        own = row_of.get(answer.id)
        if own is not None:
            doubts[own] += sum(max(0.0, 2 * (e.score if e.score is not None else 0.5) - 1) for e in wrong)
        for id in answer.shown:
            if (row := row_of.get(id)) is None:
                continue
            often[row] += 1
            blame[row] += sum(marks.says(row, e) for e in wrong) - sum(marks.says(row, e) for e in missed)
            blame[row] -= sum(marks.says(row, e) for e in set(answer.predicted) & set(answer.gold))
    return [doubt + b / (n + PRIOR) for doubt, b, n in zip(doubts, blame, often, strict=True)]


def worst(marks: Marks, answers: Sequence[Answer], count: int) -> list[str]:
    """Return the ids of the most suspicious demonstrations, at most `count`, the worst first."""
    scores = suspicions(marks, answers)
    ranked = sorted((row for row, s in enumerate(scores) if s > 0), key=lambda row: (-scores[row], row))
    return [marks.pool[row].id for row in ranked[:count]]


def _name(surface: str) -> Name:
    return tuple(map(_folded, _WORD.findall(surface)))


def _folded(word: str) -> str:
    """Return a word in lower case. Short words with capitals stay as they are: "ALL" is an abbreviation, "all" is not."""
    return word if len(word) <= _LONGEST_OWN_CASE and not word[1:].islower() else word.lower()
