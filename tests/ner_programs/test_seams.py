"""Long texts in windows that overlap: an entity is whole in one of them, is found once, and seams contradict nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ner_programs import Entity, ProgramSpec
from ner_programs.errors import ComponentError
from ner_programs.evaluate import units_of
from ner_programs.seams import merged
from ner_programs.types import Document, Mention
from ner_programs.units import OVERLAP, Unit, split
from tests import tiny
from tests.effort import often
from tests.ner_programs.support import Prompt
from tests.ner_programs.support import Scripted as Answers
from tests.ner_programs.test_unit_programs import says_every_word
from tests.ner_programs.test_units import TEXTS

LONG = st.lists(TEXTS, min_size=1, max_size=12).map("".join)
SIZES = st.sampled_from([(8, 1), (24, 2), (40, 5), (100, 12)])


@settings(max_examples=often(150, 3000), deadline=None)
@given(LONG, SIZES)
def test_every_short_stretch_is_whole_in_a_window(text: str, sizes: tuple[int, int]) -> None:
    size, overlap = sizes
    units = split(text, "window", size=size, overlap=overlap)
    assert all(0 < u.end - u.start <= size and text[u.start : u.end].strip() == text[u.start : u.end] for u in units)
    assert [u.start for u in units] == sorted({u.start for u in units}) and len(units) <= 4 * len(text) / size + 1
    for start in range(len(text)):
        for end in range(start + 1, min(start + overlap, len(text)) + 1):
            if not text[start].isspace() and not text[end - 1].isspace():
                assert any(u.start <= start and end <= u.end for u in units), (start, end, units)


def seen(units: Sequence[Unit], text: str, gold: Sequence[Entity]) -> list[list[Entity]]:
    """What each window shows of the entities; of one that its edge cuts, the piece."""
    return [
        [
            Entity.of(text, max(e.start, u.start), min(e.end, u.end), e.label)
            for e in gold
            if e.start < u.end and u.start < e.end
        ]
        for u in units
    ]


@settings(max_examples=often(150, 3000), deadline=None)
@given(LONG, SIZES, st.data())
def test_entities_that_edges_cut_are_found_whole_and_once(
    text: str, sizes: tuple[int, int], data: st.DataObject
) -> None:
    size, overlap = sizes
    gold, at = list[Entity](), 0
    while at < len(text):
        start = at + data.draw(st.integers(0, 2 * size))
        end = start + data.draw(st.integers(1, overlap))
        if end <= len(text) and not text[start].isspace() and not text[end - 1].isspace():
            gold.append(Entity.of(text, start, end, "X"))
        at = end
    units = split(text, "window", size=size, overlap=overlap)
    assert sorted(merged(units, seen(units, text, gold))) == gold


def test_further_from_the_edge_wins() -> None:
    units = [Unit(0, 20), Unit(10, 40), Unit(35, 60)]
    near, far = Entity(16, 19, "A"), Entity(17, 22, "B")  # 1 from the end of the first, 7 from the begin of the second
    assert merged(units, [[near], [far], []]) == [far]
    assert merged(units, [[Entity(12, 14, "A")], [Entity(12, 16, "B")], []]) == [Entity(12, 14, "A")]
    assert merged(units, [[Entity(0, 12, "A")], [Entity(10, 12, "B")], []]) == [Entity(0, 12, "A")]
    first, second = Entity(12, 14, "A", score=0.1), Entity(12, 14, "A", score=0.9)
    assert [e.score for e in merged(units, [[first], [second], []])] == [0.1]
    within = [Entity(12, 14, "A"), Entity(12, 15, "A")]  # of one window both stay
    assert merged(units, [within, [], []]) == within
    assert merged([Unit(0, 20), Unit(20, 40)], [[far], [Entity(20, 22, "A")]]) == [far, Entity(20, 22, "A")]


@settings(max_examples=often(25, 500), deadline=None)
@given(LONG)
def test_a_program_says_every_word_once(text: str) -> None:
    spec = ProgramSpec(labels={"potion": ""}, unit="window", window=200, overlap=25)
    with dspy.context(lm=Answers(says_every_word)):
        entities = spec.build()(text).entities
    assert len(entities) == len(set(entities)) and list(entities) == sorted(entities)
    assert all(one.end <= two.start for one, two in pairwise(entities))
    short = [word for word in text.split() if len(word) <= 25]
    assert {e.text for e in entities} >= set(short) or len(text) <= 200


def sentences(size: int) -> str:
    return " ".join(tiny.documents(1, f"x{n}_", seed=n)[0].text for n in range(size // 30))[:size]


@pytest.mark.parametrize("stops", [True, False])
def test_200_000_characters(stops: bool) -> None:
    """Also where no sentence ends, and windows are cut at words."""
    text = sentences(200_000) if stops else sentences(200_000).replace(".", " ")
    program = tiny.program(unit="window", window=2000, overlap=100, demos={"name": "tfidf", "k": 2})
    write = program.extract.format.write

    def gold(prompt: Prompt) -> str:
        words = [(w, "drug") for w in tiny.DRUGS] + [(w, "problem") for w in tiny.PROBLEMS]
        return write(prompt.asked["text"], [Mention(w, label) for w, label in words if w in prompt.asked["text"]])

    with dspy.context(lm=Answers(gold)):
        [found] = program.batch([text])
    assert found.error is None and 100 <= units_of(program, [Document("d", text)]) <= 130
    assert len(found.entities) == sum(text.count(word) for word in (*tiny.DRUGS, *tiny.PROBLEMS)) > 8_000


def test_wrong_overlaps_are_refused() -> None:
    with pytest.raises(ValueError, match=f"overlap by at most {80 // OVERLAP}"):
        split("x", "window", size=80, overlap=11)
    with pytest.raises(ValueError, match="keep no spans whole"):
        split("x", "window", size=80, overlap=10, keep=[(0, 1)])
    with pytest.raises(ComponentError, match="at most an eighth of the window, 250"):
        tiny.program(unit="window").with_settings(overlap=251)
