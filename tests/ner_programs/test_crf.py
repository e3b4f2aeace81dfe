"""The in-context CRF: the law of renaming, edge cases, determinism, and exact span marginals against brute force."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from math import prod
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_programs.tagger.crf import Chain, Hint, Sample, Span, best_spans, fit, probable_spans, tag_in_context, tokens

DRUG, SIGN = "drug", "sign: or B-symptom"  # blanks, colons and hyphens are ordinary characters of a label


def made(template: str, drug: str, sign: str, label: tuple[str, str] = (DRUG, SIGN)) -> Sample:
    text = template.format(drug, sign)
    places = (text.index(drug), text.index(sign))
    spans = tuple((at, at + len(word), name) for at, word, name in zip(places, (drug, sign), label, strict=True))
    return Sample(text, spans, (Hint(places[0], places[0] + len(drug), label[0]),))


TEMPLATES = ("She took {} for her {}.", "Given {} the {} was gone.", "Stopped {} as {} came back, no other change.")
PAIRS = (("Fooxil", "night cough"), ("barazole 5mg", "fever"), ("Quxa", "head pain"), ("zetol", "itching"))


def shown(label: tuple[str, str] = (DRUG, SIGN)) -> list[Sample]:
    return [made(template, *pair, label) for template in TEMPLATES for pair in PAIRS]


def query(label: str = DRUG) -> Sample:
    return Sample("Given Norvex the night cough was gone.", hints=(Hint(6, 12, label),))


def found(spans: list[Span]) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.label) for span in spans]


def test_tokens_are_letters_digits_and_single_signs() -> None:
    text = "Ca2+-free, 12.5 µg  naïve_x"
    pieces = ["Ca", "2", "+", "-", "free", ",", "12", ".", "5", "µg", "naïve", "_", "x"]
    assert [text[a:b] for a, b in tokens(text)] == pieces
    assert tokens(" \n\t") == []


def test_learns_from_the_demonstrations_alone() -> None:
    answer = tag_in_context(shown(), query())
    assert found(answer) == [(6, 12, DRUG), (17, 28, SIGN)]
    assert all(0.33 < span.score <= 1 for span in answer)


def test_one_demonstration_is_enough_to_find_its_copy() -> None:
    one = made(TEMPLATES[0], *PAIRS[0])
    assert found(tag_in_context([one], Sample(one.text, (), one.hints))) == list(one.spans)


@pytest.mark.parametrize(
    "names", [("x", "y"), ("sign: or B-symptom", "drug"), ("é|\0|1", "é|\0|2"), ("0", "O"), ("\ud800", " ")]
)
def test_renaming_the_labels_renames_the_answers_and_changes_nothing_else(names: tuple[str, str]) -> None:
    renamed = dict(zip((DRUG, SIGN), names, strict=True))
    before = tag_in_context(shown(), query())
    after = tag_in_context(shown(names), query(names[0]))
    assert [(s.start, s.end, renamed[s.label], s.score) for s in before] == [
        (s.start, s.end, s.label, s.score) for s in after
    ]


def test_fit_then_tag_is_tag_in_context_and_repeats_itself() -> None:
    assert found(fit(shown()).tag(query())) == found(tag_in_context(shown(), query()))


def test_the_order_of_the_demonstrations_means_nothing() -> None:
    assert tag_in_context(shown()[::-1], query()) == tag_in_context(shown(), query())


def test_the_same_answer_in_another_process() -> None:
    code = (
        "import importlib.util as u, sys\n"
        f"spec = u.spec_from_file_location('t', {str(Path(__file__))!r})\n"
        "t = u.module_from_spec(spec); spec.loader.exec_module(t)\n"
        "print(t.tag_in_context(t.shown(), t.query()))"
    )
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == str(tag_in_context(shown(), query()))


def test_without_demonstrations_the_labelled_hints_are_the_answer() -> None:
    hints = (Hint(0, 4, "A"), Hint(0, 9, "B"), Hint(10, 13, ""), Hint(10, 99, "A"), Hint(5, 5, "A"))
    assert tag_in_context([], Sample("some text abc", hints=hints)) == [Span(0, 9, "B", 0.5)]


def test_demonstrations_without_entities_refute_the_hints_they_have() -> None:
    plain = [Sample("a rare allele", hints=(Hint(2, 6, "A"),)), Sample("nothing here")]
    asked = Sample("rare and odd", hints=(Hint(0, 4, "A"), Hint(9, 12, "B")))
    assert found(tag_in_context(plain, asked)) == [(9, 12, "B")]


def test_denials_are_evidence_of_their_own() -> None:
    def sample(word: str, denied: bool, gold: bool = False) -> Sample:
        span = (4, 4 + len(word))
        return Sample(f"saw {word} there", ((*span, "x"),) if gold else (), (Hint(*span, "", denied),))

    birds, trees = ("tit", "owl", "kite", "heron"), ("oak", "elm", "ash", "fir")
    shown = [sample(w, d, not d) for words, d in ((birds, False), (trees, True)) for w in words]
    assert found(tag_in_context(shown, sample("wren", denied=False))) == [(4, 8, "x")]
    assert found(tag_in_context(shown, sample("yew", denied=True))) == []


def test_spans_end_where_they_end_even_inside_a_token() -> None:
    cut = [Sample(f"the Ca{n}xx level, a b c d", ((4, 6, "ion"),)) for n in range(1, 7)]
    assert found(tag_in_context(cut, Sample("the Ca9xx level, a b c d"))) == [(4, 6, "ion")]
    inside = [Sample("pre highgrade post", ((8, 13, "x"),))] * 3
    assert found(tag_in_context(inside, Sample("pre highgrade post"))) in ([], [(4, 13, "x")])


def test_of_overlapping_spans_the_longest_is_learned() -> None:
    nested = [Sample(f"has renal cell cancer {n}", ((10, 14, "n"), (4, 21, "n"), (15, 21, "m"))) for n in range(4)]
    assert found(tag_in_context(nested, Sample("has renal cell cancer 7"))) == [(4, 21, "n")]


@pytest.mark.parametrize("text", ["", " ", "\0", "\ud800 x"])
def test_texts_without_anything_to_say(text: str) -> None:
    odd = Sample(text, ((0, 1, "x"), (-3, 2, "x"), (0, 10**9, "x"), (1, 0, "x")), (Hint(-5, 10**9, "x"),))
    assert isinstance(tag_in_context([odd, *shown()], Sample(text)), list)
    assert isinstance(tag_in_context([odd], odd), list)


def test_no_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fit(shown())
    assert list(tmp_path.iterdir()) == []


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    text = draw(st.text(alphabet=st.characters(), max_size=30))
    at, label = st.integers(-2, 33), st.sampled_from(["a", "B-a", ""])
    spans = draw(st.lists(st.tuples(at, at, label), max_size=3))
    hints = draw(st.lists(st.builds(Hint, at, at, label), max_size=3))
    return Sample(text, tuple(spans), tuple(hints))


@given(st.lists(samples(), max_size=4), samples())
def test_any_text_gets_disjoint_spans_that_lie_in_it(demonstrations: list[Sample], asked: Sample) -> None:
    answer = tag_in_context(demonstrations, asked)
    edges = [edge for span in answer for edge in (span.start, span.end)]
    assert edges == sorted(edges) and all(span.start < span.end <= len(asked.text) for span in answer)
    assert all(0 <= span.score <= 1 for span in answer)


POSITIVE = st.floats(0.01, 5)


@given(st.data(), st.integers(1, 4), st.sampled_from([3, 5]))
def test_span_probabilities_are_exact(data: st.DataObject, length: int, size: int) -> None:
    row = st.lists(POSITIVE, min_size=size, max_size=size)
    nodes = data.draw(st.lists(row, min_size=length, max_size=length))
    edges = data.draw(st.lists(row, min_size=size, max_size=size))
    total, mass = 0.0, dict[tuple[int, int, int], float]()
    for path in itertools.product(range(size), repeat=length):
        if any(b and b % 2 == 0 and a not in (b - 1, b) for a, b in itertools.pairwise((0, *path))):
            continue
        weight = prod(nodes[t][b] for t, b in enumerate(path)) * prod(edges[a][b] for a, b in itertools.pairwise(path))
        total += weight
        for t, b in enumerate(path):
            if b % 2:
                last = next((u - 1 for u in range(t + 1, length) if path[u] != b + 1), length - 1)
                mass[t, last, b // 2] = mass.get((t, last, b // 2), 0.0) + weight
    got = {(first, last, label): p for first, last, label, p in probable_spans(Chain(nodes, edges), 0.0)}
    assert got == pytest.approx({key: value / total for key, value in mass.items()})


def test_best_spans_prefers_two_likely_spans_to_one_long_one() -> None:
    spans = [(0, 2, 0, 0.6), (0, 0, 0, 0.5), (2, 2, 1, 0.5), (1, 1, 0, 0.34)]
    assert best_spans(spans, 3, 0.33) == [(0, 0, 0, 0.5), (1, 1, 0, 0.34), (2, 2, 1, 0.5)]
    assert best_spans([], 0, 0.33) == []
