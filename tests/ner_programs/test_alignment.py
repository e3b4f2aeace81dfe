from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_programs.alignment.align import Alignment, TextIndex, align, align_report, stands_in
from ner_programs.types import Entity, Mention
from tests.effort import soon

# Characters that break aligners: brackets and pipes of inline formats, folds that change length, marks, odd blanks.
ODD = "aAbB12 -+().,|[]<>{}_%\n\t\u00a0\u00df\u0130\u0131\ufb01\u0301\u20dd\u00b2\u00bd\u212b"
ODD += "\u1e9e\u0345\u03c2\u03a3\u7cd6\u0e01\U0001f600"
TEXTS = st.text(st.sampled_from(ODD) | st.characters(), max_size=60)


def found(text: str, *strings: str, **options) -> list[str]:
    return [e.text for e in align(text, [Mention(s, "X") for s in strings], **options)]


def spans(text: str, mentions: list[Mention], **options) -> list[tuple[int, int, str]]:
    return [(e.start, e.end, e.label) for e in align(text, mentions, **options)]


@st.composite
def annotated(draw) -> tuple[str, list[Entity]]:
    text = draw(TEXTS)
    edges = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12, unique=True)))
    pairs = [(a, b) for a, b in pairwise(edges) if text[a:b] == text[a:b].strip() and draw(st.booleans())]
    return text, [Entity.of(text, a, b, draw(st.sampled_from(["X", "Y|Z", ""]))) for a, b in pairs]


@given(annotated())
def test_law_hints_bring_every_entity_back(case):
    text, entities = case
    got = align(text, [Mention(e.text, e.label, start=e.start) for e in entities])
    assert got == tuple(entities)
    assert [e.text for e in got] == [e.text for e in entities]


@given(
    TEXTS, st.lists(st.tuples(TEXTS, st.none() | st.integers(-5, 99)), max_size=6), st.sampled_from(["all", "ordered"])
)
def test_anything_said_gives_sorted_flat_exact_entities(text, said, policy):
    mentions = [Mention(string, "X", start) for string, start in said]
    got = align(text, mentions, policy=policy)
    assert all(a.end <= b.start for a, b in pairwise(got))
    assert all(e.text == text[e.start : e.end] for e in got)
    assert got == align(text, mentions, policy=policy)


@given(annotated())
def test_a_list_of_what_stands_there_loses_nothing(case):
    text, entities = case
    whole = [e for e in entities if not (text[: e.start][-1:] + e.text[:1]).isalnum()]
    whole = [e for e in whole if not any(c.isalnum() for c in (e.text[-1:], text[e.end : e.end + 1]))]
    assert align_report(text, [Mention(e.text, "X") for e in whole]).lost == ()


@pytest.mark.parametrize(
    ("text", "said", "stands"),
    [
        ("Hauptstraße 1", "HAUPTSTRASSE", "Hauptstraße"), ("in İstanbul.", "istanbul", "İstanbul"),
        ("the Sjo\u0308gren syndrome", "Sjögren Syndrome", "Sjo\u0308gren syndrome"),
        ("a Sjo\u0308 b", "sjö", "Sjo\u0308"),
        ("an ataxia - telangiectasia gene", "Ataxia-telangiectasia", "ataxia - telangiectasia"),
        ("breast\n  cancer", "breast cancer", "breast\n  cancer"), ("free Ca2+ rose", "Ca2+", "Ca2+"),
        ("free Ca2 rose", "Ca2+", "Ca2"), ("by 50 % of", "50%", "50 %"), ("the (+)-x form", "(+)-X", "(+)-x"),
        ("taking 81mg now", "mg", "mg"), ("taking 81mg now", "81 mg", "81mg"), ("a + b", "+", "+"),
        ("糖尿病患者", "糖尿病", "糖尿病"), ("a severe haemochromatosis", "haemochromtosis", "haemochromatosis"),
        ("took metoprolol daily", "metroprolol", "metoprolol"), ("took aspirin daily", "apsirin", "aspirin"),
        ("two tumours grew", "tumour", "tumours"),
    ],
)  # fmt: skip
def test_one_string(text, said, stands):
    assert found(text, said) == [stands]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ataxia", "tax"), ("gouty", "gout"), ("gene p53", "p"), ("type 2 diabetes", "type 1 diabetes"),
        ("type II collagen", "type III collagen"), ("given 1.0 mg once", "10 mg"),
        ("severe hypotension", "hypertension"), ("a cat sat", "bat"), ("a cat sat", ""), ("a cat sat", " \n"),
        ("", "cat"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_lost(text, said):
    mention = Mention(said, "X")
    assert align_report(text, [mention]) == Alignment((), (mention,))
    assert align_report(text, [mention], policy="ordered") == Alignment((), (mention,))


def test_equal_strings_of_another_kind_are_not_marked():
    assert found("10 mg, then 1.0 mg, then 10mg", "10 mg") == ["10 mg", "10mg"]
    assert found("ALL is not all, All or ALL", "ALL") == ["ALL", "ALL"]
    assert found("Gout and gout", "gout") == ["Gout", "gout"]
    assert found("50 of 50%", "50%") == ["50%"]


def test_all_marks_every_whole_word_longest_first():
    text = "Cancer: breast cancer, cancerous, Breast-Cancer and cancer"
    assert spans(text, [Mention("cancer", "A"), Mention("breast cancer", "B"), Mention("cancer", "C")]) == [
        (0, 6, "A"), (8, 21, "B"), (34, 47, "B"), (52, 58, "A"),
    ]  # fmt: skip


def test_a_misspelt_string_never_displaces_an_exact_one():
    assert spans("aspirin", [Mention("aspirins", "A"), Mention("aspirin", "B")]) == [(0, 7, "B")]
    assert found("tumours and a tumor mass", "tumor mas") == ["tumor mass"]


def test_ordered_gives_the_nth_listing_the_nth_occurrence():
    text = "gout, ataxia, gout, ataxia, gout"
    assert spans(text, [Mention("gout", "1"), Mention("gout", "2")], policy="ordered") == [(0, 4, "1"), (14, 18, "2")]
    listing = [Mention("gout", str(i)) for i in range(5)]
    assert align_report(text, listing, policy="ordered").lost == ()
    assert [e.label for e in align(text, listing, policy="ordered")] == ["0", "1", "2"]


def test_ordered_follows_the_whole_list():
    text = "gout, ataxia, gout, ataxia, gout"
    said = [Mention("ataxya", "1"), Mention("GOUT", "2"), Mention("ataxia", "3")]
    assert spans(text, said, policy="ordered") == [(6, 12, "1"), (14, 18, "2"), (20, 26, "3")]


def test_ordered_keeps_what_breaks_the_order():
    assert spans("gout, ataxia", [Mention("ataxia", "1"), Mention("gout", "2")], policy="ordered") == [
        (0, 4, "2"), (6, 12, "1"),
    ]  # fmt: skip


def test_hints_mark_one_occurrence_and_never_spread():
    text = "pain, Pain, pain, pain"
    assert spans(text, [Mention("pain", "X", 12)]) == [(12, 16, "X")]
    assert spans(text, [Mention("pain", "X", 5)]) == [(6, 10, "X")]
    assert spans(text, [Mention("pain", "X", 14), Mention("pain", "Y", 15)]) == [(12, 16, "X"), (18, 22, "Y")]
    assert spans(text, [Mention(" pain", "X", 11), Mention("pain", "Y", 999)]) == [(12, 16, "X"), (18, 22, "Y")]
    assert spans(text, [Mention("pain", "X", 12), Mention("pain", "Y")]) == [
        (0, 4, "Y"), (6, 10, "Y"), (12, 16, "X"), (18, 22, "Y"),
    ]  # fmt: skip


def test_inside_a_word_only_where_the_hint_says_so():
    assert spans("microangiopathy", [Mention("angio", "X", 5)]) == [(5, 10, "X")]
    assert spans("microangiopathy", [Mention("angio", "X", 3)]) == [(5, 10, "X")]
    assert spans("microangiopathy is an illness of vessels", [Mention("angio", "X", 30)]) == []
    assert spans("microangiopathy", [Mention("angio", "X")]) == []


def test_first_label_wins_and_scores_pass_through():
    (entity,) = align("has gout", [Mention("gout", "A", score=0.5), Mention("Gout", "B", score=0.9)])
    assert (entity.label, entity.score, entity.provenance) == ("A", 0.5, ())
    assert spans("has gout", [Mention("gout", "A", 4), Mention("gout", "B", 4)]) == [(4, 8, "A")]


def test_repeated_mentions_are_not_lost():
    assert align_report("gout", [Mention("gout", "A"), Mention("gout", "B"), Mention("flu", "A")]).lost == (
        Mention("flu", "A"),
    )


def crowded(text: str, *mentions: Mention, **options) -> list[str]:
    report = align_report(text, mentions, **options)
    assert report.lost == ()
    return [f"{m.text} {m.label}" for m in report.crowded]


def test_a_mention_whose_places_others_have_taken_is_crowded_out():
    text = "breast cancer, then a fever"
    outer, inner, fever = Mention("breast cancer", "A"), Mention("cancer", "A"), Mention("Fever", "A")
    assert crowded(text, outer, inner, fever) == ["cancer A"]
    assert crowded(text, outer, inner, fever, policy="ordered") == ["cancer A"]
    assert crowded(text, Mention("breast cancer", "A", 0), Mention("cancer", "A", 7)) == ["cancer A"]
    assert crowded(text, Mention("breast cancer", "A", 0), Mention("cancer", "A", 5)) == ["cancer A"], (
        "a hint beside it"
    )
    assert crowded(text, fever, Mention("fever", "A"), Mention("fever", "B")) == ["fever B"], (
        "the same once more is said"
    )
    listing = [Mention("fever", "A")] * 3
    assert crowded(text, *listing, policy="ordered") == []
    assert crowded("cancer and breast cancer", outer, inner) == [], "one of its places is free"


@given(
    TEXTS, st.lists(st.tuples(TEXTS, st.none() | st.integers(-5, 99)), max_size=6), st.sampled_from(["all", "ordered"])
)
def test_every_mention_is_an_entity_lost_or_crowded_out(text, said, policy):
    mentions = [Mention(string, str(i), start) for i, (string, start) in enumerate(said)]
    report = align_report(text, mentions, policy=policy)
    labels = [*{e.label for e in report.entities}, *(m.label for m in (*report.lost, *report.crowded))]
    assert sorted(labels) == [m.label for m in mentions]
    assert all(stands_in(text, m.text) for m in report.crowded)


def test_what_stands_in_a_text():
    assert stands_in("an ataxia", " Ataxia ") and stands_in("an ataxia", "tax") and stands_in("an ataxia", "attaxia")
    assert not stands_in("an ataxia", "gout") and not stands_in("an ataxia", " ") and not stands_in("", "gout")


def test_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="'all' or 'ordered'"):
        align("x", [], policy="some")  # type: ignore[arg-type]


@given(annotated(), st.integers(2, 4))
def test_what_is_said_again_says_nothing_more(case, times):
    text, entities = case
    mentions = [Mention(e.text, e.label) for e in entities]
    once, again = align_report(text, mentions), align_report(text, mentions * times)
    assert again.entities == once.entities
    assert (set(again.lost), set(again.crowded)) == (set(once.lost), set(once.crowded))


def test_an_lm_in_a_loop_takes_no_more_memory_than_its_text(monkeypatch):
    made = []
    spots = TextIndex.spots
    monkeypatch.setattr(TextIndex, "spots", lambda index, surface: made.append(surface) or spots(index, surface))
    assert len(align("ash " * 500, [Mention("ash", "x")] * 500)) == 500
    assert made == ["ash"]


def test_long_texts_with_many_repeats_stay_fast():
    text = "Pain and more pain in the left knee; no painful hip. " * 200
    said = [Mention(s, "X") for s in ("pain", "left knee", "left kne", "painfull hip", "a") * 60]
    with soon():
        align(text, said, policy="ordered")
        align(text, said)
