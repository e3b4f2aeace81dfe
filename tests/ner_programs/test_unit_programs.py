"""Whatever one prompt covers, entities lie in the document, no annotated mention is cut, and a unit knows its document."""

import asyncio
from typing import Any

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb import Concept, KnowledgeBase
from ner_programs import Pool, ProgramSpec
from ner_programs.formats.base import Mention
from ner_programs.types import Document, Entity
from ner_programs.units import split
from tests.ner_programs.support import Prompt, Scripted
from tests.ner_programs.test_units import TEXTS

UNITS: Any = ["sentence", "window", "document"]
POTION = {"potion": ""}


@st.composite
def annotated(draw: st.DrawFn) -> Document:
    """A document with mentions anywhere: over sentence ends, over line ends, with blanks at their edges."""
    text = draw(TEXTS.filter(str.strip))
    place = st.integers(0, len(text))
    spans = draw(st.lists(st.tuples(place, place).map(sorted), max_size=4))
    entities = [Entity.of(text, a, b, "potion") for a, b in spans if text[a:b].strip()]
    return Document("d", text, tuple(sorted(set(entities))))


@given(annotated(), st.sampled_from(UNITS))
def test_no_mention_is_lost_or_cut_in_the_pool(document: Document, unit: Any) -> None:
    found = []
    for d in Pool.of([document], unit):
        for m in d.mentions:
            assert m.start is not None and d.text[m.start : m.start + len(m.text)] == m.text
            found.append(m.text.strip())
    assert sorted(found) == sorted(e.text.strip() for e in document.entities), "none is lost, none is in two units"


def says_every_word(seen: Prompt) -> str:
    form = ProgramSpec(labels=POTION).build().extract.format
    return form.write(
        seen.asked["text"], [Mention(word, "potion") for word in dict.fromkeys(seen.asked["text"].split())]
    )


@given(TEXTS, st.sampled_from(UNITS))
def test_entities_carry_document_offsets_sync_and_async(text: str, unit: Any) -> None:
    program = ProgramSpec(labels=POTION, unit=unit).build()
    with dspy.context(lm=Scripted(says_every_word)):
        entities = program(text).entities
        again = asyncio.run(program.acall(text)).entities
    assert entities == again
    assert all(text[e.start : e.end] == e.text for e in entities)
    units = split(text, unit)
    assert all(any(u.start <= e.start and e.end <= u.end for u in units) for e in entities)
    covered = {i for e in entities for i in range(e.start, e.end)}
    assert unit != "sentence" or covered >= {i for i, c in enumerate(text) if c.isalnum()}


@pytest.mark.parametrize("retriever", ["flat", "walk"])
def test_an_abbreviation_of_the_first_sentence_is_known_in_the_fifth(retriever: str) -> None:
    kb = KnowledgeBase.of([Concept("P:1", "hesperal root mixture", "Potion")])
    program = ProgramSpec(labels=POTION, retriever={"name": retriever}).build(kb)
    text = "She took hesperal root mixture (HRM). It rained.\nNobody came. All slept.\nThen HRM was stopped."
    lm = Scripted(lambda seen: "[]")
    with dspy.context(lm=lm):
        program(text)
        asyncio.run(program.acall(text))
    told = [seen.asked.get("knowledge", "") for seen in lm.prompts]
    assert len(told) == 10 and told[:5] == told[5:]
    assert "potion" in told[4] and "HRM" in told[4] and told[1:4] == ["", "", ""]
    with dspy.context(lm=(alone := Scripted(lambda seen: "[]"))):
        program("Then HRM was stopped.")
    assert alone.prompts[0].asked.get("knowledge", "") == ""


def test_a_window_has_at_most_so_many_characters_in_the_pool_and_in_the_prompt() -> None:
    text = "One fell ill. Two was well. Three took zorvexan. Four did not."
    document = Document("d", text, (Entity.of(text, 38, 46, "potion"),))
    pool = Pool.of([document], "window", 30)
    assert [d.text for d in pool] == ["One fell ill. Two was well.", "Three took zorvexan.", "Four did not."]
    program = ProgramSpec(labels=POTION, unit="window", window=50).build(None, pool)
    seen = Scripted(says_every_word)
    with dspy.context(lm=seen):
        program(text)
    assert len(program.examples([document])) == 2
    assert program.with_settings(window=30).spec.window == 30
