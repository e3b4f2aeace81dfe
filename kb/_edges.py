"""The relations of a knowledge base as frozen arrays, and breadth-first walks along them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Literal

from kb._frozen import Frozen
from kb.store.pack import Pack

Direction = Literal["out", "in", "both"]
Step = tuple[int, int, bool]  # kind of relation, the concept at its end, whether that is the relation's tail
Steps = tuple[Step, ...]


class Edges(Frozen):
    """The relations of every concept in one direction ("out" or "in"), sorted by kind and then by the concept at their end.

    Those of concept `n` are from `starts[n]` to `starts[n + 1]`; `kind` and `end` are numbers of relations and concepts.
    """

    __slots__ = ("end", "kind", "starts")

    def __init__(self, pack: Pack, way: str) -> None:
        self.starts = pack.numbers(f"{way}.starts")
        self.kind, self.end = pack.numbers(f"{way}.kind"), pack.numbers(f"{way}.end")

    def __len__(self) -> int:
        return len(self.end)

    def of(self, concept: int, kind: int | None = None) -> list[tuple[int, int]]:
        """Return (kind, end) of the relations of one concept, all or those of one kind."""
        first, last = self.starts[concept], self.starts[concept + 1]
        if kind is not None:
            first, last = self._span(first, last, kind)
        return list(zip(self.kind[first:last].tolist(), self.end[first:last].tolist(), strict=True))

    def along(self, concept: int, kinds: Sequence[int], most: int) -> list[tuple[int, int]]:
        """Return (kind, end) of the relations of these kinds, at most `most` of each kind: a hub may have 100,000."""
        first, last = self.starts[concept], self.starts[concept + 1]
        if last - first <= most:  # nearly all concepts: a scan is faster than bisection
            pairs = zip(self.kind[first:last].tolist(), self.end[first:last].tolist(), strict=True)
            return [pair for pair in pairs if pair[0] in kinds]
        spans = ((kind, self._span(first, last, kind)) for kind in kinds)
        return [(kind, end) for kind, (a, b) in spans for end in self.end[a : min(b, a + most)].tolist()]

    def _span(self, first: int, last: int, kind: int) -> tuple[int, int]:
        first = bisect_left(self.kind, kind, first, last)
        return first, bisect_left(self.kind, kind + 1, first, last)


def walk(ways: Sequence[tuple[bool, Edges]], start: int, hops: int, kinds: Sequence[int], most: int) -> Iterator[Steps]:
    """Yield a shortest path to every concept within `hops`, nearest first. `ways` are the directions (True: out)."""
    seen = {start}
    level: list[tuple[int, Steps]] = [(start, ())]
    for _ in range(hops):
        further: list[tuple[int, Steps]] = []
        for place, path in level:
            for out, edges in ways:
                for kind, end in edges.along(place, kinds, most):
                    if end not in seen:
                        seen.add(end)
                        further.append((end, (*path, (kind, end, out))))
        yield from (path for _, path in further)
        if not further:
            return
        level = further
