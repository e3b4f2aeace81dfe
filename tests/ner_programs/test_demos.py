"""Demonstrations: the pool, what every selector owes (new ones are tested by being there), and what each is for."""

import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ner_programs import Document, Entity, Mention, Pool, align
from ner_programs.components import names, resolve
from ner_programs.demos import Demonstration
from ner_programs.program import NERProgram
from tests.laws import EXTENDING, law
from tests.ner_programs.support import DEMO_OPTIONS, NOTES, PLAIN, TEXTS, annotated, labels_of, ontology

OTHERS = f"{EXTENDING}#the-other-kinds"

NAMES = names("ner_programs.demos")


def build(name: str, pool: Pool, **options: Any) -> Any:
    return resolve(
        "ner_programs.demos", {"name": name, **DEMO_OPTIONS.get(name, {}), **options}, pool=pool,
        labels=labels_of(PLAIN), kb=ontology(),
    )  # fmt: skip


def pool_of(*rows: tuple[str, str, str]) -> Pool:
    return Pool(Demonstration(f"{d}#{n}", d, g, text) for n, (d, g, text) in enumerate(rows))


@pytest.mark.parametrize("name", NAMES)
@law("It returns at most `k` demonstrations, each once: none from `exclude`, and none with the same text.", OTHERS)
@given(data=st.data())
def test_nothing_excluded_nothing_equal_at_most_k(name: str, data: st.DataObject) -> None:
    words = st.lists(st.sampled_from(["knee", "pain", "CT", "x", "[SEP]", ""]), max_size=4).map(" ".join)
    rows = data.draw(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["g1", "g2", "a"]), words), max_size=12)
    )
    k, text = data.draw(st.integers(0, 5)), data.draw(words | TEXTS)
    exclude = data.draw(st.lists(st.sampled_from(["a", "b", "g1", "g2", "z"]), max_size=2))
    chosen = build(name, pool_of(*rows), k=k)(text, exclude)
    free = [r for r in rows if r[0] not in exclude and r[1] not in exclude and r[2] != text]
    assert len(chosen) <= min(k, len(free))
    assert len({d.id for d in chosen}) == len(chosen)
    assert all(d.document not in exclude and d.group not in exclude and d.text != text for d in chosen)
    assert chosen == build(name, pool_of(*rows), k=k)(text, exclude)


@pytest.mark.parametrize("name", NAMES)
@law("It finds `k` however many are excluded.", OTHERS)
def test_k_are_found_although_nearly_all_are_excluded(name: str) -> None:
    rows = [("near", "near", f"knee pain today {n}") for n in range(300)] + [
        (f"far{n}", "g", f"other word{n} thing") for n in range(3)
    ]
    chosen = build(name, pool_of(*rows), k=3)("knee pain today", ("near",))
    assert {d.document for d in chosen} == {"far0", "far1", "far2"}


@pytest.mark.parametrize("name", NAMES)
@law("An empty pool, or a text without words, is fine.\n- Copies of a program share it.", OTHERS)
def test_copies_share_the_selector_and_an_empty_pool_is_fine(name: str) -> None:
    select = build(name, Pool.of(NOTES))
    assert copy.deepcopy(select) is select
    assert build(name, Pool(()))("knee pain") == []
    assert build(name, pool_of(("a", "a", "?"), ("b", "b", "!")), k=2)("") is not None


def test_tfidf_shows_the_nearest_last() -> None:
    pool = pool_of(
        ("a", "a", "chest pain at night"), ("b", "b", "normal gait"), ("c", "c", "severe knee pain at night")
    )
    assert [d.document for d in build("tfidf", pool, k=3)("knee pain at night")] == ["b", "a", "c"]


def test_tfidf_builds_one_index_for_all_programs_over_a_pool() -> None:
    pool = Pool.of(NOTES)
    assert build("tfidf", pool, k=1)._index is build("tfidf", pool, k=2)._index
    assert build("tfidf", Pool.of(NOTES), k=1)._index is not build("tfidf", pool, k=1)._index


def test_random_is_drawn_by_seed_and_larger_k_only_adds() -> None:
    pool = Pool.of(NOTES)
    draws = {seed: [d.id for d in build("random", pool, k=3, seed=seed)("")] for seed in range(1, 6)}
    assert len({tuple(d) for d in draws.values()}) > 1
    assert [d.id for d in build("random", pool, k=5, seed=1)("")][:3] == draws[1]


# The pool


@given(drawn=annotated(), unit=st.sampled_from(["sentence", "window", "document"]))
@example(drawn=("a. b", (Entity.of("a. b", 0, 4, "test"),)), unit="sentence")
def test_a_pool_loses_no_entity_and_cuts_none(drawn: tuple[str, tuple[Entity, ...]], unit: Any) -> None:
    text, entities = drawn
    pool = Pool.of([Document("d", text, entities, group="g")], unit)
    at, found = 0, []
    for d in pool:
        start = text.index(d.text, at)
        at = start + len(d.text)
        assert align(d.text, d.mentions) == tuple(
            sorted(Entity.of(d.text, m.start or 0, (m.start or 0) + len(m.text), m.label) for m in d.mentions)
        )
        found += [(start + (m.start or 0), m.text, m.label) for m in d.mentions]
        assert (d.document, d.group) == ("d", "g")
    assert sorted(found) == [(e.start, e.text, e.label) for e in entities]
    assert len({d.id for d in pool}) == len(pool)


def test_a_pool_is_a_sequence_that_copies_to_itself() -> None:
    pool = Pool.of(NOTES, "document")
    assert copy.deepcopy(pool) is pool
    assert len(pool) == len(NOTES) == len(list(pool))
    assert pool[0].mentions[0] == Mention("knee pain", "problem", 7)


def test_examples_carry_gold_inputs_and_kin() -> None:
    from ner_programs import ProgramSpec

    program: NERProgram = ProgramSpec(labels=PLAIN, retriever={"name": "flat"}).build(ontology())
    document = Document("d", NOTES[0].text, NOTES[0].entities, group="p7", related=("e",))
    first, second = program.examples([document])
    assert set(first.inputs()) == {"text", "exclude"}
    assert set(first.exclude) == {"d", "p7", "e"}
    assert first.knowledge == "- knee pain: problem"
    assert [(e.start, e.text, e.label) for e in first.entities] == [(7, "knee pain", "problem")]
    assert [(e.start, e.text, e.label) for e in second.entities] == [(0, "MRI", "test")]
