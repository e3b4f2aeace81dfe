"""A knowledge base seen from outside: as a networkx graph, and as counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kb._edges import Edges

if TYPE_CHECKING:
    from kb.graph import KnowledgeBase


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
