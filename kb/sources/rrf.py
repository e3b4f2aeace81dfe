"""UMLS in Rich Release Format: a folder with MRCONSO.RRF, and MRSTY, MRDEF, MRREL, SRDEF and MRDOC if they are there.

Layouts are those of the UMLS Reference Manual: columns end with `|`, nothing is quoted. MRREL is read from right to left
("REL and RELA say what CUI2 is to CUI1") and holds every relation twice, once from either side; here it is told once, in
the direction child -> parent, part -> whole, and never as `inverse_...` or `has_...` where the other side says it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kb.concept import Concept, Relation, Source
from kb.errors import KnowledgeError
from kb.sources._mrrel import direction, inverses
from kb.sources._rrf import by_cui, optional, rows

# What is read of a folder, as patterns: whoever keeps what was made of it looks at these.
FILES = ("MRCONSO.RRF*", "MRSTY.RRF*", "MRDEF.RRF*", "MRREL.RRF*", "MRDOC.RRF*", "SRDEF*")
TYPE_OF_TYPES, HAS_TYPE = "semantic type", "has_semantic_type"
UNTYPED = "concepts without a semantic type"


def build(
    path: str | Path,
    *,
    language: str = "ENG",
    sources: tuple[str, ...] = (),
    suppress: tuple[str, ...] = ("N",),
    types: tuple[str, ...] = (),
    type_concepts: bool = False,
) -> Source:
    """A source that reads the folder (or the folder that the file `path` lies in), streaming: files are sorted by CUI.

    `language` (LAT) of names; `sources` (SAB) of names, definitions and relations, none meaning all; `suppress` lists the
    SUPPRESS flags kept; `types` keeps the concepts of these semantic types (names or TUIs). A concept's name is the one
    with TS=P, STT=PF, ISPREF=Y. Of several semantic types `type` is the first in the file, or the first of `types`;
    with `type_concepts` every type is a concept itself (its TUI, with SRDEF's definition) to which `has_semantic_type`
    leads from each of its concepts. Iterating raises KnowledgeError for rows that cannot be read or are out of order.
    """
    path = Path(path)
    return Rrf(path.parent if path.is_file() else path, language, sources, suppress, types, type_concepts)


@dataclass(frozen=True, slots=True)
class Rrf:
    """A UMLS folder, read anew on every iteration; what is held meanwhile are the ids kept, for the relations."""

    folder: Path
    language: str
    sources: tuple[str, ...]
    suppress: tuple[str, ...]
    types: tuple[str, ...]
    type_concepts: bool
    report: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Concept | Relation]:
        self.report.clear()
        if self.type_concepts:
            for tui, (name, definition) in semantic_types(self.folder).items():
                yield Concept(tui, name, TYPE_OF_TYPES, definition=definition)
        kept: set[str] = set()
        for concept, tuis in self._concepts():
            kept.add(concept.id)
            yield concept
            if self.type_concepts:
                yield from (Relation(concept.id, HAS_TYPE, tui) for tui in tuis)
        if not kept:
            raise KnowledgeError(f"{self.folder / 'MRCONSO.RRF'}: no name is as the options want it")
        yield from self._relations(kept)

    def _concepts(self) -> Iterator[tuple[Concept, list[str]]]:
        typed = by_cui(optional(self.folder / "MRSTY.RRF", 6, {"CUI": 0, "TUI": 1, "STY": 3}))
        defined = by_cui(
            row
            for row in optional(self.folder / "MRDEF.RRF", 8, {"CUI": 0, "SAB": 4, "DEF": 5, "SUPPRESS": 6})
            if self._wanted(row["SAB"], row["SUPPRESS"])
        )
        places = {"CUI": 0, "LAT": 1, "TS": 2, "STT": 4, "ISPREF": 6, "SAB": 11, "STR": 14, "SUPPRESS": 16}
        names = (
            row
            for row in rows(self.folder / "MRCONSO.RRF", 18, places)
            if row["LAT"] == self.language and self._wanted(row["SAB"], row["SUPPRESS"])
        )
        types, definitions = _Follower(typed), _Follower(defined)
        for cui, group in by_cui(names):
            own = types.at(cui)
            mine = [row for row in own if row["TUI"] in self.types or row["STY"] in self.types]
            if self.types and not mine:
                continue
            self.report[UNTYPED] += not own
            first, *others = dict.fromkeys(row["STR"] for row in sorted(group, key=_rank))
            definition = next((row["DEF"] for row in definitions.at(cui)), "")
            type = (mine or own or [{"STY": ""}])[0]["STY"]
            yield Concept(cui, first, type, tuple(others), definition), [row["TUI"] for row in own]

    def _relations(self, kept: set[str]) -> Iterator[Relation]:
        places = {"CUI": 0, "REL": 3, "CUI2": 4, "RELA": 7, "SAB": 10, "SUPPRESS": 14}
        inverse = inverses(self.folder / "MRDOC.RRF")
        for cui, group in by_cui(optional(self.folder / "MRREL.RRF", 16, places)):
            if cui not in kept:
                continue
            found: dict[Relation, None] = {}  # sources and atoms repeat what others say
            for row in group:
                if row["CUI2"] in kept and row["CUI2"] != cui and self._wanted(row["SAB"], row["SUPPRESS"]):
                    name = direction(row["CUI2"], row["REL"], row["RELA"], cui, inverse)
                    if name:
                        found[Relation(row["CUI2"], name, cui)] = None
            yield from found

    def _wanted(self, source: str, suppressed: str) -> bool:
        return suppressed in self.suppress and (not self.sources or source in self.sources)


class _Follower:
    """A file read beside another that is sorted alike: the group of one CUI at a time."""

    def __init__(self, groups: Iterator[tuple[str, list[dict[str, str]]]]) -> None:
        self._groups = groups
        self._now = next(groups, None)

    def at(self, cui: str) -> list[dict[str, str]]:
        while self._now and self._now[0] < cui:
            self._now = next(self._groups, None)
        return self._now[1] if self._now and self._now[0] == cui else []


def semantic_types(folder: Path) -> dict[str, tuple[str, str]]:
    """TUI -> (name, definition) of the semantic types in a folder's SRDEF; empty if the folder has none."""
    places = {"RT": 0, "UI": 1, "STY_RL": 2, "DEF": 4}
    file = next((folder / name for name in ("SRDEF", "SRDEF.RRF") if (folder / name).is_file()), folder / "SRDEF")
    return {row["UI"]: (row["STY_RL"], row["DEF"]) for row in optional(file, 10, places) if row["RT"] == "STY"}


def _rank(row: dict[str, str]) -> tuple[bool, bool, bool]:
    """Preferred names first; the order of the file (Python's sort keeps it) decides between equals."""
    return row["TS"] != "P", row["STT"] != "PF", row["ISPREF"] != "Y"
