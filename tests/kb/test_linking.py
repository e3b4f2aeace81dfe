"""Mentions to concepts: each way of finding one, what comes first, and that the gram index is exact."""

import copy
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb import Concept, KnowledgeBase
from kb.linking import CALIBRATION, Linker
from kb.names.grams import GramIndex
from kb.names.index import NameIndex
from kb.names.mentions import enumerated, initialism, variants
from kb.names.tagging import tag
from kb.pruning import misleading


@pytest.fixture(scope="module")
def kb() -> KnowledgeBase:
    places = [
        Concept(f"V:{n}", f"{word} plumage", synonyms=(f"{word} colouring",))
        for n, word in enumerate(("red", "green", "pied"))
    ]
    return KnowledgeBase.of(
        [
            *places, Concept("B:1", "bird", "animal"),
            Concept("B:2", "great spotted woodpecker", "animal", xrefs=("X:1",)),
            Concept("B:3", "blue tit", "animal", ("titmouse",)),
            Concept("B:4", "great tit", "animal", ("titmouse",), xrefs=("X:1", "X:2")),
            Concept("B:5", "barred tiger", "animal", ("BT",)), Concept("B:6", "blue tit", "stamp"),
            Concept("B:7", "yellow plumage", "look"),
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def linker(kb: KnowledgeBase) -> Linker:
    return Linker(kb)


@pytest.mark.parametrize(
    ("mention", "first", "how"),
    [
        ("Great Spotted Woodpeckers", "B:2", "name"),
        ("titmouse", "B:4", "name"),  # of the concepts with this synonym the one with more cross references
        ("woodpecker, great spotted", "B:2", "variant"),
        ("yellow colouring", "B:7", "variant"),  # "colouring" stands for "plumage" in three concepts
        ("GSW", "B:2", "initials"),
        ("spotted and great tits", "B:4", "part"),
        ("grat spoted wodpecker", "B:2", "spelling"),
    ],
)
def test_ways(linker: Linker, mention: str, first: str, how: str) -> None:
    link = linker.link(mention)[0]
    assert (link.concept, link.how) == (first, how)
    assert 0 < link.score < 1


def test_what_is_unlike_everything(linker: Linker) -> None:
    assert linker.link("") == linker.link("?!") == linker.link("qqq") == []


def test_abbreviations_types_context_and_k(linker: Linker) -> None:
    assert linker.link("BT")[0].concept == "B:5"
    assert linker.link("BT", document_abbreviations={"BT": "blue tit"})[0].concept == "B:3"
    assert linker.link("GT")[0].how == "initials"
    assert linker.link("BT", context="A blue tit sang; the BT flew.")[0].concept == "B:5"  # a name as it stands
    assert linker.link("YP", context="Its yellow plumage (YP).")[0].concept == "B:7"
    assert linker.link("blue tit", types=("stamp",))[0].concept == "B:6"
    assert linker.link("blue tit", types=()) == []
    assert len(linker.link("blue tit", k=3)) == 3
    (links,) = linker.link_all(["GT"], context="We saw great tits (GT).")
    assert links[0].concept == "B:4"


def test_links_are_ordered_once_each_and_repeatable(linker: Linker) -> None:
    for mention in ("blue tit", "tit", "great plumage", "BT"):
        links = linker.link(mention)
        assert [link.score for link in links] == sorted((link.score for link in links), reverse=True)
        assert len({link.concept for link in links}) == len(links)
        linker.forget()
        assert linker.link(mention) == links
    assert copy.deepcopy(linker) is linker


def test_empty_kb() -> None:
    assert Linker(KnowledgeBase.of([])).link("owl") == []
    assert Linker(KnowledgeBase.of([Concept("B:1", "")])).link("owl") == []


def test_calibration_has_every_way() -> None:
    assert CALIBRATION.keys() == {"name", "variant", "initials", "part", "spelling"}
    assert all(slope > 0 for _, slope in CALIBRATION.values())  # more evidence is never less probable


WORDS = st.lists(st.text("abß", min_size=1, max_size=4), min_size=1, max_size=4).map(" ".join)


def vector(name: str, known: dict[str, float]) -> dict[str, float]:
    grams = [f" {word} "[at : at + 3] for word in name.split(" ") for at in range(len(word))]
    weights = {g: (1 + np.log(grams.count(g))) * known[g] for g in set(grams) if g in known}
    length = np.sqrt(sum(w * w for w in weights.values())) or 1
    return {g: w / length for g, w in weights.items()}


@given(st.lists(WORDS, unique=True, max_size=12), WORDS, st.integers(1, 5))
def test_nearest_is_exact(names: list[str], query: str, count: int) -> None:
    owners: dict[str, set[int]] = {}
    for place, name in enumerate(names):
        for word in name.split(" "):
            for at in range(len(word)):
                owners.setdefault(f" {word} "[at : at + 3], set()).add(place)
    idf = {gram: float(np.log((1 + len(names)) / (1 + len(those))) + 1) for gram, those in owners.items()}
    asked = vector(query, idf)
    cosines = [sum(w * asked.get(g, 0) for g, w in vector(name, idf).items()) for name in names]
    expected = sorted((c for c in cosines if c > 0), reverse=True)[:count]
    places, found = GramIndex(names).nearest(query, count)
    assert np.allclose(found, expected, atol=1e-5)
    assert np.allclose([cosines[place] for place in places], found, atol=1e-5)


def test_variants() -> None:
    names = [[f"{x} neoplasm", f"{x} tumor"] for x in "abcd"] + [[f"{x} tumor", f"{x} tumour"] for x in "efg"]
    assert variants(names) == {"neoplasm": "tumor", "tumour": "tumor"}
    assert variants([[f"type {x} a", f"type {x} b"] for x in "12"]) == {}  # two concepts are too few
    assert variants([["1 a", "2 a"], ["1 b", "2 b"], ["1 c", "2 c"]]) == {}  # numbers never


def test_pieces() -> None:
    assert enumerated("red, green and blue tits") == ["red tit", "green tit", "blue tit"]
    assert enumerated("blue tits") == []
    assert initialism("A-TS") == "ats"
    assert initialism("Owl") == initialism("ABCDEFGH") == ""


INDEX = NameIndex.of([("B:1", "blue tit", True), ("B:2", "ABC", True), ("B:3", "tit", True)])


def test_tag_reads_short_forms_as_defined() -> None:
    text = "BT and ABC, a blue tit, BT-like, XBT"
    spans = [
        (text[m.start : m.end], m.concepts) for m in tag(INDEX, text, {"BT": "blue tits", "ABC": "avian body count"})
    ]
    assert spans == [("BT", ("B:1",)), ("blue tit", ("B:1",)), ("BT", ("B:1",))]
    assert tag(INDEX, text) == INDEX.find(text) == tag(INDEX, text, {})


@given(st.lists(st.sampled_from(["BT", "ABC", "blue", "tit", "tits", ",", "x"]), max_size=9).map(" ".join))
def test_tags_do_not_overlap(text: str) -> None:
    found = tag(INDEX, text, {"BT": "blue tit", "tit": "blue tit", "ABC": "x"})
    assert all(m.text == text[m.start : m.end] and m.concepts for m in found)
    assert all(one.end <= other.start for one, other in pairwise(found))


def test_pruning() -> None:
    texts = [("a tit", {(2, 5)}), ("tit", set()), ("the tit", set()), ("blue tit", {(0, 8)})]
    matches = [([(m.text, (m.start, m.end)) for m in INDEX.find(text)], gold) for text, gold in texts]
    assert misleading(matches) == {"tit"}
    assert misleading(matches, least=0.3) == frozenset()
    assert misleading([]) == frozenset()
