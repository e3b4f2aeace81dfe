"""Merges the same concepts of several sources, by their cross-references.

Two concepts are the same if one refers to the id of the other, or if both refer to the same id of a third vocabulary. Trap:
coarse vocabularies are referred to by many different concepts, and chains of inexact references would merge concepts that a
source distinguishes. So a merged concept never has two concepts of one source. If several pairs compete, those with a common
name are merged first, then direct references, then pairs with more common references.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kb.concept import Concept, Relation
from kb.names.tokens import normalise

MERGED, REFUSED = "concepts merged into others", "references that would join two concepts of one source"
# Spellings of one vocabulary. Release dates (`SNOMEDCT_US_2023_03_01`) are removed before the lookup.
_SPELLINGS = {
    "MSH": "MESH", "UMLS_CUI": "UMLS", "MIM": "OMIM", "NCI": "NCIT", "NCI_THESAURUS": "NCIT", "ORDO": "ORPHANET",
    "ORPHA": "ORPHANET", "SCTID": "SNOMEDCT", "SNOMEDCT_US": "SNOMEDCT", "SNOMED": "SNOMEDCT", "MEDDRA": "MEDDRA",
    "ICD-10": "ICD10", "NCBIGENE": "NCBIGENE", "GENEID": "NCBIGENE", "ENTREZ": "NCBIGENE", "MONDO": "MONDO",
}  # fmt: skip
_RELEASE = re.compile(r"_\d{4}(?:_\d\d)*\Z")
_COARSE = re.compile(
    r"ICD|MEDDRA|EFO|KEGG|GARD|OMIA"
)  # statistical classes and catalogues: many different concepts refer to one of their ids


def canonical(id: str) -> str:
    """Return the canonical spelling of an id: "mesh:D1", "MSH:D1" and "MESH:D1" become `MESH:D1`.

    >>> canonical("SNOMEDCT_US_2023_03_01:22"), canonical("MIM:7"), canonical("no prefix")
    ('SNOMEDCT:22', 'OMIM:7', 'no prefix')
    """
    prefix, colon, number = id.partition(":")
    if not colon or number.startswith("//"):
        return id
    prefix = _RELEASE.sub("", prefix.upper())
    return f"{_SPELLINGS.get(prefix, prefix)}:{number}"


@dataclass(frozen=True, slots=True)
class Union:
    """The merged items, usable as a source; `report` counts merged concepts and refused references.

    `ids` maps each merged id to the id of its concept now.
    """

    concepts: tuple[Concept, ...]
    relations: tuple[Relation, ...]
    ids: Mapping[str, str] = field(repr=False)
    report: Mapping[str, int]

    def __iter__(self) -> Iterator[Concept | Relation]:
        yield from self.concepts
        yield from self.relations


def merge(items: Iterable[Concept | Relation]) -> Union:
    """Merge the same concepts. The id from the first source in `items` stays; the other ids become xrefs.

    A source is the prefix of an id (`MESH` of `MESH:D1`, after `canonical`). Names, cross-references and relations are united.
    Preferred name, type and definition come from the first source that has one. The result is deterministic for the same order
    of sources. All items are held in memory.
    """
    items = list(items)
    rank: dict[str, int] = {}
    for item in items:
        if isinstance(item, Concept):
            rank.setdefault(_source(item.id), len(rank))
    rows: dict[str, list[Concept]] = defaultdict(list)
    for item in items:
        if isinstance(item, Concept):
            rows[item.id].append(item)
    concepts = {id: _united(rows[id]) for id in sorted(rows)}
    groups, refused = _groups(concepts)
    ids: dict[str, str] = {}
    united: list[Concept] = []
    for group in groups:
        members = sorted(group, key=lambda id: (rank[_source(id)], id))
        ids.update(dict.fromkeys(members[1:], members[0]))
        united.append(_united([concepts[id] for id in members]))
    relations = {
        Relation(ids.get(item.head, item.head), item.name, ids.get(item.tail, item.tail)): None
        for item in items
        if isinstance(item, Relation)
    }
    kept = tuple(relation for relation in relations if relation.head != relation.tail)
    report = {name: count for name, count in ((MERGED, len(ids)), (REFUSED, refused)) if count}
    return Union(tuple(united), kept, ids, report)


def _groups(concepts: Mapping[str, Concept]) -> tuple[list[set[str]], int]:
    """Group concepts by union-find over the references, best first, never joining two concepts of one source."""
    group = {id: {id} for id in concepts}
    refused = 0
    for one, other in _references(concepts):
        mine, theirs = group[one], group[other]
        if mine is theirs:
            continue
        if {_source(id) for id in mine} & {_source(id) for id in theirs}:
            refused += 1
            continue
        mine |= theirs
        group.update(dict.fromkeys(theirs, mine))
    unique = {id(members): members for members in group.values()}
    return list(unique.values()), refused


def _references(concepts: Mapping[str, Concept]) -> list[tuple[str, str]]:
    """Return the pairs of concepts that some id identifies, the most reliable first."""
    own = {canonical(id): id for id in concepts}
    named_by: dict[str, list[str]] = defaultdict(list)
    for concept in concepts.values():
        for xref in sorted({canonical(xref) for xref in concept.xrefs}):
            named_by[xref].append(concept.id)
    direct: Counter[tuple[str, str]] = Counter()
    shared: Counter[tuple[str, str]] = Counter()
    for xref, namers in named_by.items():
        if xref in own:
            direct.update(_pair(own[xref], namer) for namer in namers if namer != own[xref])
        elif not _COARSE.match(xref) and _one_per_source(namers):
            shared.update(_pair(one, other) for place, one in enumerate(namers) for other in namers[:place])
    names = {id: _names(concepts[id]) for pair in (*direct, *shared) for id in pair}
    pairs = direct.keys() | shared.keys()
    return sorted(pairs, key=lambda p: (names[p[0]].isdisjoint(names[p[1]]), -direct[p], -shared[p], p))


def _one_per_source(ids: Collection[str]) -> bool:
    return len({_source(id) for id in ids}) == len(ids)


def _united(members: list[Concept]) -> Concept:
    """Merge concepts into one with the id of the first: single fields from the first that has them, lists united."""
    id = members[0].id
    name = next((m.name for m in members if m.name), "")
    synonyms = {synonym for m in members for synonym in (m.name, *m.synonyms)} - {name, ""}
    xrefs = {xref for m in members for xref in (m.id, *m.xrefs)} - {id, ""}
    return Concept(
        id,
        name,
        next((m.type for m in members if m.type), ""),
        tuple(sorted(synonyms)),
        next((m.definition for m in members if m.definition), ""),
        tuple(sorted(xrefs)),
    )


def _names(concept: Concept) -> frozenset[str]:
    return frozenset(map(normalise, (concept.name, *concept.synonyms))) - {""}


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def _source(id: str) -> str:
    return canonical(id).partition(":")[0]
