"""The concepts of a knowledge base as a sequence, read lazily from the pack."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import overload

from kb._frozen import Frozen
from kb.concept import Concept
from kb.store.pack import Pack, Table

_KEPT = 1 << 12  # cached concepts: texts name the same ones again and again


class Concepts(Frozen, Sequence[Concept]):
    """Concepts in the order of their ids. Equal to any sequence of equal concepts."""

    __slots__ = ("_at", "_read", "ids", "names", "type", "types")

    def __init__(self, pack: Pack) -> None:
        self.ids: Table = pack.table("ids")
        self.names = pack.strings("titles")
        self.types, self.type = tuple(pack.strings("types")), pack.numbers("type")
        self._read = _reader(pack, self.types)
        self._at = lru_cache(maxsize=_KEPT)(self._read)

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, place: int) -> Concept: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Concept, ...]: ...
    def __getitem__(self, place: int | slice) -> Concept | tuple[Concept, ...]:
        places = range(len(self))[place]  # handles negative indices, slices and IndexError
        return self._at(places) if isinstance(places, int) else tuple(map(self._read, places))

    def __iter__(self) -> Iterator[Concept]:
        return map(self._read, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} concepts>"

    def place(self, id: object) -> int:
        """Return the number of the concept with this id, or -1."""
        return self.ids.find(id) if isinstance(id, str) else -1


def _reader(pack: Pack, types: Sequence[str]) -> Callable[[int], Concept]:
    """Return a function that reads a concept. `details` are its definition, synonyms and xrefs as JSON, or ""."""
    ids, names, details, type = (
        pack.table("ids"),
        pack.strings("titles"),
        pack.strings("details"),
        pack.numbers("type"),
    )

    def read(place: int) -> Concept:
        definition, synonyms, xrefs = json.loads(details[place] or '["",[],[]]')
        return Concept(ids[place], names[place], types[type[place]], tuple(synonyms), definition, tuple(xrefs))

    return read
