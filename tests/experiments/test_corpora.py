"""What all corpora share: checks, fingerprint, flattening, splits, and the shape of every module."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError, validate_call

from experiments.corpora import jsonl, wardnotes
from experiments.corpora._split import split
from experiments.corpora.corpus import Corpus, flatten
from experiments.errors import ReadError
from ner_programs.components import names
from ner_programs.privacy import PUBLIC
from ner_programs.types import Document, Entity, Label
from tests.laws import EXTENDING, law

OTHERS = f"{EXTENDING}#the-other-kinds"


def doc(name: str, group: str = "", label: str = "X") -> Document:
    return Document(name, "some text", (Entity.of("some text", 0, 4, label),), group)


def test_a_corpus_refuses_an_id_twice_and_entities_that_do_not_lie_in_the_text() -> None:
    with pytest.raises(ReadError, match="'a' is in train and again in test"):
        Corpus("c", train=(doc("a"),), test=(doc("a"),))
    with pytest.raises(ReadError, match="document 'a' does not lie"):
        Corpus("c", train=(replace(doc("a"), text="other"),))
    assert "some" not in repr(Corpus("c", train=(doc("a"),)))


def test_labels_come_from_train_and_dev_unless_the_corpus_has_its_own() -> None:
    corpus = Corpus("c", train=(doc("a", label="B"),), dev=(doc("b", label="A"),), test=(doc("c", label="Z"),))
    assert [label.name for label in corpus.suggested_labels] == ["A", "B"]
    assert replace(corpus, labels=(Label("Q"),)).suggested_labels == (Label("Q"),)
    assert Corpus("c", test=corpus.test).suggested_labels == (Label("Z"),)


def test_the_fingerprint_knows_documents_and_parts_and_nothing_else() -> None:
    corpus = Corpus("c", train=(doc("a"),), dev=(doc("b"),))
    others = [
        Corpus("c", train=(doc("b"),), dev=(doc("a"),)),
        Corpus("c", train=(doc("a"), doc("b"))),
        Corpus("c", train=(doc("a", label="Y"),), dev=(doc("b"),)),
        Corpus("c", train=(replace(doc("a"), text="some text."),), dev=(doc("b"),)),
        Corpus("c", train=(replace(doc("a"), entities=()),), dev=(doc("b"),)),
        Corpus("c", train=(replace(doc("a"), group="p1"),), dev=(doc("b"),)),
        Corpus("c", train=(replace(doc("a"), related=("z",)),), dev=(doc("b"),)),
    ]
    assert len({c.fingerprint for c in (corpus, *others)}) == 8
    assert replace(corpus, name="other", privacy=PUBLIC).fingerprint == corpus.fingerprint
    # pinned: a changed fingerprint orphans every run and cassette that names the old one
    assert corpus.fingerprint.startswith("fc7b153c88c4")


def test_flatten_keeps_the_longest_and_counts_the_rest() -> None:
    text = "acute left lung cancer"
    nested, outer = Entity.of(text, 11, 22, "X"), Entity.of(text, 6, 22, "X")
    first, twin = Entity.of(text, 0, 5, "A"), Entity.of(text, 0, 5, "B")
    broken = Entity.of(text, 0, 22, "X", fragments=((0, 5), (16, 22)))
    flat, lost = flatten(Document("d", text, (nested, twin, broken, outer, first)))
    assert (flat.entities, lost) == ((first, outer), 3)
    assert flatten(flat) == (flat, 0)


many = tuple(doc(f"d{i}", f"p{i % 150}") for i in range(600))


@pytest.mark.parametrize("by", ["document", "group", "patient"])
def test_a_split_is_about_as_large_as_asked_and_loses_nothing(by: str) -> None:
    parts = split(many, dev=0.1, test=0.3, by=by)
    sizes = [len(parts[part]) / 600 for part in ("train", "dev", "test")]
    assert sizes == pytest.approx([0.6, 0.1, 0.3], abs=0.07)
    assert sorted(d.id for part in parts.values() for d in part) == sorted(d.id for d in many)
    assert split(many[::-1], 0.1, 0.3, by)["dev"] == parts["dev"][::-1], "the order of documents does not matter"


def test_groups_never_straddle() -> None:
    groups = [{d.group for d in part} for part in split(many, by="group").values()]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]


def test_more_documents_move_none() -> None:
    before, after = split(many[:300]), split(many)
    for part in before:
        assert set(before[part]) <= set(after[part])


@given(st.sets(st.text(min_size=1), min_size=3, max_size=12), st.sampled_from([(0.2, 0.2), (0.01, 0.01), (0.49, 0.5)]))
def test_three_groups_fill_every_part(names: set[str], sizes: tuple[float, float]) -> None:
    parts = split(tuple(doc(name) for name in sorted(names)), *sizes)
    assert all(parts.values()) and sum(map(len, parts.values())) == len(names)


@given(st.sets(st.text(min_size=1), max_size=6), st.sampled_from([(0.0, 0.2), (0.2, 0.0), (0.0, 0.0)]))
def test_a_part_of_nothing_is_empty(names: set[str], sizes: tuple[float, float]) -> None:
    parts = split(tuple(doc(name) for name in sorted(names)), *sizes)
    assert sum(map(len, parts.values())) == len(names)
    assert (sizes[0] > 0 or not parts["dev"]) and (sizes[1] > 0 or not parts["test"])


def test_a_split_by_patient_wants_patients() -> None:
    with pytest.raises(ReadError, match='split by "patient": no document says'):
        split((doc("a"), doc("b")), by="patient")


def test_split_options_are_checked(tmp_path: Path) -> None:
    build = validate_call(jsonl.build)
    for wrong in ({"dev": 0.6, "test": 0.4}, {"by": "ward"}, {"size": 3}, {"dev": -0.1}):
        with pytest.raises(ValidationError):
            build(path=tmp_path, data=tmp_path, split=wrong)


def test_the_sample_corpus_needs_no_data() -> None:
    corpus = wardnotes.build()
    assert corpus.train and corpus.dev and corpus.test and not corpus.privacy.private
    assert {e.label for _, d in corpus.parts() for e in d.entities} <= {label.name for label in corpus.labels}
    assert not {d.group for d in corpus.train} & {d.group for d in corpus.dev + corpus.test}


@pytest.mark.parametrize("name", names("experiments.corpora"))
@law("The `build` of a corpus takes its options by keyword and returns a `Corpus`.", OTHERS)
def test_every_module_builds_with_checked_keyword_options(name: str) -> None:
    build = importlib.import_module(f"experiments.corpora.{name}").build
    signature = inspect.signature(build, eval_str=True)
    assert all(p.kind is p.KEYWORD_ONLY and p.annotation is not p.empty for p in signature.parameters.values())
    assert "data" in signature.parameters and signature.return_annotation is Corpus
    with pytest.raises(ValidationError):
        validate_call(build)(data=Path("nowhere"), no_such_option=1)
