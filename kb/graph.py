"""The knowledge base: an immutable graph of concepts, typed relations between them, and their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kb._concepts import Concepts
from kb._edges import Direction, Edges, Steps, walk
from kb._frozen import Frozen
from kb.concept import Concept, Relation
from kb.errors import KnowledgeError, UnknownConceptError
from kb.names.filter import Filter
from kb.names.index import NameIndex
from kb.store.digest import fingerprint
from kb.store.pack import Pack

if TYPE_CHECKING:
    import networkx

IS_A = "is_a"


@dataclass(frozen=True, slots=True)
class Reached:
    """A concept reached by a walk, and the relations along its path from the start, in either direction."""

    id: str
    path: tuple[Relation, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class KnowledgeBase(Frozen):
    """Concepts in the order of their ids, and the relations between them. Built by `KnowledgeBase.of` or `open_kb`.

    `relation_names` are the kinds of relations. `names` finds names in text. `report` counts the warnings from building.
    `fingerprint` (16 hexadecimal digits) is a digest of the whole content. Everything is read lazily from `pack`, in memory or
    in a folder. A copy is the object itself.
    """

    concepts: Concepts
    relation_names: tuple[str, ...]
    names: NameIndex
    filter: Filter
    report: Mapping[str, int]
    fingerprint: str
    pack: Pack
    _out: Edges
    _in: Edges

    @classmethod
    def of(cls, items: Iterable[Concept | Relation], *, filter: Filter | None = None) -> KnowledgeBase:
        """Build from concepts and relations of any number of chained sources, in any order, streaming.

        Concepts with the same id are merged: synonyms and cross-references are united; the first non-empty name, type and
        definition stay (other names become synonyms). So the order matters only if sources disagree.
        """
        from kb.store.build import build  # imports numpy, a third of a second that reading does not need

        keep = filter or Filter()
        pack, report = build(items, keep)
        return cls.read(pack, keep, report, fingerprint(pack, keep))

    @classmethod
    def read(cls, pack: Pack, filter: Filter, report: Mapping[str, int], fingerprint: str) -> KnowledgeBase:
        """Create from parts that belong together; for `of` and the store."""
        kinds, out, into = tuple(pack.strings("kinds")), Edges(pack, "out"), Edges(pack, "in")
        return cls(Concepts(pack), kinds, NameIndex(pack), filter, dict(report), fingerprint, pack, out, into)

    def __reduce__(self) -> tuple[Any, ...]:
        return KnowledgeBase.read, (self.pack, self.filter, self.report, self.fingerprint)

    def __len__(self) -> int:
        """The number of concepts."""
        return len(self.concepts)

    def __contains__(self, id: object) -> bool:
        return self.concepts.place(id) >= 0

    def __getitem__(self, id: str) -> Concept:
        return self.concepts[self._place(id)]

    def __repr__(self) -> str:
        return f"<KnowledgeBase {self.fingerprint}: {len(self)} concepts, {len(self._out)} relations>"

    @property
    def types(self) -> tuple[str, ...]:
        """The semantic types, sorted."""
        return self.concepts.types

    def get(self, id: str) -> Concept | None:
        """Return the concept with this id, or None."""
        place = self.concepts.place(id)
        return None if place < 0 else self.concepts[place]

    def relations(self) -> Iterator[Relation]:
        """Yield all relations, by head. From these and `concepts`, `KnowledgeBase.of` builds an equal knowledge base."""
        for id in self.concepts.ids:
            yield from self.neighbours(id)

    def neighbours(self, id: str, relation: str | None = None) -> tuple[Relation, ...]:
        """Return the relations from a concept, all or those of one name, sorted by name and by the tail's id.

        Raises UnknownConceptError (also a KeyError) for an unknown id.
        """
        return tuple(Relation(id, name, tail) for name, tail in self._ends(self._out, id, relation))

    def incoming(self, id: str, relation: str | None = None) -> tuple[Relation, ...]:
        """Return the relations to a concept, all or those of one name, sorted by name and by the head's id."""
        return tuple(Relation(head, name, id) for name, head in self._ends(self._in, id, relation))

    def ancestors(self, id: str) -> tuple[str, ...]:
        """Return the ids of all ancestors of a concept by `is_a`, nearest first, then by id, without the concept itself."""
        is_a = self._kind(IS_A)
        level = {self._place(id)}
        seen, found = set(level), list[int]()
        while level:
            level = {end for place in level for _, end in self._out.of(place, is_a)} - seen
            seen |= level
            found += sorted(level)  # numbers are in the order of the ids
        return tuple(map(self.concepts.ids.__getitem__, found))

    def walk(
        self, id: str, hops: int = 1, relations: Sequence[str] | None = None, direction: Direction = "out",
        fan: int | None = None,
    ) -> list[Reached]:  # fmt: skip
        """Return all concepts at most `hops` steps from a concept, each once with a shortest path, nearest first.

        `relations`: follow only these (None: all). `direction`: from head to tail ("out"), from tail to head ("in"), or both
        ("both"). `fan`: follow at most this many relations of one kind and direction from a concept, the first by id.
        Raises UnknownConceptError for an unknown id, KnowledgeError for an unknown relation.
        """
        kinds = self.kinds(relations)
        steps = walk(self._ways(direction), self._place(id), hops, kinds, len(self._out) if fan is None else fan)
        return [self._reached(id, path) for path in steps]

    def kinds(self, relations: Sequence[str] | None) -> tuple[int, ...]:
        """Return the sorted numbers of these relations (None: of all). Raises KnowledgeError for an unknown relation."""
        if relations is None:
            return tuple(range(len(self.relation_names)))
        if unknown := [name for name in relations if name not in self.relation_names]:
            known = ", ".join(self.relation_names) or "none"
            raise KnowledgeError(f"no relation {unknown[0]!r} in the knowledge base; it has {known}")
        return tuple(sorted(map(self.relation_names.index, set(relations))))

    def to_networkx(self, around: str | None = None, hops: int = 2) -> networkx.MultiDiGraph[str]:
        """Return a networkx copy of everything, or of the concepts at most `hops` from `around`.

        Nodes are ids with the fields of `Concept` as attributes. The key of an edge is the name of its relation. Relations are
        followed in both directions.
        """
        return to_networkx(self, around, hops)

    def describe(self) -> dict[str, Any]:
        """Return a summary as plain data: fingerprint, counts (by type and by relation, highest first), report, bytes."""
        return description(self, self._out)

    def _reached(self, start: str, steps: Steps) -> Reached:
        path = list[Relation]()
        for kind, place, out in steps:
            end, name = self.concepts.ids[place], self.relation_names[kind]
            path.append(Relation(start, name, end) if out else Relation(end, name, start))
            start = end
        return Reached(start, tuple(path))

    def _ways(self, direction: Direction) -> list[tuple[bool, Edges]]:
        ways = {"out": [(True, self._out)], "in": [(False, self._in)], "both": [(True, self._out), (False, self._in)]}
        if direction not in ways:
            raise KnowledgeError(f"no direction {direction!r}; there are {', '.join(ways)}")
        return ways[direction]

    def _ends(self, edges: Edges, id: str, relation: str | None) -> Iterator[tuple[str, str]]:
        place, kind = self._place(id), None if relation is None else self._kind(relation)
        ids = self.concepts.ids
        return ((self.relation_names[kind], ids[end]) for kind, end in edges.of(place, kind))

    def _kind(self, relation: str) -> int:
        """Return the number of a relation; for an unknown one, a number that no relation has."""
        return self.relation_names.index(relation) if relation in self.relation_names else len(self.relation_names)

    def _place(self, id: str) -> int:
        place = self.concepts.place(id)
        if place < 0:
            some = ", ".join(concept.id for concept in self.concepts[:3])
            message = f"no concept {id!r} among the {len(self)} of the knowledge base (ids look like: {some or 'none'})"
            raise UnknownConceptError(message)
        return place


def to_networkx(kb: KnowledgeBase, around: str | None, hops: int) -> Any:
    """Return a MultiDiGraph of everything, or of the concepts at most `hops` from `around`."""
    import networkx  # a tenth of a second that retrieval does not need

    graph: Any = networkx.MultiDiGraph()
    ids: Iterable[str] = kb.concepts.ids
    if around is not None:
        ids = sorted([around, *(reached.id for reached in kb.walk(around, hops, direction="both"))])
    for id in ids:
        fields = asdict(kb[id])
        graph.add_node(fields.pop("id"), **fields)
    for id in list(graph):
        edges = kb.neighbours(id)
        graph.add_edges_from((edge.head, edge.tail, edge.name) for edge in edges if edge.tail in graph)
    return graph


def description(kb: KnowledgeBase, edges: Edges) -> dict[str, Any]:
    """Return a summary as plain data: counts, the report, and the size of the pack in bytes."""
    return {
        "fingerprint": kb.fingerprint,
        "concepts": len(kb),
        "relations": len(edges),
        "names": len(kb.names.forms),
        "names_sought": len(kb.names),
        "types": _counted(kb.types, kb.concepts.type),
        "relation_names": _counted(kb.relation_names, edges.kind),
        "report": dict(kb.report),
        "bytes": len(kb.pack.block),
    }


def _counted(names: Sequence[str], numbers: memoryview) -> dict[str, int]:
    counts = Counter(numbers)
    return {names[number]: counts[number] for number in sorted(counts, key=lambda number: (-counts[number], number))}
