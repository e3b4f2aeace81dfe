"""From a text to items: what is named, what it is, and what lies around it."""

import copy

import pytest

from kb import Concept, KnowledgeBase, Relation
from kb.errors import KnowledgeError
from kb.retrievers import flat, none, walk

TEXT = "Two blue tits and an owl; a Blue-Tit sang."


def short(items: list[object]) -> list[tuple[str, str, tuple[str, ...], float]]:
    return [(i.concept.id, i.surface, i.path, round(i.relevance, 2)) for i in items]  # type: ignore[attr-defined]


def test_none_brings_nothing(birds: KnowledgeBase) -> None:
    assert none.build(kb=birds)(TEXT) == [] == none.build(kb=None)(TEXT)


def test_flat_brings_what_is_named_once(birds: KnowledgeBase) -> None:
    assert short(flat.build(kb=birds)(TEXT)) == [("B:3", "blue tits", (), 1), ("B:5", "owl", (), 1)]


def test_a_name_of_several_concepts_is_one_item(birds: KnowledgeBase) -> None:
    assert short(flat.build(kb=birds)("a singer")) == [("B:2", "singer", (), 1)]
    both = KnowledgeBase.of([*birds.concepts, Concept("B:7", "singer")])
    assert short(flat.build(kb=both)("a singer")) == [("B:7", "singer", (), 1)]


def test_walk_gives_facts_to_what_is_named_and_then_neighbours(birds: KnowledgeBase) -> None:
    assert short(walk.build(kb=birds)(TEXT)) == [
        ("B:3", "blue tits", ("is a song bird",), 1),
        ("B:5", "owl", ("is a bird",), 1),
        ("B:1", "", ("is a bird",), 0.33),
        ("B:2", "", ("is a song bird",), 0.33),  # by its other name, "singer"
    ]


def test_walk_further_and_along_other_relations(birds: KnowledgeBase) -> None:
    far = walk.build(kb=birds, hops=2, relations=("is_a", "nests_in"))
    assert short(far("blue tit")) == [
        ("B:3", "blue tit", ("is a song bird", "nests in oak", "is a bird"), 1), ("B:2", "", ("is a song bird",), 0.33),
        ("B:4", "", ("nests in oak",), 0.33), ("B:1", "", ("is a song bird", "is a bird"), 0.33),
    ]  # fmt: skip


def test_walk_the_other_way_and_both(birds: KnowledgeBase) -> None:
    kinds = walk.build(kb=birds, direction="in", relations=("is_a", "nests_in"))
    assert short(kinds("an oak, a bird")) == [
        ("B:4", "oak", ("blue tit nests in it",), 1), ("B:1", "bird", ("includes song bird", "includes owl"), 1),
        ("B:2", "", ("includes song bird",), 0.5), ("B:5", "", ("includes owl",), 0.33),
        ("B:3", "", ("blue tit nests in it",), 0.2),
    ]  # fmt: skip
    siblings = walk.build(kb=birds, direction="both", hops=2)
    assert short(siblings("an owl"))[-1] == ("B:2", "", ("is a bird", "includes song bird"), 0.33)


def test_what_the_text_says_in_part_comes_before_what_is_nearer() -> None:
    tits = [
        Concept("C:1", "great tit"), Concept("C:2", "blue spotted tit"), Concept("C:3", "coal tit"),
        Concept("C:4", "tit"),
    ]  # fmt: skip
    kb = KnowledgeBase.of([*tits, *(Relation(tit.id, "is_a", "C:4") for tit in tits[:3])])
    items = walk.build(kb=kb, hops=2, direction="both", limit=2)("a great tit and a blue one, spotted")
    assert short(items) == [("C:1", "great tit", ("is a tit", "includes blue spotted tit", "includes coal tit"), 1),
                            ("C:2", "", ("is a tit", "includes blue spotted tit"), 0.89)]  # fmt: skip


def test_short_forms_are_read_as_the_document_defines_them(birds: KnowledgeBase) -> None:
    document = "The blue tit (BT) sang. BT again; owl (OWL)."
    for build in (flat.build, walk.build):
        assert [(i.concept.id, i.surface) for i in build(kb=birds)("BT again", document)][:1] == [("B:3", "BT")]
        assert build(kb=birds)("BT again") == []
    assert flat.build(kb=birds)("an owl", "other white larks (OWL)")[0].concept.id == "B:5"
    kb = KnowledgeBase.of([Concept("C:1", "great grey shrike", synonyms=("GGS",))])
    assert flat.build(kb=kb)("GGS", "great grey (GGS)"), "the text leaves the end of the name to the reader"
    assert not flat.build(kb=kb)("GGS", "greatest growing seed (GGS)")


def test_candidates_are_looked_up_though_the_filter_would_not(birds: KnowledgeBase) -> None:
    kb = KnowledgeBase.of([*birds.concepts, Concept("C:1", "it"), Concept("C:2", "elsewhere")])
    assert short(flat.build(kb=kb)("it, an owl", "", ("it", "owl", "elsewhere", "nothing"))) == [
        ("B:5", "owl", (), 1), ("C:1", "it", (), 1),
    ]  # fmt: skip


def test_definitions_of_the_concept_or_else_of_its_type() -> None:
    long = "A bird with " + "very " * 60 + "long legs. It wades."
    rows = [Concept("C:1", "tit", definition="A small bird. It sings."), Concept("C:2", "owl"),
            Concept("C:3", "heron", definition=long),
            Concept("C:4", "kite"), Concept("T:1", "hunter", definition="What hunts.\nAny time."),
            Relation("C:2", "has_semantic_type", "T:1")]  # fmt: skip
    said = [item.path for item in flat.build(kb=KnowledgeBase.of(rows), fields="definition")("tit, owl, heron, kite")]
    assert said[:2] == [("A small bird",), ("What hunts",)]
    assert said[2][0].startswith("A bird with very") and len(said[2][0]) <= 200 and said[2][0].endswith("very")
    assert said[3] == ()


def test_how_many_facts(birds: KnowledgeBase) -> None:
    paths = [walk.build(kb=birds, hops=2, facts=facts)("blue tit")[0].path for facts in (0, 1, 5)]
    assert paths == [(), ("is a song bird",), ("is a song bird", "is a bird")]


def test_nothing_is_said_of_the_nameless_nor_of_what_lies_behind() -> None:
    names = {"C:1": "first", "C:2": "", "C:3": "third"}
    rows = [Concept(id, name) for id, name in names.items()]
    kb = KnowledgeBase.of([*rows, Relation("C:1", "is_a", "C:2"), Relation("C:2", "is_a", "C:3")])
    assert short(walk.build(kb=kb, hops=3)("first")) == [("C:1", "first", (), 1)]


def test_what_many_names_lead_to_comes_first() -> None:
    young = [Concept(f"C:{n}", f"bird number {n}") for n in range(3)]
    kb = KnowledgeBase.of(
        [
            *young, Concept("A:1", "nest builder"), Concept("Z:1", "egg layer"), Concept("N:1", ""),
            Relation("C:0", "is_a", "A:1"), Relation("C:0", "is_a", "N:1"),
            *(Relation(concept.id, "is_a", "Z:1") for concept in young),
        ]
    )  # fmt: skip
    items = walk.build(kb=kb)("bird number 0, bird number 1")
    assert [item.concept.id for item in items] == ["C:0", "C:1", "Z:1", "A:1"]
    assert items[0].path == ("is a nest builder", "is an egg layer")


def test_limit_never_drops_what_is_named(birds: KnowledgeBase) -> None:
    assert [item.concept.id for item in walk.build(kb=birds, limit=1)(TEXT)] == ["B:3", "B:5"]
    assert [item.concept.id for item in walk.build(kb=birds, limit=3)(TEXT)] == ["B:3", "B:5", "B:1"]


def test_what_is_named_is_no_neighbour(birds: KnowledgeBase) -> None:
    assert [item.surface for item in walk.build(kb=birds)("an owl, a bird")] == ["owl", "bird"]


@pytest.mark.parametrize("module", [flat, walk])
def test_without_a_knowledge_base(module: object) -> None:
    with pytest.raises(KnowledgeError, match=r"needs a knowledge base: give the spec a \[kb\] table"):
        module.build(kb=None)  # type: ignore[attr-defined]


def test_options_that_mean_nothing(birds: KnowledgeBase) -> None:
    with pytest.raises(KnowledgeError, match=r"no relation 'part_of' in the knowledge base; it has is_a, nests_in"):
        walk.build(kb=birds, relations=("is_a", "part_of"))
    lexicon = KnowledgeBase.of(birds.concepts)
    assert walk.build(kb=lexicon)(TEXT) == flat.build(kb=lexicon)(TEXT)


def test_copies_are_the_retriever_itself(birds: KnowledgeBase) -> None:
    for retriever in (none.build(kb=birds), flat.build(kb=birds), walk.build(kb=birds)):
        assert copy.deepcopy(retriever) is retriever
