"""Concepts of several sources made one: which, under which id, and what is never joined."""

from hypothesis import given
from hypothesis import strategies as st

from kb import Concept, KnowledgeBase, Relation
from kb.merging import MERGED, REFUSED, canonical, merge


def test_spellings_of_ids() -> None:
    assert {canonical(id) for id in ("MSH:D1", "mesh:D1", "MESH:D1")} == {"MESH:D1"}
    assert canonical("UMLS_CUI:C1") == canonical("UMLS:C1")
    assert canonical("MIM:1") == canonical("OMIM:1") != canonical("OMIMPS:1")
    assert canonical("SNOMEDCT_US_2023_03_01:1") == canonical("SCTID:1")
    assert canonical("Orphanet:1") == canonical("ORDO:1")
    assert canonical("http://x.org/1") == "http://x.org/1"


def test_union() -> None:
    items = [
        Concept("A:1", "owl", "bird", ("owlet",), xrefs=("msh:D1",)), Relation("A:1", "is_a", "A:2"),
        Concept("A:2", "bird", "bird"),
        Concept("MESH:D1", "Owls", "", ("Strigiformes",), "Night birds.", ("UMLS_CUI:C1",)),
        Concept("C:9", "strix", "", xrefs=("UMLS:C1",)), Relation("C:9", "eats", "C:8"), Concept("C:8", "mouse"),
        Relation("C:9", "same_as", "A:1"),
    ]  # fmt: skip
    union = merge(items)
    kb = KnowledgeBase.of(union)
    assert [c.id for c in kb.concepts] == ["A:1", "A:2", "C:8"]
    owl = kb["A:1"]
    assert (owl.name, owl.type, owl.definition) == ("owl", "bird", "Night birds.")
    assert set(owl.synonyms) == {"owlet", "Owls", "Strigiformes", "strix"}
    assert {"MESH:D1", "C:9"} <= set(owl.xrefs)
    assert union.ids == {"MESH:D1": "A:1", "C:9": "A:1"}
    assert set(kb.relations()) == {Relation("A:1", "is_a", "A:2"), Relation("A:1", "eats", "C:8")}
    assert union.report == {MERGED: 2}


def test_order_of_sources_decides_the_id() -> None:
    one, other = Concept("A:1", "owl", xrefs=("B:1",)), Concept("B:1", "Owls")
    assert merge([one, other]).concepts[0].id == "A:1"
    assert merge([other, one]).concepts[0].id == "B:1"
    assert merge([other, one]).concepts[0].name == "Owls"


def test_never_two_concepts_of_one_source() -> None:
    chain = [Concept("A:1", "owl", xrefs=("B:1",)), Concept("B:1", "night bird", xrefs=("A:2",)), Concept("A:2", "bat")]
    union = merge(chain)
    assert len(union.concepts) == 2
    assert union.report == {MERGED: 1, REFUSED: 1}
    named = [Concept("A:1", "bird", xrefs=("B:1",)), Concept("A:2", "owl", xrefs=("B:1",)), Concept("B:1", "Owls")]
    assert merge(named).ids == {"B:1": "A:2"}  # the one that shares the name
    coarse = [Concept("A:1", "owl", xrefs=("ICD10:X",)), Concept("B:1", "bat", xrefs=("ICD10:X",))]
    assert len(merge(coarse).concepts) == 2
    shared = [
        Concept("A:1", "x", xrefs=("U:1",)), Concept("A:2", "y", xrefs=("U:1",)), Concept("B:1", "z", xrefs=("U:1",)),
    ]  # fmt: skip
    assert len(merge(shared).concepts) == 3  # U:1 is not one thing to A


IDS = st.builds("{}:{}".format, st.sampled_from(["A", "B", "MSH", "mesh"]), st.integers(0, 4))
CONCEPTS = st.builds(
    Concept, IDS, st.sampled_from(["", "owl", "Owls", "oak"]), xrefs=st.lists(IDS, max_size=3).map(tuple)
)
ITEMS = st.lists(CONCEPTS | st.builds(Relation, IDS, st.just("is_a"), IDS), max_size=14)


@given(ITEMS)
def test_any_items(items: list[Concept | Relation]) -> None:
    union = merge(items)
    assert (union.concepts, union.relations, union.ids) == (
        merge(items).concepts, merge(items).relations, merge(items).ids,
    )  # fmt: skip
    before = {item.id for item in items if isinstance(item, Concept)}
    after = {concept.id for concept in union.concepts}
    assert after | union.ids.keys() == before
    assert not after & union.ids.keys()
    assert set(union.ids.values()) <= after
    groups: dict[str, list[str]] = {}
    for id in before:
        groups.setdefault(union.ids.get(id, id), []).append(canonical(id).partition(":")[0])
    assert all(len(set(sources)) == len(sources) for sources in groups.values())
    names = {n for item in items if isinstance(item, Concept) for n in (item.name, *item.synonyms)} - {""}
    assert {n for concept in union.concepts for n in (concept.name, *concept.synonyms)} - {""} == names
