"""Attributes that are learned from the labelled pool: what is learned, from whom, and that a bundle brings it back."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings

from ner_programs import ComponentError, Document, Entity, Mention, Pool, ProgramSpec, load, save
from ner_programs.attributes.learned import LEAST, LearnedAttributes, build
from tests.effort import often
from tests.ner_programs.support import PLAIN, annotated, knows

NEGATED = {"polarity": "NEG"}
THINGS = ("fever", "cough", "rash", "nausea", "chest pain", "gout", "asthma", "stroke")


def note(n: int, *parts: tuple[str, dict[str, str]], before: str = "", group: str = "") -> Document:
    """A document with a line for each part: its words, a thing, and the thing's attributes."""
    text, entities = before, []
    for at, (words, attributes) in enumerate(parts):
        thing = THINGS[(n + at) % len(THINGS)]
        text += f"{words} {thing}.\n"
        start = len(text) - len(thing) - 2
        entities.append(Entity.of(text, start, start + len(thing), "problem", attributes=attributes))
    return Document(f"d{n}", text, tuple(entities), group=group)


def notes(size: int = 12, cue: str = "She vehemently disowns", value: dict[str, str] = NEGATED) -> list[Document]:
    return [note(n, (cue, value), ("Now she has", {}), ("Worse again is her", {})) for n in range(size)]


def said(finder: LearnedAttributes, text: str, *words: str, exclude: Collection[str] = ()) -> list[dict[str, str]]:
    entities = [Entity.of(text, text.index(w), text.index(w) + len(w), "problem") for w in words]
    found = finder(text, entities, exclude)
    assert found == tuple(entities) and [e.text for e in found] == list(words)
    return [dict(e.attributes) for e in found]


def test_it_says_what_the_pool_says_of_like_entities() -> None:
    finder = build(pool=Pool.of(notes()))
    assert said(finder, "He disowns pain. He has gout.", "gout", "pain") == [{}, {"negated": "true"}]
    text = "She vehemently disowns fever, cough, or unknown things, which she has had"
    assert said(finder, text, "fever", "cough", "unknown things") == [{"negated": "true"}] * 3, "a list has one cue"
    known = Entity.of(text, 23, 28, "problem", attributes={"x": "y"})
    assert dict(finder(text, [known])[0].attributes) == {"x": "y", "negated": "true"}
    assert finder(text, []) == () and finder.__deepcopy__({}) is finder


def test_a_heading_holds_for_the_lines_below_it_also_in_other_texts_of_the_pool() -> None:
    kin = [note(n, ("There was", {"family": "true"}), before="FAMILY HISTORY:\n") for n in range(12)]
    own = [note(n + 50, ("There was", {}), before="PRESENT ILLNESS:\n") for n in range(12)]
    pool = Pool.of([*kin, *own])
    assert len(pool) == 48, "headings are texts of their own"
    text = "FAMILY HISTORY:\nThere was pain.\nPRESENT ILLNESS:\nThere was ache."
    assert said(build(pool=pool), text, "pain", "ache") == [{"family": "true"}, {}]


def test_nothing_comes_from_documents_that_are_left_out() -> None:
    def pool(value: dict[str, str]) -> Pool:
        group = [replace(d, id=f"q{d.id}", group="p") for d in notes(3, "Quux", value)]
        return Pool.of([*notes(), *group])

    one, other = (build(pool=pool(value)) for value in (NEGATED, {}))
    assert one.models.without(()) != other.models.without(())
    for name in ("p", "qd1"):
        assert one.models.without([name]) == other.models.without([name])
    assert said(one, "She vehemently disowns ache.", "ache", exclude=["p"]) == [{"negated": "true"}]


def test_what_is_rare_is_not_learned_and_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rare = [note(n + 20, ("Perhaps", {"uncertain": "true"})) for n in range(LEAST - 1)]
    finder = build(pool=Pool.of([*notes(), *rare]))
    assert said(finder, "Perhaps ache.", "ache") == [{}]
    learned, left = caplog.messages
    assert learned.startswith("attribute 'negated' learned from 12 of 40 entities; F1 ")
    assert left == "attribute 'uncertain' is never said: 4 labelled entities have it, and it takes 5"
    caplog.clear()
    assert said(build(pool=Pool.of(notes(value={}))), "She disowns ache.", "ache") == [{}]
    assert caplog.messages == ["no attribute is said: no labelled entity has one"]
    assert said(build(pool=Pool.of([note(n, ("No", NEGATED)) for n in range(9)])), "No ache.", "ache") == [{}], (
        "no entity shows what has it not"
    )


def test_rules_are_evidence_and_decide_what_is_rare() -> None:
    def rules(text: str, entities: Sequence[Entity], exclude: Collection[str] = ()) -> tuple[Entity, ...]:
        assert not any(e.attributes for e in entities)
        sure = {"negated": "true", "uncertain": "true", "family": "true"}
        return tuple(replace(e, attributes=sure if "zorv" in text.lower() else {}) for e in entities)

    odd = [note(n, (f"Zorv{'abcdefghijkl'[n]}", NEGATED), ("So", {})) for n in range(12)]
    pool = Pool.of([*odd, note(40, ("Maybe", {"uncertain": "true"}))])
    finder = LearnedAttributes(pool, rules, "own")
    assert said(finder, "Zorvxyz ache.", "ache") == [{"negated": "true", "uncertain": "true"}], (
        "what the labelled texts do not have at all is not said"
    )
    assert said(finder, "So ache.", "ache") == [{}]


def test_a_verdict_of_the_rules_is_a_feature_and_stands_where_nothing_is_learned() -> None:
    def rules(text: str, entities: Sequence[Entity], exclude: Collection[str] = ()) -> tuple[Entity, ...]:
        return tuple(replace(e, attributes={"negated": "true"} if "zorv" in text else {}) for e in entities)

    words = "abcdefghijkl"
    pool = Pool.of([note(n, (f"{w}zorv", NEGATED), (f"{w}quux", {})) for n, w in enumerate(words)])
    alone, both = build(pool=pool).models.without(()), LearnedAttributes(pool, rules, "own").models.without(())
    assert alone.attributes[0].f1 < 1 and both.attributes[0].f1 == 1, "the verdict of a rule is a feature"
    right = LearnedAttributes(Pool.of(notes(1) + notes(1)), rules, "own")
    assert right.models.without(()).ruled == {"negated"}


def test_a_bundle_brings_it_back(tmp_path: Path) -> None:
    pool = Pool.of(notes())
    program = ProgramSpec(labels=PLAIN, attributes={"name": "learned"}).build(pool=pool)
    program.lm = knows({"fever": "problem"}, program.spec)
    text = "He disowns fever.\nHe has fever."
    found = [dict(e.attributes) for e in program(text).entities]
    assert found == [{"negated": "true"}, {}]
    rows = [json.loads(row) for row in (save(program, tmp_path / "b") / "pool.jsonl").read_text().splitlines()]
    assert [row["mentions"][0].get("attributes") for row in rows[:3]] == [NEGATED, None, None]
    again = load(tmp_path / "b", lm=program.lm)
    assert [dict(e.attributes) for e in again(text).entities] == found
    assert again.pool.fingerprint == pool.fingerprint and again.pool[0].mentions[0].attributes == NEGATED
    assert program.with_pool(pool.without([d.id for d in pool][:3])).attributes is not program.attributes


def test_attributes_of_mentions_are_not_compared_but_are_content_of_a_pool() -> None:
    with_them, without = Pool.of(notes()), Pool.of(notes(value={}))
    assert list(with_them) == list(without) and with_them.fingerprint != without.fingerprint
    assert with_them[0].entities[0].attributes == NEGATED and Mention("a", "b", attributes={"x": "y"}) == Mention(
        "a", "b"
    )
    assert repr(with_them[0]) == repr(without[0]) and hash(with_them[0]) == hash(without[0])


def test_it_needs_labelled_texts() -> None:
    with pytest.raises(ComponentError, match="the pool has none"):
        ProgramSpec(labels=PLAIN, attributes={"name": "learned"}).build()


@pytest.mark.skipif(find_spec("medspacy") is not None, reason="medspaCy is installed")
def test_rules_need_medspacy() -> None:
    with pytest.raises(ComponentError, match="context needs medspaCy"):
        build(pool=Pool.of(notes()), rules="en")


@pytest.mark.skipif(find_spec("medspacy") is None, reason="needs nerc[attributes] (medspaCy)")
@pytest.mark.filterwarnings("ignore")  # of what medspaCy imports
def test_context_is_evidence() -> None:
    cues = ("No evidence of", "She denies", "There is no")
    known = [
        note(n, (cues[n % 3], NEGATED), ("She has", {}), ("Possible", {"uncertain": "true"} if n < 3 else {}))
        for n in range(12)
    ]
    finder = build(pool=Pool.of(known), rules="en")
    text = "Negative for gout. Possible asthma. Now she has a stroke."
    assert said(finder, text, "gout", "asthma", "stroke") == [{"negated": "true"}, {"uncertain": "true"}, {}], (
        "a cue that the labelled texts do not have; too few are uncertain to learn"
    )


FINDER = build(pool=Pool.of(notes()))


@settings(max_examples=often(50, 1000), deadline=None)
@given(annotated(labels=("problem", "test")))
def test_any_text_is_read(drawn: tuple[str, tuple[Entity, ...]]) -> None:
    text, entities = drawn
    whole = [Entity.of(text, 0, len(text), "problem")] if text else []
    for given_ in (entities, (*entities, *whole)):
        found = FINDER(text, given_)
        assert found == given_ and all(e.attributes in ({}, {"negated": "true"}) for e in found)


def test_two_fits_are_the_same() -> None:
    one, two = (build(pool=Pool.of(notes())).models.without(()) for _ in range(2))
    assert one == two and one.attributes[0].name == "negated"
