"""The items of a knowledge base: concepts and the relations between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Concept:
    """One meaning: an id, its preferred name, its semantic type, and further facts.

    `synonyms` never repeats `name`. `xrefs` are ids of the same concept in other vocabularies (`MESH:D003550`).
    """

    id: str
    name: str
    type: str = ""
    synonyms: tuple[str, ...] = ()
    definition: str = ""
    xrefs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Relation:
    """`head --name--> tail`, both concept ids: ("DOID:1485", "is_a", "DOID:0050737")."""

    head: str
    name: str
    tail: str


class Source(Protocol):
    """A source of concepts and relations. Each iteration streams it from the start."""

    def __iter__(self) -> Iterator[Concept | Relation]: ...
