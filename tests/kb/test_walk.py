"""Walking along relations: reach, direction, kinds, hubs; against networkx."""

from typing import Literal

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb import Concept, KnowledgeBase, Reached, Relation
from kb.errors import KnowledgeError

ids = st.sampled_from([f"X:{n}" for n in range(8)])
relations = st.builds(Relation, ids, st.sampled_from(["is_a", "part_of"]), ids)
nodes = [Concept(f"X:{n}", f"x {n}") for n in range(8)]


def reached(kb: KnowledgeBase, *options: object) -> list[str]:
    return [end.id for end in kb.walk(*options)]  # type: ignore[arg-type]


def test_everything_within_reach_nearest_first(birds: KnowledgeBase) -> None:
    assert reached(birds, "B:3") == ["B:2", "B:4"]
    assert reached(birds, "B:3", 2) == ["B:2", "B:4", "B:1"]
    assert reached(birds, "B:3", 9, ("is_a",)) == ["B:2", "B:1"]
    assert reached(birds, "B:1", 9) == reached(birds, "B:3", 0) == []


def test_both_directions_and_the_way_there(birds: KnowledgeBase) -> None:
    assert reached(birds, "B:1", 1, None, "in") == ["B:2", "B:5"]
    assert reached(birds, "B:4", 2, None, "both") == ["B:3", "B:2"]
    up, down = Relation("B:3", "is_a", "B:2"), Relation("B:3", "nests_in", "B:4")
    assert birds.walk("B:4", 2, direction="both")[-1] == Reached("B:2", (down, up))


def test_of_a_hub_the_first_of_each_kind(birds: KnowledgeBase) -> None:
    children = [Concept(f"K:{n:02d}", f"kind {n}") for n in range(40)]
    hub = [Concept("H:1", "hub"), *(Relation(child.id, kind, "H:1") for child in children for kind in ("a", "b"))]
    kb = KnowledgeBase.of([*children, *hub])
    assert reached(kb, "H:1", 1, None, "in", 3) == ["K:00", "K:01", "K:02"]
    assert reached(kb, "H:1", 1, ("b",), "in", 40) == [child.id for child in children]
    assert len(kb.walk("H:1", direction="in")) == 40
    assert kb.incoming("H:1", "b")[-1] == Relation("K:39", "b", "H:1")


def test_what_is_not_there(birds: KnowledgeBase) -> None:
    with pytest.raises(KnowledgeError, match=r"no relation 'eats' in the knowledge base; it has is_a, nests_in"):
        birds.walk("B:1", 1, ("is_a", "eats"))
    with pytest.raises(KnowledgeError, match=r"no direction 'up'; there are out, in, both"):
        birds.walk("B:1", 1, direction="up")  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="no concept 'B:9'"):
        birds.walk("B:9")


@given(st.lists(relations, max_size=20), ids, st.integers(0, 4), st.sampled_from(["out", "in", "both"]))
def test_as_networkx_would(
    edges: list[Relation], start: str, hops: int, direction: Literal["out", "in", "both"]
) -> None:
    kb = KnowledgeBase.of([*nodes, *edges])
    graph = kb.to_networkx()
    graph = {"out": graph, "in": graph.reverse(), "both": graph.to_undirected()}[direction]
    lengths = networkx.single_source_shortest_path_length(graph, start, cutoff=hops)
    walked = kb.walk(start, hops, direction=direction)
    assert {start: 0} | {end.id: len(end.path) for end in walked} == dict(lengths)
    assert [len(end.path) for end in walked] == sorted(len(end.path) for end in walked)
    for end in walked:
        here = start
        for step in end.path:
            assert step in kb.neighbours(step.head)
            here = step.tail if here == step.head and direction != "in" else step.head
        assert here == end.id
