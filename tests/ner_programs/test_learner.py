"""What the in-context CRF learns with: copies of what other demonstrations mention, and one meaning for one string."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_programs.tagger.consistency import WEIGHT, Found, consistent
from ner_programs.tagger.copies import Copies
from ner_programs.tagger.crf import Sample, tag_in_context
from ner_programs.tagger.features import Encoded, Hint, encoded, tags_of, tokens


def text_of(sample: Sample) -> Encoded:
    return encoded(sample.text, sample.hints)


def tagged(*samples: Sample) -> list[tuple[Encoded, list[str]]]:
    ids: dict[str, int] = {}
    return [(text_of(s), tags_of(text_of(s).offsets, s.spans, ids)) for s in samples]


def mention(text: str, name: str, label: str = "x") -> Sample:
    return Sample(text, ((text.index(name), text.index(name) + len(name), label),))


def marks(copies: Copies, text: Encoded, demonstration: int | None = None) -> list[list[str]]:
    return [[f for f in row if f.startswith("m=")] for row in copies.features(text, demonstration)]


def test_a_copy_of_a_mention_is_marked_whatever_its_case_and_number() -> None:
    copies = Copies(tagged(mention("saw Grey Wrens there", "Grey Wrens")))
    assert marks(copies, text_of(Sample("the grey wren sang"))) == [[], ["m=B0"], ["m=I0"], []]
    assert marks(copies, text_of(Sample("the grey heron sang"))) == [[], [], [], []]


def test_a_demonstration_is_not_told_what_only_it_mentions() -> None:
    one, two, three = mention("a finch sang", "finch"), mention("no finch here", "finch"), mention("an owl", "owl")
    copies = Copies(tagged(one, two, three))
    assert marks(copies, text_of(one), 0) == [[], ["m=B0"], []]
    assert marks(copies, text_of(three), 2) == [[], []]
    assert marks(copies, text_of(three)) == [[], ["m=B0"]]


def test_of_copies_the_longest_counts_with_the_label_that_most_others_gave() -> None:
    shown = [mention("grey finch", "grey finch", "a"), mention("finch", "finch", "b"), mention("finch", "finch", "c"),
             mention("the finch", "finch", "c")]  # fmt: skip
    copies = Copies(tagged(*shown))
    assert marks(copies, text_of(Sample("grey finch and finch"))) == [["m=B0"], ["m=I0"], [], ["m=B2"]]
    assert marks(copies, text_of(shown[2]), 2) == [["m=B1"]]  # one "b" and one other "c" are left: the first of equals


def test_the_features_of_a_text_are_shared_and_never_changed() -> None:
    sample = mention("a finch sang", "finch")
    before = [list(row) for row in text_of(sample).rows]
    Copies(tagged(sample)).features(text_of(sample))
    assert text_of(sample).rows == before


def test_what_stands_at_the_edges_of_a_hint_is_evidence() -> None:
    def shown(word: str, name: str, gold: bool) -> Sample:
        text = f"{word} {name} came"
        at = len(word) + 1
        return Sample(text, ((at, at + len(name), "x"),) if gold else (), (Hint(at, at + len(name), "x"),))

    names = ("wren", "Oriole", "tit", "Fulmar", "heron")
    demos = [shown(w, n, gold) for n in names for w, gold in (("saw", True), ("bought", False))]
    assert len(tag_in_context(demos, Sample("saw gannet came", hints=(Hint(4, 10, "x"),)))) == 1
    assert tag_in_context(demos, Sample("bought gannet came", hints=(Hint(7, 13, "x"),))) == []


# One text, one meaning


def spans_of(text: str, *said: tuple[str, int, float]) -> list[Found]:
    """Spans of one token: (word, which of its occurrences, probability)."""
    words = [text[a:b] for a, b in tokens(text)]
    places = {(w, n): [i for i, x in enumerate(words) if x == w][n] for w, n, _ in said}
    return [(places[w, n], places[w, n], 0, p) for w, n, p in said]


def judged(text: str, *said: tuple[str, int, float]) -> list[float]:
    return [span[3] for span in consistent(text, tokens(text), spans_of(text, *said))]


def test_a_doubtful_place_is_lifted_by_a_sure_one_and_lowers_it() -> None:
    doubtful, sure = judged("finch or finch", ("finch", 0, 0.2), ("finch", 1, 0.95))
    assert 0.2 < doubtful < sure < 0.95
    assert doubtful == pytest.approx((0.2 + WEIGHT * 0.95) / (1 + WEIGHT))


def test_a_place_that_is_no_candidate_counts_against() -> None:
    assert judged("finch or finch", ("finch", 0, 0.9)) == [pytest.approx(0.9 / (1 + WEIGHT))]


def test_a_string_that_stands_once_keeps_its_probability() -> None:
    assert judged("finch or finches", ("finch", 0, 0.9)) == [0.9]
    assert judged("ALS is also als", ("ALS", 0, 0.9)) == [0.9]  # a short form in another case is another string


@given(st.text(alphabet="ab A.", max_size=20), st.lists(st.floats(0, 1), min_size=20, max_size=20))
def test_probabilities_stay_probabilities_and_spans_stay_spans(text: str, scores: list[float]) -> None:
    spans = [(i, i, i % 2, p) for (i, _), p in zip(enumerate(tokens(text)), scores, strict=False)]
    after = consistent(text, tokens(text), spans)
    assert sorted(s[:3] for s in after) == [s[:3] for s in spans]
    assert all(-1e-9 <= s[3] <= 1 + 1e-9 for s in after)


# Belief in hints


def test_a_few_demonstrations_do_not_teach_that_nothing_is_a_mention() -> None:
    plain = [Sample("nothing to see here"), Sample("nor there"), mention("saw a plover today", "plover")]
    hinted = Sample("then came dunlins", hints=(Hint(10, 17, "x"),))
    assert [
        s.label for s in tag_in_context(plain, hinted)
    ] == []  # no demonstration has a hint: nothing vouches for one
    plain.append(Sample("a knot slept", ((2, 6, "x"),), (Hint(2, 6, "x"),)))
    assert [s.label for s in tag_in_context(plain, hinted)] == ["x"]


def test_many_demonstrations_outvote_hints() -> None:
    wrong = [
        Sample(f"the {w} fell", (), (Hint(4, 4 + len(w), "x"),))
        for w in ("gate", "lamp", "roof", "wall", "door", "tile")
    ]
    right = [mention(f"the {w} flew", w) for w in ("wren", "kite")]
    assert tag_in_context([*wrong, *right], Sample("the tent fell", hints=(Hint(4, 8, "x"),))) == []
