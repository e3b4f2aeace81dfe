"""A gazetteer of surfaces with labels, from labelled text: knowledge from train, and flagged as such."""

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
    """Build a source from a table with one labelled surface in each row; `surface` and `label` name its columns.

    Surfaces with the same label and normal form are one concept, `train:<label>/<normal form>`, with the label as its type.
    Iterating raises KnowledgeError for missing columns and for rows that are too short.
    """
    return TableOfSurfaces(Path(path), surface, label)


def concept_id(surface: str, label: str) -> str:
    """Return the id of the concept of a labelled surface."""
    return f"{PREFIX}:{label}/{normalise(surface)}"


def of(surfaces: Iterable[tuple[str, str]]) -> Gazetteer:
    """Build a source from (surface, label) pairs, such as the mentions of labelled documents."""
    return Gazetteer(tuple(surfaces))


@dataclass(frozen=True, slots=True)
class Gazetteer:
    """Labelled surfaces as concepts, in the order of first occurrence.

    `from_train` marks a source that has seen the gold of train, for reports and cross-fitting.
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
    """The same from a file, which is read anew at each iteration."""

    path: Path
    surface: str
    label: str
    from_train: ClassVar[bool] = True

    def __iter__(self) -> Iterator[Concept | Relation]:
        rows = tsv.build(self.path, columns={"id": self.surface, "type": self.label})
        yield from of((row.id, row.type) for row in rows if isinstance(row, Concept))
