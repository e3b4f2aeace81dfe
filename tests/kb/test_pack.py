"""Arrays and strings in one block: numbers, strings, and the way from a string to its number."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb import KnowledgeBase
from kb.errors import KnowledgeError
from kb.store import pack as _pack
from kb.store.pack import Pack
from kb.store.packing import Packer

texts = st.text(st.characters(codec=None), max_size=6)  # lone surrogates too


@given(st.lists(texts, unique=True), texts, st.lists(st.integers(0, (1 << 64) - 1)))
def test_what_goes_in_comes_out(words: list[str], other: str, numbers: list[int]) -> None:
    packer = Packer()
    packer.numbers("some", numbers)
    packer.table("words", words)
    packer.numbers("more", [1 << 40])
    pack = pickle.loads(pickle.dumps(packer.done()))
    table = pack.table("words")
    assert list(table) == words == [table[number] for number in range(len(table))]
    assert [table.find(word) for word in words] == list(range(len(words)))
    assert (table.find(other) >= 0) == (other in words)
    assert pack.numbers("some").tolist() == numbers
    assert pack.numbers("more")[0] == 1 << 40
    assert (pack.places["some"][2] == "u8") == all(number < 256 for number in numbers)
    with pytest.raises(IndexError):
        table[len(words)]


def test_another_byte_order_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pack.sys, "byteorder", "big")
    with pytest.raises(KnowledgeError, match="little-endian"):
        Pack(b"", {})


def test_concepts_are_a_sequence(birds: KnowledgeBase) -> None:
    concepts = birds.concepts
    assert concepts[-1].id == "B:5" == concepts[4].id
    assert concepts[1:3] == (birds["B:2"], birds["B:3"])
    assert concepts == list(concepts)
    assert concepts == tuple(concepts)
    assert concepts != list(concepts)[1:]
    assert concepts != "birds"
    assert birds["B:4"] in concepts
    assert concepts.index(birds["B:4"]) == 3
    with pytest.raises(IndexError):
        concepts[5]


def test_counts_as_plain_data(birds: KnowledgeBase) -> None:
    assert birds.describe() == {
        "fingerprint": birds.fingerprint, "concepts": 5, "relations": 4, "names": 9, "names_sought": 9,
        "types": {"animal": 4, "tree": 1}, "relation_names": {"is_a": 3, "nests_in": 1}, "report": {},
        "bytes": len(birds.pack.block),
    }  # fmt: skip
    assert birds.types == ("animal", "tree")
    empty = KnowledgeBase.of([]).describe()
    assert (empty["concepts"], empty["names"], empty["types"], empty["relation_names"]) == (0, 0, {}, {})
