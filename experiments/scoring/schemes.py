"""The four matching schemes of SemEval-2013 task 9.1 (after MUC-5), for answers whose boundaries or labels differ.

Gold and predicted entities that overlap (outer spans) are paired, each at most once. A pair counts as follows:

| pair                        | strict | exact | partial | type |
|-----------------------------|--------|-------|---------|------|
| same boundaries, same label | COR    | COR   | COR     | COR  |
| same boundaries, other label| INC    | COR   | COR     | INC  |
| overlap, same label         | INC    | INC   | PAR     | COR  |
| overlap, other label        | INC    | INC   | PAR     | INC  |

A gold entity without a partner is missed (MIS), a predicted one spurious (SPU). Precision is right / (COR + INC + PAR + SPU),
recall right / (COR + INC + PAR + MIS), where right is COR + PAR / 2.

The task does not define which of several overlapping entities are paired. Here equal entities are paired first, then those with
the same boundaries. Then each predicted entity, from left to right, takes the leftmost free gold entity that it overlaps. For
`type` it takes the free one of its own label with the nearest boundaries, else the leftmost of any label. On flat annotation
this agrees with nervaluate 1.2. With nested or equal entities, nervaluate may pair an entity with a wrong partner first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ner_programs.scoring import ratio
from ner_programs.types import Entity

SCHEMES = ("strict", "exact", "partial", "type")


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of pairs and of entities without a partner under one scheme. Tallies of documents add up with `+`."""

    correct: int = 0
    incorrect: int = 0
    partial: int = 0
    missed: int = 0
    spurious: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.correct + other.correct,
            self.incorrect + other.incorrect,
            self.partial + other.partial,
            self.missed + other.missed,
            self.spurious + other.spurious,
        )

    @property
    def gold(self) -> int:
        """Number of gold entities."""
        return self.correct + self.incorrect + self.partial + self.missed

    @property
    def predicted(self) -> int:
        """Number of predicted entities."""
        return self.correct + self.incorrect + self.partial + self.spurious

    @property
    def right(self) -> float:
        """The numerator of precision and recall; a partial match counts half."""
        return self.correct + self.partial / 2

    @property
    def precision(self) -> float:
        """Share of the predicted entities that are right; 0/0 is 1 if both sides are empty, as in `Counts`."""
        return ratio(self.right, self.predicted, self.gold)

    @property
    def recall(self) -> float:
        """Share of the gold entities that were found."""
        return ratio(self.right, self.gold, self.predicted)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return ratio(2 * self.right, self.predicted + self.gold, 0)


def tallies(gold: Iterable[Entity], predicted: Iterable[Entity]) -> dict[str, Tally]:
    """Count one text under every scheme. Duplicates on one side count once."""
    wanted, found = set(gold), set(predicted)
    equal = len(wanted & found)
    left, rest = sorted(wanted - found), sorted(found - wanted)
    typed = _taken(left, rest, _nearest)
    alike = sum(g.label == p.label for g, p in typed)
    same = _same_boundaries(left, rest)
    for g, p in same:
        left.remove(g)
        rest.remove(p)
    near, bounded = len(_taken(left, rest, _leftmost)), len(same)

    def tally(correct: int, incorrect: int, partial: int) -> Tally:
        paired = correct + incorrect + partial
        return Tally(correct, incorrect, partial, len(wanted) - paired, len(found) - paired)

    return {
        "strict": tally(equal, bounded + near, 0),
        "exact": tally(equal + bounded, near, 0),
        "partial": tally(equal + bounded, 0, near),
        "type": tally(equal + alike, len(typed) - alike, 0),
    }


Pair = tuple[Entity, Entity]


def _same_boundaries(gold: list[Entity], predicted: list[Entity]) -> list[Pair]:
    """Pair entities that differ only in the label."""
    free: dict[object, list[Entity]] = {}
    for g in reversed(gold):
        free.setdefault(g.fragments, []).append(g)
    return [(waiting.pop(), p) for p in predicted if (waiting := free.get(p.fragments))]


def _taken(gold: list[Entity], predicted: list[Entity], choose: Callable[[list[Entity], Entity], Entity]) -> list[Pair]:
    """Pair each of `predicted`, in order, with the free gold entity that `choose` picks among those it overlaps."""
    free = list(gold)
    pairs = []
    for p in predicted:
        if not free:
            break
        if overlapping := [g for g in free if g.start < p.end and p.start < g.end]:
            mine = choose(overlapping, p)
            free.remove(mine)
            pairs.append((mine, p))
    return pairs


def _leftmost(gold: list[Entity], predicted: Entity) -> Entity:
    return gold[0]


def _nearest(gold: list[Entity], predicted: Entity) -> Entity:
    own = [g for g in gold if g.label == predicted.label]
    return min(own, key=lambda g: abs(g.start - predicted.start) + abs(g.end - predicted.end)) if own else gold[0]
