"""Guideline lines: what is written is read, paraphrases are understood, what says something else is left alone."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from experiments.corpora import wardnotes
from ner_programs import Mention, align, prompt
from ner_programs._plain_english import quotable
from ner_programs.components import names, resolve
from ner_programs.extract import FindMentions
from ner_programs.guidelines import CLASSES, Kind, Rule, parse, render
from ner_programs.lms._crf import Span
from ner_programs.lms._guidance import obey
from ner_programs.lms._incontext import answer
from ner_programs.types import Label
from tests.effort import soon
from tests.ner_programs.support import LABELS, NASTY, TEXTS

NAMES = (*LABELS, "name", "end of", "a. b", "part", "Article", "start")
KINDS = get_args(Kind)


WORDS = (
    (st.sampled_from([*NASTY, "severe", "X and Y", "of", "problem"]) | st.text(max_size=6))
    .map(lambda word: " ".join(word.replace('"', "").split()))
    .filter(quotable)
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    kind, label, words = draw(st.sampled_from(KINDS)), draw(st.sampled_from(["", *NAMES])), st.lists(WORDS, max_size=3)
    if kind.startswith(("short", "long")):
        return Rule(kind, (), label)
    if kind in ("always", "never", "join", "split"):
        return Rule(kind, ("x", *draw(words)), label or "test" if kind == "always" else label)
    known = ["prepositions"] if kind.endswith("after") else sorted(CLASSES)
    classes = draw(st.lists(st.sampled_from(known), max_size=2))
    return Rule(kind, (*draw(words), *([] if classes else ['5" x'])), label, tuple(classes))


@given(rules())
@example(Rule("always", ("__", "e.g. **x**", "a. b; c"), "test"))
def test_what_is_written_is_read(rule: Rule) -> None:
    line = render(rule)
    assert "\n" not in line
    assert parse(line, NAMES).rules == (rule,)
    assert parse(prompt.render([("", f"Find them.\n- {line}")]), NAMES).rules == (rule,)


@given(st.lists(rules(), max_size=5))
def test_many_lines_are_read_each(many: list[Rule]) -> None:
    said = parse("Find every mention.\n\n" + "\n".join(map(render, many)), NAMES)
    assert said.rules == tuple(dict.fromkeys(many))
    assert (said.read, said.unread) == (len(many), 0)


@given(TEXTS, st.lists(rules(), max_size=4), st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=4))
def test_what_obeys_lies_in_the_text_without_overlap(text: str, many: list[Rule], marks: list[tuple[int, int]]) -> None:
    spans: list[Span] = []
    for start, length in sorted(marks):
        if start >= (spans[-1].end if spans else 0) and start + length <= len(text):
            spans.append(Span(start, start + length, "problem", 0.5))
    found = obey(text, spans, parse("\n".join(map(render, many)), NAMES))
    assert all(0 <= s.start < s.end <= len(text) and 0 <= s.score <= 1 for s in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


UNDERSTOOD = {
    'Leave out "mild" and "severe" at the start of a problem.': [
        '- do not include “severe” or “mild” at the beginning of a problem',
        "3) Omit the words 'severe' and 'mild' before a problem!",
        'Strip leading modifiers such as `severe` and `mild` from problems.',
        '"severe" and "mild" at the start of problems are left out',
        'Rule 4: The adjectives "mild" and "severe" are not part of a problem when they precede it.',
    ],
    "Leave out articles and possessives at the start of a mention.": [
        "* Leave out articles and possessives",
        "Don't tag articles or possessive pronouns.",
        "Articles (a, an, the) and possessives are never included.",
        "A mention never begins with an article or a possessive.",
        "Mark names without articles or possessives.",
        "leave leading articles and possessives out of the mention",
    ],
    "Leave out articles, demonstratives and possessives at the start of a mention.": [
        "Drop determiners.", "Never start a mention with a determiner.", "Determiners do not belong to a mention.",
    ],
    "Leave out words of severity at the start of a problem.": [
        "Exclude severity adjectives from the beginning of a problem."
    ],
    'Keep "syndrome" at the end of a mention.': [
        'Include "syndrome" when it follows.', 'Always keep "syndrome" after the name.', 'Retain a trailing "syndrome".',
    ],
    'Always mark "chills" and "fever" as problem.': [
        'Always annotate "fever" and "chills" as a problem', '"fever" and "chills" are always problems.',
        'Tag every occurrence of "chills" or "fever" as problem.', 'Mark "fever" and "chills" as problems everywhere.',
        'Whenever "fever" or "chills" occurs, label it as a problem.',
    ],
    'Never mark "labs" or "symptoms".': [
        'Do not extract "symptoms" or "labs".', 'Never annotate "labs" or "symptoms" on their own.',
        "“labs” and “symptoms” should not be marked",
    ],
    'Never mark "labs" as test.': ['"labs" is never a test.', 'Do not tag "labs" as a test.'],
    "Mark an abbreviation in parentheses as a mention of its own.": [
        "Mark a name and its abbreviation in brackets as two entities.", "Annotate acronyms in parentheses separately.",
        "If an abbreviation is given in brackets, mark it separately.",
    ],
    "Mark an abbreviation in parentheses as part of the mention before it.": [
        "Include abbreviations in parentheses in the mention.",
        "Mark a name and the abbreviation in parentheses as one mention.",
    ],
    "Leave out an abbreviation in parentheses after a mention.": ["Do not mark an acronym in brackets."],
    'Leave out what follows "in" or "of" inside a mention.': [
        'Do not include anything after "of" or "in".', 'Drop everything that comes after "of" or "in".',
    ],
    "Leave out what follows prepositions inside a mention.": ["Exclude prepositional phrases."],
    'Mark names joined by "and" as one mention.': [
        'Mark "X and Y" as a single mention.', 'If two names are joined by "and", mark them as one mention.',
        'Tag coordinated names like "A and B" as one mention.', 'Tag two names linked by "and" as one span.',
    ],
    'Mark each of the names joined by "and" or "or" as a mention of its own.': [
        'Split names joined by "and" or "or".', 'Annotate names connected by "or" and "and" separately.',
    ],
    "Mark the longest of nested names.": ["Prefer the longest span.", "Of nested names mark the longest possible."],
}  # fmt: skip


@pytest.mark.parametrize(("line", "other"), [(k, v) for k, some in UNDERSTOOD.items() for v in some])
def test_paraphrases_mean_their_line(line: str, other: str) -> None:
    labels = ("problem", "treatment", "test")
    assert parse(line, labels).rules
    assert render(parse(line, labels).rules[0]) == line
    assert parse(other, labels) == parse(line, labels)


SOMETHING_ELSE = (
    """
Do not leave out articles.
Never leave out articles.
Avoid leaving out articles, do not skip them.
Leave out articles unless they belong to the name.
Leave out articles, except in titles.
Leave out articles or keep them.
Leave out articles. Keep them in titles.
Leave out articles where that is usual.
Leave out articles after "severe".
Leave out everything before "severe".
Leave out "a" at the start and "b" at the end.
Leave out "a" at the start, keep "b".
Leave out severe and mild at the start.
Leave out "symptoms".
Keep "acute".
Never leave out "severe" at the start of a problem.
Do not keep articles out.
Keep only "acute" at the start of a problem.
Only mark "x" as problem.
Always mark "x" as problem when it is new.
Do not always mark "x" as problem.
Always mark "x" as disorder.
Always mark "x" as problem or test.
Always mark "x".
Always mark problems in "x".
Mark "x" with "y" as problem.
Mark "x" but not "y" as problem.
Never mark "x" as disorder.
Never mark "x" without "y".
Do not mark problems that start with an article.
Do not mark a problem with "severe" at the start.
Mark abbreviations.
Do not mark abbreviations in parentheses as separate mentions.
Mark only abbreviations in parentheses.
Do not split names joined by "and".
Do not mark the longest span.
Mark the longest or the shortest span.
Some annotators leave out articles.
It is wrong to leave out articles.
We no longer leave out articles.
Should we leave out articles?
Leave out articles [always].
Leave out articles
  unless they are capitalised.
Mark names, for example "fever".
If "x" follows "y", mark it as problem.
Whenever "x" occurs in a test, mark it as problem.
Whenever "x" occurs, do not mark it as problem.
Always mark "x" in a mention as problem.
Always mark "x" in parentheses as problem.
Always mark "x" after a test as problem.
Do not stop before "of".
Do not always mark every "x" as problem.
Keep "acute" when it follows "severe".
Leave out two articles.
Leave out abbreviations.
Mark names joined by "and" as one mention or as two.
Mark coordinated names such as "cough and cold" in their full length.
Leave out "a" and keep "b" at the start of a problem.
Never mark "x" at the start of a text.
Do not do the following. Leave out "x" at the start of a problem.
Avoid this mistake. Always mark "x" as problem.
""".strip()
    .replace("\n  ", "\x00")
    .split("\n")
)


@pytest.mark.parametrize("line", SOMETHING_ELSE)
def test_what_says_something_else_is_no_rule(line: str) -> None:
    said = parse(line.replace("\x00", "\n  "), ("problem", "test"))
    assert (said.rules, said.read) == ((), 0)
    assert said.unread == 1


@pytest.mark.parametrize("before", ["Do not:", "In letters:", "## Mistakes", "Wrong examples:", "If there is room:"])
def test_a_line_under_a_condition_or_a_warning_is_no_rule(before: str) -> None:
    line = '- Leave out articles.\n- Always mark "x" as problem.'
    assert parse(f"{before}\n{line}", ("problem",)).rules == ()
    assert len(parse(f"Please follow these guidelines:\n{line}", ("problem",)).rules) == 2


@pytest.mark.parametrize("before", ["Do not:", "Never do the following:", "In letters:", "Wrong examples:"])
def test_lines_without_bullets_under_a_warning_are_no_rules_up_to_an_empty_line(before: str) -> None:
    said = parse(f'{before}\nLeave out articles.\nNever mark "y".\n\nAlways mark "x" as problem.', ("problem",))
    assert (said.rules, said.unread) == ((Rule("always", ("x",), "problem"),), 2)


def test_a_warning_without_a_colon_introduces_its_list_too() -> None:
    for before in ("Common mistakes", "Avoid the following.", "Never do these things"):
        assert parse(f'{before}\n- Always mark "x" as problem.', ("problem",)).rules == ()
    for before in ("Find them.", "Find every mention in this text", "My notes", 'Never mark "y"'):
        assert parse(f'{before}\n- Always mark "x" as problem.', ("problem",)).rules != ()


def test_the_next_line_may_take_a_rule_back() -> None:
    for after in ("Unless it is chronic.", "But not in letters.", "However, keep it in names."):
        assert parse(f"Leave out articles.\n{after}").rules == ()


def test_a_page_of_nonsense_is_read_in_no_time() -> None:
    """What a note or an optimizer puts into an instruction must not hang the engine."""
    with soon():
        for text in (
            '"' * 20_000,
            "problem " * 3000,
            "leave out " + "what that which is " * 3000,
            "' a" * 7000,
            "- x\n" * 5000,
            "mark 'a " * 5000,
            'as "problem" ' * 5000,
        ):
            assert parse(text, ("problem",)).rules == ()
        span = "severe" + " , ," * 3000 + " severe"
        obey(span, [Span(0, len(span), "problem", 0.5)], parse('Leave out "severe" at the start and end of a mention.'))


def test_the_built_in_instruction_and_prose_count_as_nothing() -> None:
    said = parse(f"{FindMentions.instructions}\n\nThe notes are from two wards.\n\n## What to mark\n", ("problem",))
    assert (said.rules, said.read, said.unread) == ((), 0, 0)


def test_of_the_sample_page_one_line_is_read_and_none_is_misread() -> None:
    said = parse(wardnotes.guidelines(), tuple(label.name for label in wardnotes.LABELS))
    assert [render(rule) for rule in said.rules] == ["Mark an abbreviation in parentheses as a mention of its own."]
    assert (said.read, said.unread) == (1, 22)


def test_the_page_for_people_shows_canonical_lines_of_every_kind_and_every_class() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "guidelines.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| [a-z ]+ \| `(.+?)` \|", page, re.MULTILINE)
    read = [parse(line, ("problem", "test")) for line in lines]
    assert [render(said.rules[0]) for said in read] == lines
    assert {said.rules[0].kind for said in read} == set(KINDS)
    named = set(re.findall(r"^\| ([a-z ]+) \| [^`\n]+ \|$", page, re.MULTILINE)) - {"class", "convention"}
    assert named == {*CLASSES, "determiners"}


def test_a_rule_that_no_line_can_say_is_refused() -> None:
    bad: list[dict[str, Any]] = [
        {"kind": "sometimes"}, {"kind": "always", "words": ("x",)}, {"kind": "never"}, {"kind": "never", "words": ("",)},
        {"kind": "never", "classes": ("articles",)}, {"kind": "longest", "words": ("x",)}, {"kind": "never", "words": ('"`“',)},
        {"kind": "drop_start", "classes": ("verbs",)}, {"kind": "drop_after", "classes": ("articles",)},
    ]  # fmt: skip
    for fields in bad:
        with pytest.raises(ValueError, match=r"rule|class|label|kind"):
            Rule(**fields)
    assert Rule("never", ("b", " a  c ", "b")).words == ("a c", "b")


PAIR = (Label("problem", "A sign."), Label("test", "A procedure."))


def asked(text: str, *lines: str, known: str = "", labels: tuple[Label, ...] = PAIR, shown: Any = ()) -> list[str]:
    """What the engine answers to a whole prompt, as `surface|label`."""
    form = resolve("ner_programs.formats", {"name": "tanl"}, labels=labels)
    instruction = "\n".join((f"{FindMentions.instructions}\n", *lines))
    system = prompt.render([("", instruction), ("labels", prompt.render_labels(labels)), ("answer", form.describe())])
    turns = [turn for user, done in shown for turn in (prompt.render([("text", user)]), form.write(user, done))]
    said = answer(system, [*turns, prompt.render([("knowledge", known), ("text", text)])])
    assert said is not None
    return [f"{e.text}|{e.label}" for e in align(text, form.read(said.text))]


EFFECTS = [
    ("The severe ache", "The severe ache", "Leave out articles.", ["severe ache|problem"]),
    ("The severe ache", "The severe ache", "Leave out articles and words of severity.", ["ache|problem"]),
    ("Mild to moderate ache", "Mild to moderate ache", "Leave out words of severity.", ["ache|problem"]),
    ("a very severe ache", "ache", 'Keep "severe" and "very" at the start of a mention.', ["very severe ache|problem"]),
    ("Foo syndrome now", "Foo", 'Keep "syndrome" at the end of a mention.', ["Foo syndrome|problem"]),
    ("ache of the knee", "ache of the knee", 'Leave out what follows "of".', ["ache|problem"]),
    ("ache of the knee was", "ache", 'Keep what follows "of".', ["ache of the knee|problem"]),
    (
        "knee ache (KA).",
        "knee ache",
        "Mark an abbreviation in parentheses separately.",
        ["knee ache|problem", "KA|problem"],
    ),
    ("knee ache (KA).", "knee ache; KA", "Include abbreviations in parentheses.", ["knee ache (KA)|problem"]),
    ("knee ache (KA).", "knee ache; KA", "Leave out abbreviations in parentheses.", ["knee ache|problem"]),
    ("ache and itch", "ache; itch", 'Mark names joined by "and" as one mention.', ["ache and itch|problem"]),
    ("ache and itch", "ache and itch", 'Split names joined by "and".', ["ache|problem", "itch|problem"]),
    ("ache, cough", "", 'Always mark "Cough" as test.', ["cough|test"]),
    ("knee ache", "ache", 'Always mark "knee ache" as test.', ["knee ache|test"]),
    ("We all have ALL.", "", 'Always mark "ALL" as problem.', ["ALL|problem"]),
    ("cold knee, Cold", "cold knee; Cold", 'Never mark "cold".', ["cold knee|problem"]),
    ("ache/itch", "ache/itch", 'Split names joined by "/".', ["ache|problem", "itch|problem"]),
    ("ache/itch", "ache; itch", 'Mark names joined by "/" as one mention.', ["ache/itch|problem"]),
    ("ache, severe", "ache, severe", 'Leave out "severe" at the end.', ["ache|problem"]),
    ("mild/severe ache", "mild/severe ache", "Leave out words of severity.", ["ache|problem"]),
]


NO_EFFECTS = [
    ("severe, today", "severe", "Leave out words of severity.", ["severe|problem"]),
    (
        "acute-on-chronic ache",
        "acute-on-chronic ache",
        'Leave out "acute" at the start.',
        ["acute-on-chronic ache|problem"],
    ),
    ("knee ache severe", "knee ache severe", 'Leave out "severe" at the end of a test.', ["knee ache severe|problem"]),
    ("knee ache (2 days).", "knee ache", "Mark an abbreviation in parentheses separately.", ["knee ache|problem"]),
    ("knee ache, aches", "knee ache", 'Always mark "ache" as test.', ["knee ache|problem"]),
    ("Cold", "Cold", 'Never mark "cold" as test.', ["Cold|problem"]),
    ("A. mellea", "A. mellea", "Leave out articles.", ["A. mellea|problem"]),
    ("2,4-xylenol", "2,4-xylenol", "Leave out numbers at the start.", ["2,4-xylenol|problem"]),
    ("5% loss", "5% loss", "Leave out numbers at the start.", ["5% loss|problem"]),
    ("sandy", "sandy", 'Split names joined by "and" or "s".', ["sandy|problem"]),
]


@pytest.mark.parametrize(("text", "known", "line", "expected"), EFFECTS + NO_EFFECTS)
def test_the_engine_obeys_through_the_prompt(text: str, known: str, line: str, expected: list[str]) -> None:
    surfaces = [surface for surface in known.split("; ") if surface]
    lines = "\n".join(f"- {surface}: problem" for surface in surfaces)
    before = asked(text, known=lines)
    assert before == [f"{surface}|problem" for surface in surfaces]
    assert asked(text, line, known=lines) == expected
    assert (before == expected) == ((text, known, line, expected) in NO_EFFECTS)


def test_a_kept_word_beats_a_class_that_is_left_out() -> None:
    lines = ("Leave out words of severity.", 'Keep "moderate" at the start of a problem.')
    assert asked("mild moderate ache", *lines, known="- mild moderate ache: problem") == ["moderate ache|problem"]


def test_a_rule_wins_over_what_the_demonstrations_teach() -> None:
    texts = [f"She has the {kind} ache now." for kind in ("knee", "hip", "arm", "leg", "ear", "back")]
    shown = [(t, [Mention(t[8:-5], "problem", 8)]) for t in texts]
    assert asked("She has the toe ache now.", shown=shown) == ["the toe ache|problem"]
    assert asked("She has the toe ache now.", "Leave out articles.", shown=shown) == ["toe ache|problem"]


@pytest.mark.parametrize(
    ("one", "two"), [("zebra", "yak"), ("Name", "A&B drug (x)"), ("start", "end"), ("test", "problem")]
)
def test_renaming_labels_in_the_whole_prompt_renames_the_answer(one: str, two: str) -> None:
    lines = [
        Rule("always", ("cough",), "{1}"), Rule("never", ("labs",), "{2}"), Rule("drop_start", (), "{1}", ("articles",)),
        Rule("short_apart", (), "{1}"), Rule("drop_end", ("level",), "{2}"), Rule("split", ("and",), "{1}"),
    ]  # fmt: skip
    text = "the ache (KA), labs, iron level, the level; cough; pox and flu"

    def said(one: str, two: str) -> list[str]:
        def named(said: str) -> str:
            return said.replace("{1}", one).replace("{2}", two)

        own = [render(Rule(r.kind, r.words, named(r.label), r.classes)) for r in lines]
        known = named("- the ache: {1}\n- labs: {2}\n- iron level: {2}\n- pox and flu: {1}\n- the level: {2}")
        return asked(text, *own, known=known, labels=(Label(one, "A."), Label(two, "B.")))

    found = said("problem", "test")
    expected = ["ache|1", "KA|1", "iron|2", "the|2", "cough|1", "pox|1", "flu|1"]
    assert found == [e.replace("1", "problem").replace("2", "test") for e in expected]
    assert said(one, two) == [e.replace("1", one).replace("2", two) for e in expected]


@pytest.mark.parametrize("name", names("ner_programs.formats"))
def test_no_line_stops_the_engine_in_any_format(name: str) -> None:
    form = resolve("ner_programs.formats", {"name": name}, labels=PAIR)
    lines = [render(Rule(kind, ("and",), "problem")) for kind in KINDS if not kind.startswith(("short", "long"))]
    parts = [("", "\n".join(lines)), ("labels", prompt.render_labels(PAIR)), ("answer", form.describe())]
    said = answer(prompt.render(parts), [prompt.render([("text", "this and that")])])
    assert said is not None
    assert [e.text for e in align("this and that", form.read(said.text))] == ["and"]
