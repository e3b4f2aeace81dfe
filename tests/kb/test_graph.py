"""The graph: merging, look-up, neighbours, ancestors, networkx, fingerprint."""

import copy
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb import Concept, KnowledgeBase, Relation
from kb.errors import KnowledgeError, UnknownConceptError
from kb.names.filter import Filter

ids = st.sampled_from([f"X:{n}" for n in range(6)])
concepts = st.builds(
    Concept, ids, st.text(max_size=5), st.sampled_from(["", "a"]), st.lists(st.text(max_size=5), max_size=3).map(tuple)
)
relations = st.builds(Relation, ids, st.sampled_from(["is_a", "part_of"]), ids)
unique = st.lists(concepts, unique_by=lambda concept: concept.id)
items = st.tuples(unique, st.lists(relations)).map(lambda both: [*both[0], *both[1]])


def test_look_up(birds: KnowledgeBase) -> None:
    assert len(birds) == 5
    assert birds["B:3"].name == "blue tit"
    assert "B:3" in birds
    assert "B:9" not in birds
    assert birds.get("B:9") is None
    with pytest.raises(UnknownConceptError, match=r"^no concept 'B:9' among the 5 .*B:1, B:2"):
        birds["B:9"]
    with pytest.raises(KeyError):
        birds.neighbours("B:9")


def test_neighbours_both_ways(birds: KnowledgeBase) -> None:
    assert birds.neighbours("B:3") == (Relation("B:3", "is_a", "B:2"), Relation("B:3", "nests_in", "B:4"))
    assert birds.neighbours("B:3", "nests_in") == (Relation("B:3", "nests_in", "B:4"),)
    assert birds.neighbours("B:3", "eats") == ()
    assert birds.incoming("B:1") == (Relation("B:2", "is_a", "B:1"), Relation("B:5", "is_a", "B:1"))
    assert birds.incoming("B:4", "is_a") == ()
    assert birds.relation_names == ("is_a", "nests_in")


def test_ancestors_are_nearest_first_and_cycles_end(birds: KnowledgeBase) -> None:
    assert birds.ancestors("B:3") == ("B:2", "B:1")
    assert birds.ancestors("B:1") == ()
    ring = [Concept(f"R:{n}", f"ring {n}") for n in range(3)]
    kb = KnowledgeBase.of([*ring, *(Relation(f"R:{n}", "is_a", f"R:{(n + 1) % 3}") for n in range(3))])
    assert kb.ancestors("R:0") == ("R:1", "R:2")
    assert KnowledgeBase.of(ring).ancestors("R:0") == ()


def test_same_ids_are_merged() -> None:
    kb = KnowledgeBase.of(
        [
            Concept("C:1", "", synonyms=("z  y",), xrefs=("X:2", "C:1")),
            Concept("C:1", "first", "t", ("second", "first", "", "a"), "", ("X:1",)),
            Concept("C:1", "second", "u", (), "said\n twice"),
        ]
    )
    assert kb.concepts == (Concept("C:1", "first", "t", ("a", "second", "z y"), "said twice", ("X:1", "X:2")),)
    assert kb.report == {}


def test_what_cannot_be_used_is_counted() -> None:
    kb = KnowledgeBase.of(
        [
            Relation("C:1", "is_a", "C:1"), Relation("C:1", "is_a", "C:2"), Relation("C:1", "is_a", "C:2"),
            Relation("C:1", "is_a", "C:9"), Relation("C:8", "is_a", "C:9"), Concept("C:1", ""),
            Concept("C:2", "", synonyms=("b", "a")), Concept("", "lost"),
        ]
    )  # fmt: skip
    assert kb.report == {
        "concepts without a name": 2, "concepts without an id": 1, "dangling relations": 2, "self loops": 1
    }  # fmt: skip
    assert kb["C:2"] == Concept("C:2", "a", synonyms=("b",))
    assert list(kb.relations()) == [Relation("C:1", "is_a", "C:2")]
    with pytest.raises(KnowledgeError, match="yields Concept and Relation, not str"):
        KnowledgeBase.of(["C:1"])  # type: ignore[list-item]


@given(items, st.randoms(use_true_random=False))
def test_the_order_of_items_does_not_matter(parts: list[Concept | Relation], random: object) -> None:
    kb = KnowledgeBase.of(parts)
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = KnowledgeBase.of(shuffled)
    assert (again.fingerprint, again.concepts, again.report) == (kb.fingerprint, kb.concepts, kb.report)
    assert KnowledgeBase.of([*kb.concepts, *kb.relations()]).fingerprint == kb.fingerprint
    assert len(kb.fingerprint) == 16
    assert int(kb.fingerprint, 16) >= 0


def test_the_fingerprint_covers_the_content(birds: KnowledgeBase) -> None:
    whole = [*birds.concepts, *birds.relations()]
    others = [KnowledgeBase.of(whole[:place] + whole[place + 1 :]) for place in range(len(whole))]
    changed = [Concept("B:4", "oak", "tree", *field) for field in [(("x",),), ((), "x"), ((), "", ("x",))]]
    others += [KnowledgeBase.of([*whole, concept]) for concept in changed]
    others += [KnowledgeBase.of(whole, filter=Filter(own_case=3))]
    prints = {birds.fingerprint, *(kb.fingerprint for kb in others)}
    assert len(prints) == len(others) + 1


def test_copies_are_the_knowledge_base_itself(birds: KnowledgeBase) -> None:
    assert copy.deepcopy(birds) is birds is copy.copy(birds)
    assert copy.deepcopy({"kb": [birds]})["kb"][0] is birds


def test_networkx_whole_and_around(birds: KnowledgeBase) -> None:
    graph = birds.to_networkx()
    assert (len(graph), graph.number_of_edges()) == (5, 4)
    assert graph.nodes["B:3"]["definition"] == "A small bird."
    assert graph.has_edge("B:3", "B:4", key="nests_in")
    assert sorted(birds.to_networkx(around="B:4", hops=1)) == ["B:3", "B:4"]
    assert sorted(birds.to_networkx(around="B:4")) == ["B:2", "B:3", "B:4"]
    assert sorted(birds.to_networkx(around="B:4", hops=0)) == ["B:4"]


def test_importing_is_light() -> None:
    heavy = "networkx numpy pydantic dspy mlflow typer ner_programs"
    code = (
        f"import sys, kb, kb.sources.obo, kb.retrievers.walk; print([m for m in {heavy.split()} if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
