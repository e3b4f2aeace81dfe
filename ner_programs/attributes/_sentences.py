"""The sentences of a text that have entities, for the components that look for attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ner_programs.types import Entity
from ner_programs.units import split


class Sentence(NamedTuple):
    """The stretch `start..end` of a text, and the entities that begin in it, each with its number."""

    start: int
    end: int
    inside: list[tuple[int, Entity]]


def sentences(text: str, entities: Sequence[Entity]) -> list[Sentence]:
    """Return the sentences with entities, in order. Sentences that an entity crosses are one."""
    order = sorted(enumerate(entities), key=lambda pair: pair[1].start)
    held: list[Sentence] = []
    at = 0
    for unit in split(text, "sentence", keep=[(e.start, e.end) for e in entities]):
        inside = []
        while at < len(order) and order[at][1].start < unit.end:
            inside.append(order[at])
            at += 1
        if inside:
            held.append(Sentence(unit.start, unit.end, inside))
    return held
