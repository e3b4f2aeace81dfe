"""A format's grammar takes every right answer, and every answer that it takes can be read and lies in the text."""

import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ner_programs import Entity, Mention, align
from ner_programs.components import names, resolve
from ner_programs.formats import Format
from ner_programs.formats.dice import _WORD as DICE_WORD
from ner_programs.formats.grammar import WORD
from tests.gbnf import Gbnf
from tests.ner_programs.support import LABELS, TEXTS, labels_of, mentions_of

FORMS: dict[str, Format] = {
    name: resolve("ner_programs.formats", {"name": name}, labels=labels_of(LABELS))
    for name in names("ner_programs.formats")
}
INLINE = ("tagged", "tanl")
each_format = pytest.mark.parametrize("name", FORMS)


@pytest.fixture(autouse=True)
def deep_enough_for_long_rules() -> None:
    """The matcher follows one rule a word."""
    sys.setrecursionlimit(20_000)


@st.composite
def marked_at_words(draw: st.DrawFn) -> tuple[str, tuple[Entity, ...]]:
    """Draw a text and flat entities that begin and end at the edges of words."""
    text = draw(TEXTS)
    words, entities, at = [m.span() for m in WORD.finditer(text)], [], 0
    while at < len(words) and len(entities) < 5:
        first = draw(st.integers(at, len(words) - 1))
        last = draw(st.integers(first, min(first + 3, len(words) - 1)))
        entities.append(Entity.of(text, words[first][0], words[last][1], draw(st.sampled_from(list(LABELS)))))
        at = last + 1
        if draw(st.booleans()):
            break
    return text, tuple(entities)


@each_format
@given(drawn=marked_at_words())
@example(drawn=("```a", (Entity.of("```a", 0, 1, "test"),)))
@example(drawn=("  ```\nb", ()))
@example(drawn=("an [SEP] of Entity is", (Entity.of("an [SEP] of Entity is", 3, 18, "test"),)))
@example(drawn=("", ()))
def test_what_a_format_writes_obeys_its_grammar(name: str, drawn: tuple[str, tuple[Entity, ...]]) -> None:
    text, entities = drawn
    if name == "dice":  # `[SEP]` and `<entity>` are words there: no mention ends inside one
        edges = {edge for word in DICE_WORD.finditer(text) for edge in word.span()}
        entities = tuple(e for e in entities if {e.start, e.end} <= edges)
    written = FORMS[name].write(text, mentions_of(entities))
    assert Gbnf(FORMS[name].grammar(text)).accepts(written)


@each_format
@given(drawn=marked_at_words(), data=st.data())
def test_what_obeys_the_grammar_can_be_read_and_lies_in_the_text(
    name: str, drawn: tuple[str, tuple[Entity, ...]], data: st.DataObject
) -> None:
    text, entities = drawn
    form = FORMS[name]
    answer = form.write(text, mentions_of(entities))
    at = data.draw(st.integers(0, len(answer)))
    change = data.draw(st.sampled_from(["cut", "add", "swap"]))
    behind = answer[at + 1 :] if change != "add" else answer[at:]
    other = answer[:at] + ("" if change == "cut" else data.draw(st.sampled_from('aZ[]|<>\\"{}, é\n'))) + behind
    if not Gbnf(form.grammar(text)).accepts(other):
        return
    reading = form.read(other)
    assert reading.unreadable == 0
    assert all(mention.label in LABELS and mention.text in text for mention in reading)
    if name in INLINE:
        assert len(align(text, reading)) == len(reading)
        assert all(text.startswith(mention.text, mention.start) for mention in reading)


@pytest.mark.parametrize("name", INLINE)
@pytest.mark.parametrize(
    "wrong", ["A knee hurts.", "A knee pain. It", "A  knee pain.", "a knee pain.", "", "A knee pain. A knee pain."]
)
def test_an_inline_answer_can_only_copy(name: str, wrong: str) -> None:
    grammar = Gbnf(FORMS[name].grammar("A knee pain."))
    assert grammar.accepts("A knee pain.")
    assert not grammar.accepts(wrong)


def test_marks_stand_at_edges_of_words_and_have_a_label_of_the_task() -> None:
    grammar = Gbnf(FORMS["tanl"].grammar("A knee pain."))
    assert grammar.accepts("A [ knee pain | problem ].")
    assert grammar.accepts("[ A | test ] [ knee | problem ] [ pain | test ][ . | test ]")
    for wrong in ("A [ knee pain | pain ].", "A kn[ ee pain | problem ].", "A [ knee [ pain | test ] | problem ].",
                  "A [ knee pain.", "A [  | problem ]knee pain."):  # fmt: skip
        assert not grammar.accepts(wrong)


@pytest.mark.parametrize("name", ["json_list", "dice"])
def test_a_listed_answer_can_only_list_what_the_text_holds(name: str) -> None:
    form = FORMS[name]
    grammar = Gbnf(form.grammar("A knee pain."))
    for surface, taken in [("knee pain", True), ("knee", True), ("knees", False), ("pain knee", False)]:
        assert grammar.accepts(form.write("", [Mention(surface, "problem")])) is taken


@pytest.mark.parametrize("name", ["json_list", "dice"])
@pytest.mark.parametrize(
    ("surfaces", "taken"),
    [
        (("knee", "pain"), True), (("A", "knee", "pain", "."), True), (("pain", "knee"), False),
        (("knee", "knee"), False), (("knee pain", "pain"), False),
    ],
)  # fmt: skip
def test_what_is_listed_follows_the_text(name: str, surfaces: tuple[str, ...], taken: bool) -> None:
    """So a model that goes round in circles comes to an end."""
    form = FORMS[name]
    written = form.write("", [Mention(surface, "problem") for surface in surfaces])
    assert Gbnf(form.grammar("A knee pain.")).accepts(written) is taken
