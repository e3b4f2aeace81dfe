"""A list of surfaces with their labels, made of labelled text: knowledge from train, and flagged as such."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from kb.concept import Concept, Relation, Source
from kb.names.tokens import normalise
from kb.sources import tsv

PREFIX = "train"


def build(path: str | Path, *, surface: str = "surface", label: str = "label") -> Source:
    """A source that reads a table with one labelled surface a row; `surface` and `label` name its columns.

    Surfaces of one label and one normal form are one concept, `train:<label>/<normal form>`, of that label as its type.
    Iterating raises KnowledgeError for columns that aren't there and for rows that are too short.
    """
    return TableOfSurfaces(Path(path), surface, label)


def concept_id(surface: str, label: str) -> str:
    """The id of the concept that a labelled surface is."""
    return f"{PREFIX}:{label}/{normalise(surface)}"


def of(surfaces: Iterable[tuple[str, str]]) -> Gazetteer:
    """A source of (surface, label) pairs in hand, such as the mentions of labelled documents."""
    return Gazetteer(tuple(surfaces))


@dataclass(frozen=True, slots=True)
class Gazetteer:
    """Labelled surfaces as concepts, in the order they first occur.

    `from_train` tells whoever reports or cross-fits that this source has seen the answers of the train split.
    """

    surfaces: tuple[tuple[str, str], ...]
    from_train: ClassVar[bool] = True

    def __iter__(self) -> Iterator[Concept | Relation]:
        groups: dict[tuple[str, str], dict[str, None]] = {}
        for surface, label in self.surfaces:
            if normal := normalise(surface):
                groups.setdefault((label, normal), {})[" ".join(surface.split())] = None
        for (label, normal), names in groups.items():
            first, *rest = names
            yield Concept(concept_id(normal, label), first, label, tuple(rest))


@dataclass(frozen=True, slots=True)
class TableOfSurfaces:
    """The same, of a file that is read anew on every iteration."""

    path: Path
    surface: str
    label: str
    from_train: ClassVar[bool] = True

    def __iter__(self) -> Iterator[Concept | Relation]:
        rows = tsv.build(self.path, columns={"id": self.surface, "type": self.label})
        yield from of((row.id, row.type) for row in rows if isinstance(row, Concept))
