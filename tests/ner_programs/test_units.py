from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_programs.units import Unit, split

# Fragments that make sentence ends, lists and odd blanks likely; plain st.text() hardly ever makes any.
PIECES = [
    "He slept. ", "p53 ", "Dr. Who", "1. ", "x\u00ady", "\n", "\r\n", "\u2028", "\t", "! ", "? No.", "(a) ", "…",
    "\x1f", "。",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=60), st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map("".join)
)


def pieces(text: str, **options) -> list[str]:
    return [text[u.start : u.end] for u in split(text, **options)]


def test_sentences_of_a_note():
    text = "HPI:\n  Pt. slept. He woke up!  (See Fig. 2.)\n\nMEDS\n1. Aspirin 81 mg daily. 2. Metoprolol. \n"
    assert pieces(text) == [
        "HPI:", "Pt. slept.", "He woke up!", "(See Fig. 2.)", "MEDS", "1. Aspirin 81 mg daily.", "2. Metoprolol.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line", ["1. aspirin 81 mg daily", "1. Aspirin 81 mg daily", "a) rest", "A 5.5 cm mass.", "Dr. Smith saw E. coli."]
)
def test_lines_that_stay_whole(line):
    assert pieces(line) == [line]


def test_document_is_one_unit_without_edge_blanks():
    assert split("\n A b. C d.\n", "document") == [Unit(2, 11)]
    assert split(" \n", "document") == split("", "sentence") == split("\t", "window") == []


def test_windows_pack_whole_sentences():
    text = "One two. Three four. Five six. " + "Seven eight nine ten eleven."
    assert pieces(text, unit="window", size=20) == [
        "One two. Three four.", "Five six.", "Seven eight nine ten eleven.",
    ]  # fmt: skip


def test_keep_spans_are_never_cut():
    text = "He has it. She has not. They do."
    assert [text[u.start : u.end] for u in split(text, keep=[(7, 14)])] == ["He has it. She has not.", "They do."]
    assert split(text, keep=[(0, 12), (20, 30)]) == [Unit(0, len(text))]
    assert split(text, keep=[(0, 3)]) == split(text)


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="'sentence', 'document' or 'window'"):
        split("x", "page")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        split("x", "window", size=0)


@given(TEXTS, st.sampled_from(["sentence", "document", "window"]), st.data())
def test_units_cover_keep_order_and_do_not_overlap(text, unit, data):
    place = st.integers(0, len(text))
    keep = data.draw(st.lists(st.tuples(place, place).map(lambda p: (min(p), max(p))), max_size=4))
    size = data.draw(st.integers(1, 40))
    units = split(text, unit, size=size, keep=keep)
    assert all(u.start < u.end for u in units)
    assert all(a.end <= b.start for a, b in pairwise(units))
    assert all(text[u.start : u.end].strip() == text[u.start : u.end] for u in units)
    inside = {i for u in units for i in range(u.start, u.end)}
    assert all(i in inside or c.isspace() for i, c in enumerate(text))
    for start, end in keep:
        solid = [i for i in range(start, end) if not text[i].isspace()]
        assert not solid or any(u.start <= solid[0] and solid[-1] < u.end for u in units)


@given(TEXTS, st.integers(1, 40))
def test_a_window_is_within_its_size_or_one_sentence(text, size):
    sentences = set(split(text))
    assert all(u.end - u.start <= size or u in sentences for u in split(text, "window", size=size))


def test_single_sentences_are_not_shown_to_the_splitter(monkeypatch):
    lines = [f"Mutation {i} of the gene causes a disease of the liver in 3.5 % of cases ." for i in range(2000)]
    monkeypatch.setattr("ner_programs.units.segmenter", None)
    assert all(len(split(line)) == 1 for line in lines)
