"""Builds a pack from the items of sources: merges ids, collapses white space, counts and drops unusable items."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from kb.concept import Concept, Relation
from kb.errors import KnowledgeError
from kb.names.filter import Filter
from kb.names.naming import Naming
from kb.store.pack import Pack
from kb.store.packing import Numbers, Packer, starts_of

DANGLING = "dangling relations"
LOOPS = "self loops"
NAMELESS = "concepts without a name"
IDLESS = "concepts without an id"
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def build(items: Iterable[Concept | Relation], keep: Filter) -> tuple[Pack, dict[str, int]]:
    """Merge, clean and pack items. Return the pack and a report of the warnings that occurred."""
    drafts = _Drafts()
    drafts.add(items)
    packer, naming = Packer(), Naming(keep)
    ids = sorted(drafts.numbers)
    drafts.report[DANGLING] = _pack_relations(packer, drafts, ids)
    _pack_concepts(packer, naming, drafts, ids)
    report = {warning: count for warning, count in sorted(drafts.report.items()) if count}
    del drafts, ids  # the names need the memory
    naming.pack(packer)
    return packer.done(), report


class _Drafts:
    """The collected items. Relations are stored as numbers: five million take 60 MB, as objects they would take 2 GB."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}  # every id, numbered by first occurrence
        self.kinds: dict[str, int] = {}
        self.concepts: list[Concept | list[Concept] | None] = []  # by number
        self.heads, self.names, self.tails = array("I"), array("I"), array("I")
        self.report: Counter[str] = Counter()

    def add(self, items: Iterable[Concept | Relation]) -> None:
        for item in items:
            if isinstance(item, Concept):
                self._concept(item)
            elif not isinstance(item, Relation):
                raise KnowledgeError(f"a source yields Concept and Relation, not {type(item).__name__}")
            elif item.head == item.tail:
                self.report[LOOPS] += 1
            else:
                self.heads.append(self._number(item.head))
                self.names.append(self.kinds.setdefault(item.name, len(self.kinds)))
                self.tails.append(self._number(item.tail))

    def _concept(self, concept: Concept) -> None:
        if not concept.id:
            self.report[IDLESS] += 1
            return
        number = self._number(concept.id)
        before = self.concepts[number]
        if before is None:
            self.concepts[number] = concept
        elif isinstance(before, list):
            before.append(concept)
        else:
            self.concepts[number] = [before, concept]

    def _number(self, id: str) -> int:
        number = self.numbers.setdefault(id, len(self.concepts))
        if number == len(self.concepts):
            self.concepts.append(None)
        return number


def _pack_relations(packer: Packer, drafts: _Drafts, ids: Sequence[str]) -> int:
    """Pack the relations in both directions, sorted by concept, kind and other end. Return the number of dangling ones."""
    came = np.fromiter(map(drafts.numbers.__getitem__, ids), np.int64, len(ids))
    known = np.fromiter((drafts.concepts[number] is not None for number in came), np.bool_, len(ids))
    rank = np.argsort(came)  # number -> place among the sorted ids, concepts or not
    place = np.cumsum(known) - 1  # from there to place among the concepts
    kinds = sorted(drafts.kinds)
    kind = np.argsort(np.fromiter(map(drafts.kinds.__getitem__, kinds), np.int64, len(kinds)))
    edges = np.stack([rank[_ints(drafts.heads)], kind[_ints(drafts.names)], rank[_ints(drafts.tails)]])
    edges = edges[:, np.lexsort(edges[::-1])]
    edges = edges[:, np.diff(edges, prepend=-1).any(axis=0)]  # each once
    kept = known[edges[0]] & known[edges[2]]
    heads, names, tails = edges[:, kept]
    used, names = np.unique(names, return_inverse=True)
    packer.strings("kinds", [kinds[number] for number in used])
    size = int(known.sum())
    _pack_edges(packer, "out", size, (place[heads], names, place[tails]))
    order = np.lexsort((heads, names, tails))
    _pack_edges(packer, "in", size, (place[tails[order]], names[order], place[heads[order]]))
    return int((~kept).sum())


def _pack_edges(packer: Packer, way: str, size: int, edges: tuple[Numbers, ...]) -> None:
    from_, names, to = edges
    packer.numbers(f"{way}.starts", starts_of(from_, size))
    packer.numbers(f"{way}.kind", names)
    packer.numbers(f"{way}.end", to)


def _pack_concepts(packer: Packer, naming: Naming, drafts: _Drafts, ids: Iterable[str]) -> None:
    """Pack the concepts in the order of `ids`, and add their names to `naming`."""
    kept, titles, details = list[str](), list[str](), list[str]()
    types = dict[str, int]()
    type = array("I")
    for concept in _merged(drafts, ids):
        naming.add(len(kept), concept.name, True)
        for synonym in concept.synonyms:
            naming.add(len(kept), synonym, False)
        more = (concept.definition, concept.synonyms, concept.xrefs)
        kept.append(concept.id)
        titles.append(concept.name)
        type.append(types.setdefault(concept.type, len(types)))
        details.append(_json(more) if any(more) else "")
    packer.table("ids", kept)
    packer.strings("titles", titles)
    order = sorted(types)
    packer.strings("types", order)
    packer.numbers("type", np.argsort(np.fromiter(map(types.__getitem__, order), np.int64))[_ints(type)])
    packer.strings("details", details)


def _merged(drafts: _Drafts, ids: Iterable[str]) -> Iterator[Concept]:
    for id in ids:
        number = drafts.numbers[id]
        same = drafts.concepts[number]
        drafts.concepts[number] = None  # frees the memory of packed concepts
        if same is not None:
            same = same if isinstance(same, list) else [same]
            drafts.report[NAMELESS] += not any(_folded(concept.name) for concept in same)
            yield _one(id, same)


def _one(id: str, same: Sequence[Concept]) -> Concept:
    names = [_folded(concept.name) for concept in same]
    synonyms = {*names, *(_folded(synonym) for concept in same for synonym in concept.synonyms)} - {""}
    name = _first(names) or min(synonyms, default="")
    return Concept(
        id,
        name,
        _first(concept.type for concept in same),
        tuple(sorted(synonyms - {name})),
        _first(_folded(concept.definition) for concept in same),
        tuple(sorted({xref for concept in same for xref in concept.xrefs} - {"", id})),
    )


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")


def _folded(text: str) -> str:
    return " ".join(text.split())


def _ints(numbers: array[int]) -> Numbers:
    return np.frombuffer(numbers, np.dtype("u4"))
