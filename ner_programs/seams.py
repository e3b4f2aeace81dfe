"""Merges what overlapping windows of one text say, so that nothing is said twice or against itself where they meet."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ner_programs.types import Entity
from ner_programs.units import Unit


def merged(units: Sequence[Unit], found: Sequence[Sequence[Entity]]) -> list[Entity]:
    """Return the entities of all windows, each window's in `found`, with offsets into the text.

    Where entities of two windows overlap, or are the same, the one further from the edges of its window stays: near an edge a
    window shows less context, and may cut an entity. The text's own begin and end are no edges.

    >>> cut, whole = Entity(5, 8, "city"), Entity(5, 13, "city")
    >>> merged([Unit(0, 8), Unit(3, 20)], [[cut], [whole]]) == [whole]
    True
    """
    kept = [list(one) for one in found]
    for n in range(1, len(units)):
        before, after = units[n - 1], units[n]
        if before.end <= after.start:
            continue
        near = [(m, e) for m in (n - 1, n) for e in kept[m] if _meets(e, after.start, before.end)]
        near.sort(
            key=lambda one: (-_inside(one[1], units, one[0]), one[1].start - one[1].end)
        )  # at an edge, the longer
        stays: list[tuple[int, Entity]] = []
        for m, e in near:
            if any(other != m and _meets(e, one.start, one.end) for other, one in stays):
                kept[m].remove(e)
            else:
                stays.append((m, e))
    return [e for one in kept for e in one]


def _inside(entity: Entity, units: Sequence[Unit], number: int) -> float:
    """Return how far an entity is from the nearer edge of its window."""
    before = entity.start - units[number].start if number else math.inf
    after = units[number].end - entity.end if number < len(units) - 1 else math.inf
    return min(before, after)


def _meets(entity: Entity, start: int, end: int) -> bool:
    return entity.start < end and start < entity.end
