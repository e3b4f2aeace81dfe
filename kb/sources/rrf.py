"""Reads UMLS in Rich Release Format: a folder with MRCONSO.RRF and, optionally, MRSTY, MRDEF, MRREL, SRDEF and MRDOC.

The layouts are those of the UMLS Reference Manual: columns end with `|`, nothing is quoted. Trap: MRREL reads from right to
left ("REL and RELA" are the relation of CUI2 to CUI1), and it has every relation twice, once from each side. This source yields
each once, in the direction child -> parent or part -> whole, and not as `inverse_...` or `has_...` if the other side has a
plain name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kb.concept import Concept, Relation, Source
from kb.errors import KnowledgeError, at
from kb.sources._files import lines

# Patterns of the files that are read in a folder. A cache of the result depends on these files.
FILES = ("MRCONSO.RRF*", "MRSTY.RRF*", "MRDEF.RRF*", "MRREL.RRF*", "MRDOC.RRF*", "SRDEF*")
TYPE_OF_TYPES, HAS_TYPE = "semantic type", "has_semantic_type"
UNTYPED = "concepts without a semantic type"
_FORWARD = {"CHD": "is_a", "RN": "narrower_than"}  # CUI2 is CUI1's child; its narrower term
_BACKWARD = {"PAR", "RB"}
_NAMES = {
    "isa": "is_a",
    "RO": "related_to",
    "RL": "similar_to",
    "RQ": "possibly_same_as",
    "SY": "same_as",
    "SIB": "sibling_of",
}
_ASIDE = ("inverse_", "has_")  # prefixes of names that describe a relation from its other side
Row = dict[str, str]


def build(
    path: str | Path,
    *,
    language: str = "ENG",
    sources: tuple[str, ...] = (),
    suppress: tuple[str, ...] = ("N",),
    types: tuple[str, ...] = (),
    type_concepts: bool = False,
) -> Source:
    """Build a source from a folder (or from the folder of the file `path`). It streams, because files are sorted by CUI.

    `language` (LAT) of names; `sources` (SAB) of names, definitions and relations (none means all); `suppress` lists the
    accepted SUPPRESS flags; `types` keeps only concepts of these semantic types (names or TUIs). A concept's name is the one
    with TS=P, STT=PF, ISPREF=Y. Of several semantic types, the concept's `type` is the first in the file, or the first of
    `types`. With `type_concepts` every type is a concept itself (its TUI, with SRDEF's definition), and the relation
    `has_semantic_type` leads to it from its concepts. Iterating raises KnowledgeError for invalid or unsorted rows.
    """
    path = Path(path)
    return Rrf(path.parent if path.is_file() else path, language, sources, suppress, types, type_concepts)


@dataclass(frozen=True, slots=True)
class Rrf:
    """A UMLS folder, streamed anew at each iteration. Only the ids of the kept concepts are held, for the relations."""

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
            found: dict[Relation, None] = {}  # sources and atoms repeat relations
            for row in group:
                if row["CUI2"] in kept and row["CUI2"] != cui and self._wanted(row["SAB"], row["SUPPRESS"]):
                    name = direction(row["CUI2"], row["REL"], row["RELA"], cui, inverse)
                    if name:
                        found[Relation(row["CUI2"], name, cui)] = None
            yield from found

    def _wanted(self, source: str, suppressed: str) -> bool:
        return suppressed in self.suppress and (not self.sources or source in self.sources)


class _Follower:
    """Reads a file in parallel with another of the same order, one CUI at a time."""

    def __init__(self, groups: Iterator[tuple[str, list[dict[str, str]]]]) -> None:
        self._groups = groups
        self._now = next(groups, None)

    def at(self, cui: str) -> list[dict[str, str]]:
        while self._now and self._now[0] < cui:
            self._now = next(self._groups, None)
        return self._now[1] if self._now and self._now[0] == cui else []


def semantic_types(folder: Path) -> dict[str, tuple[str, str]]:
    """Map TUIs to (name, definition) of the semantic types in a folder's SRDEF; empty without that file."""
    places = {"RT": 0, "UI": 1, "STY_RL": 2, "DEF": 4}
    file = next((folder / name for name in ("SRDEF", "SRDEF.RRF") if (folder / name).is_file()), folder / "SRDEF")
    return {row["UI"]: (row["STY_RL"], row["DEF"]) for row in optional(file, 10, places) if row["RT"] == "STY"}


def _rank(row: dict[str, str]) -> tuple[bool, bool, bool]:
    """Return a sort key: preferred names first. Python's sort is stable, so ties keep the order of the file."""
    return row["TS"] != "P", row["STT"] != "PF", row["ISPREF"] != "Y"


def inverses(path: Path) -> Mapping[str, str]:
    """Map each RELA to that of the other side, from MRDOC.RRF; empty without that file."""
    found = optional(path, 4, {"DOCKEY": 0, "VALUE": 1, "TYPE": 2, "EXPL": 3})
    return {r["VALUE"]: r["EXPL"] for r in found if r["DOCKEY"] == "RELA" and r["TYPE"] == "rela_inverse"}


def direction(head: str, rel: str, rela: str, tail: str, inverse: Mapping[str, str]) -> str:
    """Return the name of the relation head -> tail (MRREL's columns CUI2 and CUI1), or "" if the row of its other side counts.

    For hierarchies, the row of the child counts. For a RELA with a known inverse (from MRDOC, or by its name), the side without
    `has_` or `inverse_` counts, else the alphabetically first. For all others, the row whose head has the smaller id counts:
    the two sides swap the ids, so exactly one of them does.
    """
    if rel in _BACKWARD:
        return ""
    name = _NAMES.get(rela or rel) or rela or rel
    if rel in _FORWARD:
        return name if rela else _FORWARD[rel]
    other = inverse.get(rela) or _by_name(rela)
    if not other or other == rela:
        return name if head < tail else ""
    return name if (rela.startswith(_ASIDE), rela) < (other.startswith(_ASIDE), other) else ""


def _by_name(rela: str) -> str:
    if rela == "isa":
        return "inverse_isa"
    if rela.startswith("inverse_"):
        return rela.removeprefix("inverse_")
    if rela.startswith("has_"):
        return f"{rela.removeprefix('has_')}_of"
    return f"has_{rela.removesuffix('_of')}" if rela.endswith("_of") else ""


def rows(path: Path, width: int, places: Mapping[str, int]) -> Iterator[Row]:
    """Yield the columns at `places` (from 0) of every row of `width` columns; reads `<path>.gz` if there is no `path`.

    Raises KnowledgeError for a row with another width, and for a CUI smaller than the previous one: files are read in
    parallel, so they must be sorted as bytes (`LC_ALL=C sort`).
    """
    packed = path.with_name(f"{path.name}.gz")
    path = packed if packed.is_file() and not path.is_file() else path
    before = ""
    for number, line in lines(path):
        cells = line.split("|")
        if len(cells) != width + 1 or cells[-1]:
            raise at(path, number, f"expected {width} columns that each end with `|`, found {len(cells) - 1}")
        if "CUI" in places and cells[0] < before:
            raise at(path, number, f"{cells[0]} comes after {before}; sort the file by CUI (LC_ALL=C sort)")
        before = cells[0]
        yield {name: cells[place] for name, place in places.items()}


def optional(path: Path, width: int, places: Mapping[str, int]) -> Iterator[Row]:
    """Yield the rows of an optional file. Raises KnowledgeError if its folder does not exist."""
    if not path.parent.is_dir():
        raise KnowledgeError(f"{path.parent}: no such folder")
    if path.is_file() or path.with_name(f"{path.name}.gz").is_file():
        yield from rows(path, width, places)


def by_cui(found: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Group consecutive rows by CUI."""
    group: list[Row] = []
    for row in found:
        if group and group[0]["CUI"] != row["CUI"]:
            yield group[0]["CUI"], group
            group = []
        group.append(row)
    if group:
        yield group[0]["CUI"], group
