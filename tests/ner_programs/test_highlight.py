"""The one look of entities in their text."""

import copy
import pickle
import re
from html import unescape
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from ner_programs import Entity
from ner_programs.highlight import (
    COLOURS,
    Mark,
    about,
    entity_html,
    entity_marks,
    highlighted,
    label_colours,
    notebook_html,
)
from ner_programs.types import Entities
from tests import tiny


class Read(HTMLParser):
    """Reads marked text back: its characters, and for each the classes of the marks around it; labels are left out."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.around: list[tuple[str, ...]] = []
        self.labels: list[tuple[int, str]] = []
        self.open: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append((tag, dict(attrs).get("class") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][0] == "sub":
            self.labels.append((len(self.text), data))
            return
        self.text += data
        self.around += [tuple(kind for _, kind in self.open)] * len(data)


SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)
PLAIN = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\x00"), max_size=30)


@given(PLAIN, SPANS)
def test_marking_changes_no_character_and_marks_what_it_was_told(text: str, spans: list[tuple[int, int]]) -> None:
    read = Read(highlighted(text, [Mark((span,), f"l{n}", kind=f"k{n}") for n, span in enumerate(spans)]))
    assert read.text == text
    there = {n: span for n, span in enumerate(spans) if 0 <= span[0] < span[1] <= len(text)}
    for place, around in enumerate(read.around):
        assert sorted(around) == sorted(f"k{n}" for n, (a, b) in there.items() if a <= place < b)
    assert sorted(read.labels) == sorted((b, f"l{n}") for n, (_, b) in there.items())  # each once, where it ends


def test_nested_and_crossing_entities() -> None:
    nested = highlighted("abcdef", [Mark(((0, 6),), "A", kind="a"), Mark(((2, 4),), "B", kind="b")])
    assert nested == '<mark class="a">ab<mark class="b">cd<sub>B</sub></mark>ef<sub>A</sub></mark>'
    crossing = highlighted("abcdef", [Mark(((0, 4),), "A", kind="a"), Mark(((2, 6),), "B", kind="b")])
    assert crossing == (
        '<mark class="a">ab<mark class="b">cd</mark><sub>A</sub></mark><mark class="b">ef<sub>B</sub></mark>'
    )


def test_the_pieces_of_a_discontinuous_entity_are_tied_together() -> None:
    said = highlighted("left and right lung", [Mark(((0, 4), (15, 19)), "part", kind="x")])
    assert said == (
        '<mark class="x">left</mark><mark class="x gap"> and right </mark><mark class="x">lung<sub>part</sub></mark>'
    )


def test_everything_is_escaped() -> None:
    bad = '"><script>alert(1)</script>'
    entity = Entity.of(bad, 0, len(bad), bad, concept=bad, attributes={bad: bad})
    for html in (
        highlighted(bad, entity_marks([entity], {bad: bad})),
        entity_html(entity),
        notebook_html(bad, [entity], bad),
        Entities([entity], bad)._repr_html_(),
    ):
        assert "<script" not in html and html.count(bad) == 0


def test_what_is_negated_is_struck_through_and_named() -> None:
    text = "no fever"
    page = notebook_html(
        text, [Entity.of(text, 3, 8, "problem", attributes={"Negation": "true", "historical": "true"})]
    )
    assert '<mark class="negated"' in page and "fever<sub>problem, negated, historical</sub></mark>" in page
    assert "mark.negated { text-decoration: line-through" in page


def test_what_is_known_of_an_entity_is_its_title() -> None:
    entity = Entity(3, 9, "problem", "x y", ((3, 4), (8, 9)), "P:1", 0.9321, {"negated": "yes"})
    assert about(entity, {"P:1": "fever"}) == "problem · P:1 fever · score 0.93 · negated: yes · 3–4, 8–9"
    assert f'title="{about(entity)}"' in entity_html(entity)


@given(st.sets(st.text(max_size=5), max_size=len(COLOURS)), st.text(max_size=5))
def test_no_two_labels_look_alike_and_one_alone_keeps_its_colour(labels: set[str], label: str) -> None:
    assert len(set(label_colours(labels).values())) == len(labels)
    assert label_colours([label]) == label_colours([label, label])
    assert len(label_colours([str(n) for n in range(30)])) == 30


def test_a_notebook_shows_predictions_and_entities_in_their_text() -> None:
    text = tiny.DEV[0].text
    prediction = tiny.program(demos={"name": "tfidf", "k": 4})(text)
    assert prediction.entities
    for html in (prediction._repr_html_(), prediction.entities._repr_html_()):
        body = html.partition('<div class="text">')[2].partition("</div>")[0]
        assert Read(body).text == text
        assert [label for _, label in Read(body).labels] == [e.label for e in prediction.entities]
        assert f"score {prediction.entities[0].score:.2f}" in html
        assert not re.search(r"(src|href)\s*=|@import|url\(|<script", html)
    assert prediction.entities[0].text in unescape(prediction.entities[0]._repr_html_())
    prediction.unanswered = 2
    assert "2 unanswered" in prediction._repr_html_()


def test_the_entities_of_a_text_are_a_tuple_that_keeps_it() -> None:
    entities = Entities([Entity.of("ab", 0, 1, "x")], "ab")
    for same in (copy.deepcopy(entities), copy.copy(entities), pickle.loads(pickle.dumps(entities))):
        assert same == tuple(entities) and isinstance(same, Entities) and same.text == "ab"
    assert "ab" not in repr(Entities([], "ab"))  # a log shows no text
