"""Rules of annotation: the sentence that says one, and the verifier that follows them without an LM."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ner_programs
from ner_programs import ComponentError, Entity, Pool, ProgramSpec, open_lm
from ner_programs.bundle import folder
from ner_programs.components import resolve
from ner_programs.guidelines import CLASSES, Kind, Rule, render
from ner_programs.stages.verify import Verification, apply
from ner_programs.types import Label
from ner_programs.verifiers.rules import Span, obey
from tests.ner_programs.support import LABELS, NASTY, NOTES, PLAIN, TEXTS

KINDS = get_args(Kind)
PAIR = (Label("problem", "A sign."), Label("test", "A procedure."))
WORDS = (st.sampled_from([*NASTY, "severe", "X and Y", "of"]) | st.text(max_size=6)).filter(lambda word: word.split())


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    kind, label, words = draw(st.sampled_from(KINDS)), draw(st.sampled_from(["", *LABELS])), st.lists(WORDS, max_size=3)
    if kind.startswith("short"):
        return Rule(kind, (), label)
    if kind in ("always", "never", "join", "split"):
        return Rule(kind, ("x", *draw(words)), label or "test" if kind == "always" else label)
    known = ["prepositions"] if kind.endswith("after") else sorted(CLASSES)
    classes = draw(st.lists(st.sampled_from(known), max_size=2))
    return Rule(kind, (*draw(words), *([] if classes else ['5" x'])), label, tuple(classes))


@given(rules())
def test_a_rule_is_one_sentence_that_says_all_its_words(rule: Rule) -> None:
    said = render(rule)
    assert said.endswith(".") and "\n" not in said and "{" not in said.replace("{", "", "".join(rule.words).count("{"))
    assert all(name in said for name in rule.classes) and rule.label in said


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule("always", ("sore", 'a "b"'), "problem"), 'Always mark "a \\"b\\"" and "sore" as problem.'),
        (Rule("never", ("NAD", "ok")), 'Never mark "NAD" or "ok".'),
        (Rule("never", ("NAD",), "problem"), 'Never mark "NAD" as problem.'),
        (Rule("drop_start", ("very",), "", ("articles",)), 'Leave out articles and "very" at the start of a mention.'),
        (Rule("keep_after", ("of",), "aid"), 'Keep what follows "of" inside an aid.'),
        (Rule("short_apart"), "Mark an abbreviation in parentheses as a mention of its own."),
        (Rule("split", ("and",)), 'Mark each of the names joined by "and" as a mention of its own.'),
    ],
)
def test_what_an_lm_is_told(rule: Rule, said: str) -> None:
    assert render(rule) == said


def test_a_rule_that_cannot_be_said_is_refused() -> None:
    bad: list[dict[str, Any]] = [
        {"kind": "sometimes"}, {"kind": "always", "words": ("x",)}, {"kind": "never"}, {"kind": "never", "words": ("",)},
        {"kind": "never", "classes": ("articles",)}, {"kind": "short_out", "words": ("x",)},
        {"kind": "drop_start", "classes": ("verbs",)}, {"kind": "drop_after", "classes": ("articles",)},
    ]  # fmt: skip
    for fields in bad:
        with pytest.raises(ValueError, match=r"rule|class|label|kind"):
            Rule(**fields)
    assert Rule("never", ("b", " a  c ", "b")).words == ("a c", "b")


def followed(text: str, known: str, *many: Rule) -> list[str]:
    """What stands of the problems `known` names in `text`, as `surface|label`."""
    spans, at = [], 0
    for surface in filter(None, known.split("; ")):
        at = text.index(surface, at)
        spans.append(Span(at, at + len(surface), "problem", 0.5))
        at += len(surface)
    return [f"{text[s.start : s.end]}|{s.label}" for s in obey(text, spans, many)]


SEVERE, ARTICLES = Rule("drop_start", classes=("words of severity",)), Rule("drop_start", classes=("articles",))
EFFECTS: list[tuple[str, str, tuple[Rule, ...], list[str]]] = [
    ("The severe ache", "The severe ache", (ARTICLES,), ["severe ache|problem"]),
    ("The severe ache", "The severe ache", (ARTICLES, SEVERE), ["ache|problem"]),
    ("Mild to moderate ache", "Mild to moderate ache", (SEVERE,), ["ache|problem"]),
    ("a very severe ache", "ache", (Rule("keep_start", ("severe", "very")),), ["very severe ache|problem"]),
    ("Foo syndrome now", "Foo", (Rule("keep_end", ("syndrome",)),), ["Foo syndrome|problem"]),
    ("ache of the knee", "ache of the knee", (Rule("drop_after", ("of",)),), ["ache|problem"]),
    ("ache of the knee was", "ache", (Rule("keep_after", ("of",)),), ["ache of the knee|problem"]),
    ("knee ache (KA).", "knee ache", (Rule("short_apart"),), ["knee ache|problem", "KA|problem"]),
    ("knee ache (KA).", "knee ache; KA", (Rule("short_inside"),), ["knee ache (KA)|problem"]),
    ("knee ache (KA).", "knee ache; KA", (Rule("short_out"),), ["knee ache|problem"]),
    ("ache and itch", "ache; itch", (Rule("join", ("and",)),), ["ache and itch|problem"]),
    ("ache and itch", "ache and itch", (Rule("split", ("and",)),), ["ache|problem", "itch|problem"]),
    ("ache, cough", "", (Rule("always", ("Cough",), "test"),), ["cough|test"]),
    ("knee ache", "ache", (Rule("always", ("knee ache",), "test"),), ["knee ache|test"]),
    ("We all have ALL.", "", (Rule("always", ("ALL",), "problem"),), ["ALL|problem"]),
    ("cold knee, Cold", "cold knee; Cold", (Rule("never", ("cold",)),), ["cold knee|problem"]),
    ("ache/itch", "ache/itch", (Rule("split", ("/",)),), ["ache|problem", "itch|problem"]),
    ("ache/itch", "ache; itch", (Rule("join", ("/",)),), ["ache/itch|problem"]),
    ("ache, severe", "ache, severe", (Rule("drop_end", ("severe",)),), ["ache|problem"]),
    ("mild/severe ache", "mild/severe ache", (SEVERE,), ["ache|problem"]),
    ("mild moderate ache", "mild moderate ache", (SEVERE, Rule("keep_start", ("moderate",), "problem")),
     ["moderate ache|problem"]),
]  # fmt: skip
NO_EFFECTS: list[tuple[str, str, tuple[Rule, ...]]] = [
    ("severe, today", "severe", (SEVERE,)),
    ("acute-on-chronic ache", "acute-on-chronic ache", (Rule("drop_start", ("acute",)),)),
    ("knee ache severe", "knee ache severe", (Rule("drop_end", ("severe",), "test"),)),
    ("knee ache (2 days).", "knee ache", (Rule("short_apart"),)),
    ("knee ache, aches", "knee ache", (Rule("always", ("ache",), "test"),)),
    ("Cold", "Cold", (Rule("never", ("cold",), "test"),)),
    ("A. mellea", "A. mellea", (ARTICLES,)),
    ("2,4-xylenol", "2,4-xylenol", (Rule("drop_start", classes=("numbers",)),)),
    ("5% loss", "5% loss", (Rule("drop_start", classes=("numbers",)),)),
    ("sandy", "sandy", (Rule("split", ("and", "s")),)),
]


@pytest.mark.parametrize(("text", "known", "many", "expected"), EFFECTS)
def test_a_rule_is_followed(text: str, known: str, many: tuple[Rule, ...], expected: list[str]) -> None:
    assert followed(text, known, *many) == expected


@pytest.mark.parametrize(("text", "known", "many"), NO_EFFECTS)
def test_and_touches_nothing_else(text: str, known: str, many: tuple[Rule, ...]) -> None:
    assert followed(text, known, *many) == followed(text, known) == [f"{known}|problem"]


@given(TEXTS, st.lists(rules(), max_size=4), st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=4))
def test_what_stands_lies_in_the_text_without_overlap(
    text: str, many: list[Rule], marks: list[tuple[int, int]]
) -> None:
    spans: list[Span] = []
    for start, length in sorted(marks):
        if start >= (spans[-1].end if spans else 0) and start + length <= len(text):
            spans.append(Span(start, start + length, "problem", 0.5))
    found = obey(text, spans, many)
    assert all(0 <= s.start < s.end <= len(text) for s in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


TEXT = "The knee pain (KP) and MRI. NAD, sore."
LISTED: list[dict[str, Any]] = [
    {"kind": "drop_start", "classes": ["articles"]}, {"kind": "short_apart", "label": "problem"},
    {"kind": "never", "words": ["NAD"]}, {"kind": "always", "words": ["sore"], "label": "problem"},
]  # fmt: skip


def verifier(**options: Any) -> Any:
    def inner(of: dict[str, Any]) -> Any:
        return Dropping()

    return resolve("ner_programs.verifiers", {"name": "rules", "rules": LISTED, **options}, labels=PAIR, inner=inner)


class Dropping:
    """Rejects the last candidate."""

    def __call__(self, text: str, knowledge: str, candidates: Any, exclude: Any = ()) -> Verification:
        return Verification((ner_programs.types.Verdict("reject", len(candidates)),), unreadable=1)

    async def acall(self, *args: Any) -> Verification:
        return self(*args)


def candidates(*named: str) -> list[Entity]:
    return [Entity.of(TEXT, TEXT.index(n), TEXT.index(n) + len(n), "problem", score=0.4) for n in named]


def test_the_verifier_follows_its_rules_and_leaves_the_rest_as_it_is() -> None:
    found = candidates("The knee pain", "MRI", "NAD")
    for said in (verifier()(TEXT, "", found), asyncio.run(verifier().acall(TEXT, "", found))):
        stands = sorted((m.start, m.text, m.label, m.score) for m in apply(found, said.verdicts))
        assert stands == [
            (4, "knee pain", "problem", 0.9), (15, "KP", "problem", 0.9), (23, "MRI", "problem", 0.4),
            (33, "sore", "problem", 0.9),
        ]  # fmt: skip
        assert [v.number for v in said.verdicts if v.kind == "reject"] == [1, 3]


def test_another_verifier_is_asked_first() -> None:
    found = candidates("The knee pain", "MRI")
    for said in (
        verifier(of={"name": "x"})(TEXT, "", found),
        asyncio.run(verifier(of={"name": "x"}).acall(TEXT, "", found)),
    ):
        assert sorted(m.text for m in apply(found, said.verdicts)) == ["KP", "knee pain", "sore"]
        assert said.unreadable == 1


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"kind": "always", "words": ["x"], "label": "drug"}, "there is no label 'drug'; there are: problem, test"),
        ({"kind": "sometimes", "words": ["x"]}, "rules.0.kind"),
        ({"kind": "never", "words": ["x"], "lable": "test"}, "rules.0.lable"),
        ({"kind": "never"}, "does not go with these words"),
    ],
)
def test_a_wrong_rule_of_a_spec_is_said(rule: dict[str, Any], said: str) -> None:
    with pytest.raises(ComponentError, match=said):
        verifier(rules=[rule])


def test_a_program_that_follows_rules_needs_no_language_model_and_its_bundle_carries_them(tmp_path: Path) -> None:
    spec = ProgramSpec(labels=PLAIN, demos={"name": "random", "k": 4}, verify={"name": "rules", "rules": LISTED})
    made = spec.build(None, Pool.of(NOTES, "sentence"))
    folder.save(made, tmp_path / "b")
    for one in (made, folder.load(tmp_path / "b")):
        with dspy.context(lm=open_lm(), disable_history=True):
            assert ("sore", "problem") in {(e.text, e.label) for e in one("NAD, sore.").entities}
        assert one.spec.verify == {"name": "rules", "rules": LISTED}
