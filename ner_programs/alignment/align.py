"""Aligns predicted mentions (strings) with the text: they become entities (spans).

`text_index` finds the places that match a string; this module chooses among them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ner_programs.alignment.text_index import Spot, TextIndex
from ner_programs.types import Entity, Mention, checked_text

Policy = Literal["all", "ordered"]

_MISSED = 1.0  # cost of leaving a mention out, higher than the cost of any place


@dataclass(frozen=True, slots=True)
class Alignment:
    """The entities, the mentions that are not in the text (`lost`), and those whose places are taken (`crowded`).

    A duplicate of an entity (same span and label) is neither lost nor crowded.
    """

    entities: tuple[Entity, ...]
    lost: tuple[Mention, ...]
    crowded: tuple[Mention, ...] = ()


_Tried = list[tuple[Mention, Sequence[Spot]]]  # mentions, and all matching places of each
_Way = tuple[
    int, float, "tuple[int, Spot, object] | None"
]  # its end, its cost, its places as a linked list from the last


def align(text: str, mentions: Iterable[Mention], *, policy: Policy = "all") -> tuple[Entity, ...]:
    """Return the entities of `text` for `mentions`, sorted and without overlap.

    Offsets are characters, end exclusive. A mention with a position hint (`Mention.start`) marks one occurrence: at the hint if
    it is there verbatim, else the nearest. Without a hint, the policy `all` marks every whole-word occurrence, longest first;
    `ordered` assumes that the mentions are in the order of the text, so that the second mention of a string marks its second
    occurrence. Mentions that are not in the text are dropped (`align_report` returns them). Of equal spans the first mention's
    label wins. Raises ValueError for an unknown `policy`, never for a model's answer.
    """
    return align_report(text, mentions, policy=policy).entities


def align_report(text: str, mentions: Iterable[Mention], *, policy: Policy = "all") -> Alignment:
    """Align as `align` does, and also return the mentions that could not be aligned."""
    if policy not in ("all", "ordered"):
        raise ValueError(f"the policy is 'all' or 'ordered', not {policy!r}")
    page = _Page(checked_text(text))
    hinted: list[Mention] = []
    free: list[Mention] = []
    for mention in mentions:
        (free if mention.start is None else hinted).append(mention)
    tried = page.place_hinted(hinted)
    tried += page.place_all(free) if policy == "all" else page.place_in_order(free)
    entities = tuple(sorted(page.entities, key=lambda entity: entity.start))
    there = {(e.start, e.end, e.label) for e in entities}
    crowded = [m for m, spots in tried if spots and not any((s.start, s.end, m.label) in there for s in spots)]
    return Alignment(entities, tuple(m for m, spots in tried if not spots), tuple(crowded))


def stands_in(text: str, surface: str) -> bool:
    """Return whether `surface` is in `text`: as `align` finds it, or inside longer words."""
    index, surface = TextIndex(text), surface.strip()
    return bool(index.spots(surface) or index.inside(surface))


class _Page:
    """A text, its index, and the entities marked so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.entities: list[Entity] = []
        self._taken = bytearray(len(text))
        self._index: TextIndex | None = None

    def place_hinted(self, mentions: Sequence[Mention]) -> _Tried:
        """Mark each mention once: at its hint if it is there verbatim, else as near as possible."""
        exact: list[tuple[Spot, Mention]] = []
        near: list[tuple[int, Mention]] = []
        for mention in mentions:
            surface = mention.text.strip()
            start = (mention.start or 0) + len(mention.text) - len(mention.text.lstrip())
            if surface and start >= 0 and self.text.startswith(surface, start):
                exact.append((Spot(0.0, start, start + len(surface)), mention))
            else:
                near.append((min(max(start, 0), len(self.text)), mention))
        self._mark_longest(exact)
        tried: _Tried = [(mention, (spot,)) for spot, mention in exact]
        if not near:
            return tried
        near.sort(key=lambda pair: pair[0])
        options = []
        for start, mention in near:
            spots = self._spots(mention, start)
            options.append([Spot(abs(s.start - start) / (len(self.text) + 1) + s.cost, s.start, s.end) for s in spots])
        return tried + self._mark_chain([mention for _, mention in near], options)

    def place_in_order(self, mentions: Sequence[Mention]) -> _Tried:
        """Mark each mention once, in the order of the list if the text allows it."""
        # Ties go to the earlier place.
        step = 1e-6 / (len(self.text) + 1)
        options = [[Spot(s.cost + step * s.start, s.start, s.end) for s in self._spots(m)] for m in mentions]
        return self._mark_chain(mentions, options)

    def place_all(self, mentions: Sequence[Mention]) -> _Tried:
        """Mark every occurrence of each mention, longest first and exact before similar."""
        first: dict[str, Mention] = {}
        scores: dict[str, list[float | None]] = {}
        for mention in mentions:  # a repeated mention (an LM in a loop) marks no further places
            if first.setdefault(mention.text.strip(), mention).label == mention.label:
                scores.setdefault(mention.text.strip(), []).append(mention.score)
        spots = {surface: self._spots(mention) for surface, mention in first.items()}
        self._mark_longest(
            [(spot, first[surface]) for surface, some in spots.items() for spot in some if not spot.cost]
        )
        for surface, some in spots.items():
            if some and (least := min(some).cost):  # misspelt: mark only the most similar places, not all similar ones
                self._mark_longest([(spot, first[surface]) for spot in some if spot.cost == least])
        for surface, listed in scores.items():
            if len(listed) > 1:
                self._score_in_turn(spots[surface], first[surface].label, listed)
        return [(mention, spots[mention.text.strip()]) for mention in mentions]

    def _spots(self, mention: Mention, hint: int | None = None) -> list[Spot]:
        if self._index is None:  # not needed if all mentions are at their hints
            self._index = TextIndex(self.text)
        surface = mention.text.strip()
        spots = self._index.spots(surface)
        if not spots and hint is not None:  # inside a longer word only at the hint
            spots = [s for s in self._index.inside(surface) if abs(s.start - hint) <= len(surface)]
        return spots

    def _mark_longest(self, places: list[tuple[Spot, Mention]]) -> None:
        """Mark the free places, longest first; `sorted` is stable, so ties keep the given order."""
        for spot, mention in sorted(places, key=lambda place: place[0].start - place[0].end):
            if self._is_free(spot):
                self._mark(spot, mention)

    def _mark_chain(self, mentions: Sequence[Mention], options: Sequence[Sequence[Spot]]) -> _Tried:
        """Mark one place for each mention, left to right. Mentions that break the order then get their best free place."""
        chain = _chain([[spot for spot in spots if self._is_free(spot)] for spots in options])
        for i, spot in chain.items():
            self._mark(spot, mentions[i])
        for i, spots in enumerate(options):
            if i not in chain and (left := [spot for spot in spots if self._is_free(spot)]):
                self._mark(min(left), mentions[i])
        return list(zip(mentions, options, strict=True))

    def _score_in_turn(self, spots: Sequence[Spot], label: str, scores: Sequence[float | None]) -> None:
        """Give the entities at `spots`, in the order of the text, the scores of the mentions; the rest get the last score."""
        there = {(spot.start, spot.end) for spot in spots}
        mine = [i for i, e in enumerate(self.entities) if e.label == label and (e.start, e.end) in there]
        for n, i in enumerate(sorted(mine, key=lambda i: self.entities[i].start)):
            self.entities[i] = replace(self.entities[i], score=scores[min(n, len(scores) - 1)])

    def _is_free(self, spot: Spot) -> bool:
        return self._taken.find(1, spot.start, spot.end) < 0

    def _mark(self, spot: Spot, mention: Mention) -> None:
        self._taken[spot.start : spot.end] = b"\1" * (spot.end - spot.start)
        more = {"score": mention.score, "provenance": mention.provenance}
        self.entities.append(Entity.of(self.text, spot.start, spot.end, mention.label, **more))


def _chain(options: Sequence[Sequence[Spot]]) -> dict[int, Spot]:
    """Choose at most one place for each mention so that places are ordered left to right at the least total cost.

    This is a dynamic program over the mentions. `ways` has the cheapest way to end at each offset, for the mentions so far. A
    way that ends later than another without being cheaper is dropped, so ends increase and costs decrease along the list.
    """
    ways: list[_Way] = [(0, 0.0, None)]
    for i, spots in enumerate(options):
        if not spots:
            continue
        ends = [way[0] for way in ways]
        new: list[_Way] = [(end, cost + _MISSED, path) for end, cost, path in ways]
        for spot in spots:
            _, cost, path = ways[bisect_right(ends, spot.start) - 1]
            new.append((spot.end, cost + spot.cost, (i, spot, path)))
        new.sort(key=lambda way: way[:2])
        ways = new[:1]
        for way in new[1:]:
            if way[1] < ways[-1][1]:
                ways.append(way)
    chosen: dict[int, Spot] = {}
    step: object = ways[-1][2]
    while isinstance(step, tuple):
        chosen[step[0]] = step[1]
        step = step[2]
    return chosen
