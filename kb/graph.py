"""The knowledge base: concepts, typed relations between them, and their names; frozen once built."""

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
    """A concept that a walk came to, and the relations it went along, from the start on, in either direction."""

    id: str
    path: tuple[Relation, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class KnowledgeBase(Frozen):
    """Concepts in the order of their ids, and the relations between them. Made by `KnowledgeBase.of` or `open_kb`.

    `relation_names` are the kinds of relations there are, `names` finds names in text, `report` counts what was dropped
    or looked odd when it was built, `fingerprint` (16 hexadecimal digits) is a digest of the whole content. All of it is
    read from `pack` as it is asked for, whether that lies in memory or in a folder; so a copy is the object itself.
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
        """Build from concepts and relations of any number of sources (chain them), in any order, streaming.

        Concepts with the same id become one: synonyms and cross references are united, of name, type and definition the
        first that is not empty stays (another name becomes a synonym). So order matters only where sources disagree.
        """
        from kb.store.build import build  # imports numpy: a third of a second that reading does without

        keep = filter or Filter()
        pack, report = build(items, keep)
        return cls.read(pack, keep, report, fingerprint(pack, keep))

    @classmethod
    def read(cls, pack: Pack, filter: Filter, report: Mapping[str, int], fingerprint: str) -> KnowledgeBase:
        """From parts that are known to belong together; for `of` and the store."""
        kinds, out, into = tuple(pack.strings("kinds")), Edges(pack, "out"), Edges(pack, "in")
        return cls(Concepts(pack), kinds, NameIndex(pack), filter, dict(report), fingerprint, pack, out, into)

    def __reduce__(self) -> tuple[Any, ...]:
        return KnowledgeBase.read, (self.pack, self.filter, self.report, self.fingerprint)

    def __len__(self) -> int:
        """How many concepts."""
        return len(self.concepts)

    def __contains__(self, id: object) -> bool:
        return self.concepts.place(id) >= 0

    def __getitem__(self, id: str) -> Concept:
        return self.concepts[self._place(id)]

    def __repr__(self) -> str:
        return f"<KnowledgeBase {self.fingerprint}: {len(self)} concepts, {len(self._out)} relations>"

    @property
    def types(self) -> tuple[str, ...]:
        """The semantic types there are, in order."""
        return self.concepts.types

    def get(self, id: str) -> Concept | None:
        """The concept with this id, or None."""
        place = self.concepts.place(id)
        return None if place < 0 else self.concepts[place]

    def relations(self) -> Iterator[Relation]:
        """All relations, by head; with `concepts`, what `KnowledgeBase.of` builds an equal one from."""
        for id in self.concepts.ids:
            yield from self.neighbours(id)

    def neighbours(self, id: str, relation: str | None = None) -> tuple[Relation, ...]:
        """The relations that leave a concept, all or those of one name, by name and then by id of the tail.

        Raises UnknownConceptError (a KeyError too) for an id that is not here.
        """
        return tuple(Relation(id, name, tail) for name, tail in self._ends(self._out, id, relation))

    def incoming(self, id: str, relation: str | None = None) -> tuple[Relation, ...]:
        """The relations that lead to a concept, all or those of one name, by name and then by id of the head."""
        return tuple(Relation(head, name, id) for name, head in self._ends(self._in, id, relation))

    def ancestors(self, id: str) -> tuple[str, ...]:
        """Ids of everything that a concept is, by way of `is_a`: nearest first, then by id; never itself."""
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
        """Everything at most `hops` steps from a concept, each once and by a shortest way, nearest first.

        `relations`: only these, all if None. `direction`: from head to tail ("out"), from tail to head ("in"), or either.
        `fan`: of the relations of one kind that a concept has in one direction, follow at most so many, the first by id.
        Raises UnknownConceptError for an id that is not here, KnowledgeError for a relation that is none of
        `relation_names`.
        """
        kinds = self.kinds(relations)
        steps = walk(self._ways(direction), self._place(id), hops, kinds, len(self._out) if fan is None else fan)
        return [self._reached(id, path) for path in steps]

    def kinds(self, relations: Sequence[str] | None) -> tuple[int, ...]:
        """The numbers of these relations, in order; of all if None. Raises KnowledgeError for one that is not here."""
        if relations is None:
            return tuple(range(len(self.relation_names)))
        if unknown := [name for name in relations if name not in self.relation_names]:
            known = ", ".join(self.relation_names) or "none"
            raise KnowledgeError(f"no relation {unknown[0]!r} in the knowledge base; it has {known}")
        return tuple(sorted(map(self.relation_names.index, set(relations))))

    def to_networkx(self, around: str | None = None, hops: int = 2) -> networkx.MultiDiGraph[str]:
        """A networkx copy to look at or compute with: of everything, or of what lies at most `hops` from `around`.

        Nodes are ids and carry the fields of `Concept`; the key of an edge is the name of its relation. Relations are
        followed both ways.
        """
        return to_networkx(self, around, hops)

    def describe(self) -> dict[str, Any]:
        """What there is, as plain data: fingerprint, counts (by type and by relation, most first), report, bytes."""
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
        """Number of a relation; one that no relation has if it is none."""
        return self.relation_names.index(relation) if relation in self.relation_names else len(self.relation_names)

    def _place(self, id: str) -> int:
        place = self.concepts.place(id)
        if place < 0:
            some = ", ".join(concept.id for concept in self.concepts[:3])
            message = f"no concept {id!r} among the {len(self)} of the knowledge base (ids look like: {some or 'none'})"
            raise UnknownConceptError(message)
        return place


def to_networkx(kb: KnowledgeBase, around: str | None, hops: int) -> Any:
    """A MultiDiGraph of everything, or of what lies at most `hops` from `around`."""
    import networkx  # a tenth of a second that nobody needs who only retrieves

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
    """Plain data: counts, the report, and the bytes of the pack, which are those of its file."""
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
