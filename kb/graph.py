"""The knowledge base: concepts, typed relations between them, and their names; frozen once built."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kb import _canonical
from kb._build import Parts, gather
from kb._errors import UnknownConceptError
from kb._frozen import Frozen
from kb.concept import Concept, Relation
from kb.names import Filter, NameIndex

if TYPE_CHECKING:
    import networkx

IS_A = "is_a"
Edges = tuple[tuple[tuple[int, int], ...], ...]  # for every concept number: (relation number, concept number), sorted


@dataclass(frozen=True, slots=True, eq=False)
class KnowledgeBase(Frozen):
    """Concepts in the order of their ids, and the relations between them. Made by `KnowledgeBase.of` or `open_kb`.

    `relation_names` are the kinds of relations there are, `names` finds names in text, `report` counts what was dropped
    or looked odd when it was built, `fingerprint` (16 hexadecimal digits) is a digest of the whole content.
    """

    concepts: tuple[Concept, ...]
    relation_names: tuple[str, ...]
    names: NameIndex
    filter: Filter
    report: Mapping[str, int]
    fingerprint: str
    _out: Edges = field(repr=False)
    _in: Edges = field(repr=False)
    _number: Mapping[str, int] = field(repr=False)

    @classmethod
    def of(cls, items: Iterable[Concept | Relation], *, filter: Filter | None = None) -> KnowledgeBase:
        """Build from concepts and relations of any number of sources (chain them), in any order.

        Concepts with the same id become one: synonyms and cross references are united, of name, type and definition the
        first that is not empty stays (another name becomes a synonym). So order matters only where sources disagree.
        """
        keep, parts = filter or Filter(), gather(items)
        text = (_canonical.concept_lines(parts.concepts), _canonical.relation_lines(parts.relations))
        return cls.assembled(
            parts, NameIndex.of(_names(parts.concepts), keep), keep, _canonical.fingerprint(*text, keep)
        )

    @classmethod
    def assembled(cls, parts: Parts, names: NameIndex, filter: Filter, fingerprint: str) -> KnowledgeBase:
        """From parts that are known to be clean and to belong together; for `of` and the store."""
        number = {concept.id: place for place, concept in enumerate(parts.concepts)}
        kinds = tuple(sorted({relation.name for relation in parts.relations}))
        kind = {name: place for place, name in enumerate(kinds)}
        edges = [(number[r.head], kind[r.name], number[r.tail]) for r in parts.relations]
        out = _adjacency(len(number), edges)
        into = _adjacency(len(number), [(tail, name, head) for head, name, tail in edges])
        return cls(parts.concepts, kinds, names, filter, dict(parts.report), fingerprint, out, into, number)

    def __len__(self) -> int:
        """How many concepts."""
        return len(self.concepts)

    def __contains__(self, id: object) -> bool:
        return id in self._number

    def __getitem__(self, id: str) -> Concept:
        return self.concepts[self._place(id)]

    def __repr__(self) -> str:
        return f"<KnowledgeBase {self.fingerprint}: {len(self)} concepts, {sum(map(len, self._out))} relations>"

    def get(self, id: str) -> Concept | None:
        """The concept with this id, or None."""
        place = self._number.get(id)
        return None if place is None else self.concepts[place]

    def relations(self) -> Iterator[Relation]:
        """All relations, by head; with `concepts`, what `KnowledgeBase.of` builds an equal one from."""
        for concept in self.concepts:
            yield from self.neighbours(concept.id)

    def neighbours(self, id: str, relation: str | None = None) -> tuple[Relation, ...]:
        """The relations that leave a concept, all or those of one name, by name and then by id of the tail.

        Raises UnknownConceptError (a KeyError too) for an id that is not here.
        """
        ends = self._out[self._place(id)]
        found = ((self.relation_names[kind], self.concepts[end].id) for kind, end in ends)
        return tuple(Relation(id, name, tail) for name, tail in found if relation in (None, name))

    def incoming(self, id: str, relation: str | None = None) -> tuple[Relation, ...]:
        """The relations that lead to a concept, all or those of one name, by name and then by id of the head."""
        ends = self._in[self._place(id)]
        found = ((self.relation_names[kind], self.concepts[end].id) for kind, end in ends)
        return tuple(Relation(head, name, id) for name, head in found if relation in (None, name))

    def ancestors(self, id: str) -> tuple[str, ...]:
        """Ids of everything that a concept is, by way of `is_a`: nearest first, then by id; never itself."""
        is_a = self.relation_names.index(IS_A) if IS_A in self.relation_names else None
        level = {self._place(id)}
        seen, found = set(level), []
        while level:
            level = {end for place in level for kind, end in self._out[place] if kind == is_a} - seen
            seen |= level
            found += sorted(level)  # numbers are in the order of the ids
        return tuple(self.concepts[place].id for place in found)

    def to_networkx(self, around: str | None = None, hops: int = 2) -> networkx.MultiDiGraph[str]:
        """A networkx copy to look at or compute with: of everything, or of what lies at most `hops` from `around`.

        Nodes are ids and carry the fields of `Concept`; the key of an edge is the name of its relation. Relations are
        followed both ways.
        """
        import networkx  # a tenth of a second that nobody needs who only retrieves

        graph: Any = networkx.MultiDiGraph()
        places = range(len(self)) if around is None else sorted(self._within(self._place(around), hops))
        for concept in map(self.concepts.__getitem__, places):
            fields = {"type": concept.type, "synonyms": concept.synonyms, "definition": concept.definition}
            graph.add_node(concept.id, name=concept.name, xrefs=concept.xrefs, **fields)
        for place in places:
            edges = self.neighbours(self.concepts[place].id)
            graph.add_edges_from((edge.head, edge.tail, edge.name) for edge in edges if edge.tail in graph)
        return graph

    def _within(self, start: int, hops: int) -> set[int]:
        seen = level = {start}
        for _ in range(hops):
            level = {end for place in level for _, end in (*self._out[place], *self._in[place])} - seen
            seen = seen | level
        return seen

    def _place(self, id: str) -> int:
        try:
            return self._number[id]
        except KeyError:
            some = ", ".join(concept.id for concept in self.concepts[:3])
            message = f"no concept {id!r} among the {len(self)} of the knowledge base (ids look like: {some or 'none'})"
            raise UnknownConceptError(message) from None


def _adjacency(size: int, edges: list[tuple[int, int, int]]) -> Edges:
    lists: list[list[tuple[int, int]]] = [[] for _ in range(size)]
    for start, kind, end in edges:
        lists[start].append((kind, end))
    return tuple(tuple(sorted(ends)) for ends in lists)


def _names(concepts: Iterable[Concept]) -> Iterator[tuple[str, str, bool]]:
    for concept in concepts:
        yield concept.id, concept.name, True
        for synonym in concept.synonyms:
            yield concept.id, synonym, False
