"""The error taxonomy: classifies each error of a program, entity by entity.

Equal gold and predicted entities are correct. The others are matched in pairs of one gold and one predicted entity with
overlapping outer spans, each entity in at most one pair. Pairs with the same boundaries come first, then pairs with the same
label, then the rest; within each group the nearest boundaries first, then the leftmost. The remaining entities are unpaired.

A mention that could not be aligned (`alignment_lost`) is matched to the first unpaired gold entity with its label and its text
(ignoring case and blanks). That entity then does not count as `missed`. So every gold and every predicted entity is correct or
in exactly one error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ner_programs.alignment.align import stands_in
from ner_programs.types import Entity, Mention

KINDS = {
    "missed": "a gold entity that no predicted one overlaps, or that is left over when those are paired with others",
    "spurious": "a predicted entity that no gold one overlaps, or that is left over when those are paired with others",
    "boundary_left": "the label is right and so is the right edge, the left edge is not",
    "boundary_right": "the label is right and so is the left edge, the right edge is not",
    "boundary_both": "the label is right, both edges are not, or the pieces between them are not",
    "type": "the boundaries are right, the label is not",
    "boundary_type": "the entities overlap, but neither boundaries nor label are right",
    "alignment_lost": "a mention that was said and is in the text, but that could not be placed there",
    "invented": "a mention that was said and that is nowhere in the text",
}
"""Every kind of error and its definition, in the order of reports."""


@dataclass(frozen=True, slots=True)
class Error:
    """One error: its kind, and its entities (offsets into the document) or its mention."""

    kind: str
    gold: Entity | None = None
    predicted: Entity | None = None
    lost: Mention | None = None


def errors(text: str, gold: Iterable[Entity], predicted: Iterable[Entity], lost: Sequence[Mention] = ()) -> list[Error]:
    """Return the errors in one document, in the order of the text. Errors of `lost` mentions without a gold entity come last.

    Duplicates on one side count once. `lost` are the mentions that did not become entities (`prediction.lost`).
    """
    wanted, answered = set(gold), set(predicted)
    left, rest = wanted - answered, answered - wanted
    found = []
    touching = [(*_nearness(g, p), g, p) for g in left for p in rest if g.start < p.end and p.start < g.end]
    for _, _, g, p in sorted(touching):
        if g in left and p in rest:
            left.remove(g)
            rest.remove(p)
            found.append(Error(_kind(g, p), g, p))
    waiting = sorted(left)
    for mention in lost:
        mine = next((g for g in waiting if g.label == mention.label and _plain(g.text) == _plain(mention.text)), None)
        if mine is not None:
            waiting.remove(mine)
        there = mine is not None or stands_in(text, mention.text)
        found.append(Error("alignment_lost" if there else "invented", gold=mine, lost=mention))
    found += [Error("missed", gold=g) for g in waiting]
    found += [Error("spurious", predicted=p) for p in sorted(rest)]
    return sorted(found, key=lambda error: _place(error, len(text)))


def _nearness(gold: Entity, predicted: Entity) -> tuple[int, int]:
    """Return the sort key of a possible pair; the lowest is matched first."""
    rank = 0 if gold.fragments == predicted.fragments else 1 if gold.label == predicted.label else 2
    return rank, abs(gold.start - predicted.start) + abs(gold.end - predicted.end)


def _kind(gold: Entity, predicted: Entity) -> str:
    if gold.fragments == predicted.fragments:
        return "type"
    if gold.label != predicted.label:
        return "boundary_type"
    if (gold.start == predicted.start) == (gold.end == predicted.end):
        return "boundary_both"
    return "boundary_right" if gold.start == predicted.start else "boundary_left"


def _plain(surface: str) -> str:
    return " ".join(surface.split()).casefold()


def _place(error: Error, end: int) -> int:
    entity = error.gold or error.predicted
    return entity.start if entity is not None else end
