"""The law of formats on hostile text, and tolerance for what models really answer. New formats are tested by being there."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ner_programs import Entity, Label, Mention, align
from ner_programs.components import names, resolve
from ner_programs.formats import Format
from tests.effort import soon
from tests.laws import EXTENDING, law
from tests.ner_programs.support import LABELS, NASTY, annotated, labels_of, mentions_of

EVERY = names("ner_programs.formats")
A_FORMAT = f"{EXTENDING}#a-format"
TEXT = "No knee pain, but fever. CT scan done (knee stable)."
GOLD = tuple(
    Entity.of(TEXT, TEXT.index(s), TEXT.index(s) + len(s), label)
    for s, label in [("knee pain", "problem"), ("fever", "problem"), ("CT scan", "test"), ("knee", "test")]
)[:3]


def build(name: str, labels: dict[str, str] | None = None) -> Format:
    made = resolve("ner_programs.formats", {"name": name}, labels=labels_of(LABELS if labels is None else labels))
    assert isinstance(made, Format)
    return made


def is_inline(form: Format) -> bool:
    try:
        return form.read(form.write("a b", [Mention("b", "test", 2)]))[0].start == 2
    except Exception:  # its tests say what is wrong
        return False


def built() -> dict[str, Format]:
    """Return the formats that can be built; `test_a_format_can_be_built` names the others."""
    forms = {}
    for name in EVERY:
        with suppress(Exception):
            forms[name] = build(name)
    return forms


FORMS = built()
NAMES = list(FORMS)
INLINE = [name for name in NAMES if is_inline(FORMS[name])]
LISTS = [name for name in NAMES if name not in INLINE]


def pairs(mentions: object) -> list[tuple[str, str]]:
    return [(m.text, m.label) for m in mentions]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", EVERY)
@law("A format has the methods `describe`, `write`, `read`, `schema` and `grammar`.", A_FORMAT)
def test_a_format_can_be_built(name: str) -> None:
    made = resolve("ner_programs.formats", {"name": name}, labels=labels_of(LABELS))
    lacking = [part for part in ("describe", "write", "read", "schema", "grammar") if not hasattr(made, part)]
    assert not lacking, f"what build returns has no {', '.join(lacking)}"


def test_both_kinds_of_format_are_tested() -> None:
    assert {"tanl", "tagged"} <= set(INLINE)
    assert {"json_list", "dice"} <= set(LISTS)


@pytest.mark.parametrize("name", INLINE)
@law("An inline format gives back the entities: `align(text, read(write(text, mentions)))`.", A_FORMAT)
@given(drawn=annotated())
@example(drawn=("```\na aa a\n```", (Entity.of("```\na aa a\n```", 9, 10, "problem"),)))
@example(drawn=("  ```a\n b ```", (Entity.of("  ```a\n b ```", 5, 6, "test"),)))
@example(drawn=("``` a a", (Entity.of("``` a a", 6, 7, "test"),)))
def test_law_of_inline_formats(name: str, drawn: tuple[str, tuple[Entity, ...]]) -> None:
    text, entities = drawn
    reading = FORMS[name].read(FORMS[name].write(text, mentions_of(entities)))
    assert [(m.start, m.text, m.label) for m in reading] == [(e.start, e.text, e.label) for e in entities]
    assert align(text, reading) == entities
    assert reading.unreadable == 0


@pytest.mark.parametrize("name", LISTS)
@law(
    "A list format gives back every mention, those of one label in the order of the text, whatever characters are in them.",
    A_FORMAT,
)
@given(drawn=annotated())
@example(drawn=("a \\", (Entity.of("a \\", 0, 3, "problem"),)))
def test_law_of_list_formats(name: str, drawn: tuple[str, tuple[Entity, ...]]) -> None:
    text, entities = drawn
    reading = FORMS[name].read(FORMS[name].write(text, mentions_of(entities)))
    assert Counter(pairs(reading)) == Counter((e.text, e.label) for e in entities)
    for label in LABELS:
        assert [m.text for m in reading if m.label == label] == [e.text for e in entities if e.label == label]
    assert reading.unreadable == 0


@pytest.mark.parametrize("name", LISTS)
@law(
    "A list format gives back every mention, those of one label in the order of the text, whatever characters are in them.",
    A_FORMAT,
)
@given(surface=st.lists(st.sampled_from(NASTY), min_size=1, max_size=6).map("".join).filter(str.strip))
@example(surface="a \n")
@example(surface=" a\\")
@example(surface="<ENTITY>\n")
@example(surface="foo..")
def test_lists_give_back_any_surface_even_with_blanks_at_its_edges(name: str, surface: str) -> None:
    said = [Mention(surface, "problem"), Mention("x", "problem"), Mention(surface, "problem"), Mention("y", "test")]
    assert pairs(FORMS[name].read(FORMS[name].write("", said))) == pairs(said)


@pytest.mark.parametrize("name", LISTS)
@given(data=st.data())
def test_lists_are_aligned_up_to_which_occurrence(name: str, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.sampled_from(["knee", "pain", "ct", "no"]), max_size=12))
    text, offsets, entities = " ".join(words), [], []
    for n, word in enumerate(words):
        offsets.append(sum(len(w) + 1 for w in words[:n]))
        if data.draw(st.booleans()):
            entities.append(Entity.of(text, offsets[n], offsets[n] + len(word), "test"))
    found = align(text, FORMS[name].read(FORMS[name].write(text, mentions_of(entities))), policy="ordered")
    assert Counter(pairs(found)) == Counter(pairs(entities))


@pytest.mark.parametrize("name", NAMES)
@law("Labels that differ only in case or signs stay apart. Otherwise a label is recognised in any case.", A_FORMAT)
def test_labels_that_differ_in_case_or_signs_only_stay_apart(name: str) -> None:
    labels = ["a+b", "ab", "AB", "a b", "gene", "Gene", "Gene (x)", "T-cell", "T cell", "1.2", "12"]
    form = build(name, {label: f"Means {label}: that." for label in labels})
    text = " ".join(f"w{n}" for n in range(len(labels)))
    starts = [3 * n + max(0, n - 10) for n in range(len(labels))]
    entities = [Entity.of(text, at, at + len(w), la) for at, w, la in zip(starts, text.split(), labels, strict=True)]
    assert sorted(align(text, form.read(form.write(text, mentions_of(entities))))) == entities


@pytest.mark.parametrize("name", NAMES)
@law("Mentions without `start` are written in the order in which they are given.", A_FORMAT)
def test_mentions_without_a_place_keep_their_order(name: str) -> None:
    """A demonstration that was bootstrapped from a list answer knows no offsets."""
    text = "A long finding here, and fever."
    said = [Mention("long finding", "problem"), Mention("fever", "problem")]
    assert pairs(FORMS[name].read(FORMS[name].write(text, said))) == pairs(said)


@pytest.mark.parametrize("name", INLINE)
def test_overlapping_mentions_are_written_longest_first(name: str) -> None:
    said = [Mention("pain", "test", 5), Mention("knee pain", "problem", 0), Mention("absent", "test")]
    reading = FORMS[name].read(FORMS[name].write("knee pain", said))
    assert pairs(reading) == [("knee pain", "problem")]


@pytest.mark.parametrize("name", NAMES)
@law("Nothing found is an answer too: `read(write(text, []))` is empty, with nothing unreadable.", A_FORMAT)
def test_nothing_found(name: str) -> None:
    form = FORMS[name]
    for text in (TEXT, "", "[x] | <y>"):
        reading = form.read(form.write(text, []))
        assert list(reading) == []
        assert reading.unreadable == 0


@pytest.mark.parametrize("name", NAMES)
@law("`describe` names every label of the spec, and no other.", A_FORMAT)
def test_describe_names_every_label_and_goes_through_a_prompt(name: str) -> None:
    said = FORMS[name].describe()
    missing = [label for label in LABELS if label not in said]
    assert not missing, f"describe() does not name the labels {missing}"
    other = build(name, {"zzz": ""}).describe()
    assert "problem" not in other, "describe() names the label 'problem', which this spec does not have"
    assert "zzz" in other, "describe() does not name the label 'zzz'"


# What models really answer


def written(name: str) -> str:
    return FORMS[name].write(TEXT, mentions_of(GOLD))


MANGLED: dict[str, Callable[[str], str]] = {
    "fenced": lambda a: f"```\n{a}\n```",
    "fenced with a language": lambda a: f"```json\n{a}\n```",
    "fenced and cut": lambda a: f"```text\n{a}",
    "fenced in blanks": lambda a: f"\n\n```\n{a}\n```\n\n",
    "upper-case labels": lambda a: a.replace("problem", "PROBLEM").replace("test", "TEST"),
    "labels with signs": lambda a: a.replace("A&B drug (x)", "A&B_drug x"),
    "the prompt echoed": lambda a: f"### text\n{TEXT}\n### answer\n{a}",
    "blank lines around": lambda a: f"\n\n{a}\n\n",
    "chatter behind": lambda a: f"{a}\n\nI hope this helps!",
    "windows line ends": lambda a: a.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("how", MANGLED)
@pytest.mark.parametrize("name", NAMES)
@law("A code fence, an echo of the prompt, blank lines or talk around an answer change nothing.", A_FORMAT)
def test_mangled_answers_are_read(name: str, how: str) -> None:
    reading = FORMS[name].read(MANGLED[how](written(name)))
    assert Counter(pairs(reading)) == Counter(pairs(GOLD))
    assert align(TEXT, reading) == GOLD


RESPACED = [
    ("tanl", "No [knee pain|problem], but [  fever  |  problem  ]. [ CT scan |test ] done (knee stable)."),
    ("tanl", "No [ knee pain | problem\n], but [ fever | Problem ] . [CT scan | test] done."),
    ("tagged", "No <span class='problem'> knee pain </span>, but <span  class = problem>fever</span>. <test>CT scan</test>"),
    ("tagged", 'No <SPAN class="Problem">knee pain</SPAN>, but <Problem>fever</Problem>. <span class="test">CT scan</span >'),
    ("json_list", json.dumps([{"label": e.label, "text": e.text, "why": "x"} for e in GOLD], indent=4)),
    ("json_list", json.dumps({"mentions": [{"text": e.text, "label": e.label} for e in GOLD]})),
    ("json_list", "\n".join(json.dumps({"text": e.text, "label": e.label}) for e in GOLD)),
    ("json_list", json.dumps({"a": [{"result": {"mentions": [{"text": e.text, "label": e.label}]}} for e in GOLD]})),
    ("dice", "entity type is  problem. entity is knee pain[SEP]fever.\nEntity type is TEST. Entity is  CT scan"),
    ("dice", "Entity type is problem. It is\nsomething else. Entity is knee pain [sep] fever."
             "\n\nEntity type is test.Entity is CT scan."),
    ("dice", "Sure! Entity type is test. Entity is CT scan. Entity type is problem. Entity is knee pain [SEP] [SEP] fever . "),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer"), RESPACED)
def test_respaced_and_reordered_answers_are_read(name: str, answer: str) -> None:
    assert align(TEXT, FORMS[name].read(answer)) == GOLD


@pytest.mark.parametrize("name", NAMES)
@law("An answer that is cut changes at most the mention that was cut: it may be missing, or be read in part.", A_FORMAT)
def test_truncated_answers_lose_only_what_was_cut(name: str) -> None:
    answer, form = written(name), FORMS[name]
    whole = pairs(form.read(answer))
    for at in range(len(answer)):
        reading = form.read(answer[:at])
        assert len([p for p in pairs(reading) if p not in whole]) <= 1  # at most the one that was cut
        assert {(e.text, e.label) for e in align(TEXT, reading)} <= {*whole, ("knee", "problem"), ("CT", "test")}
    kept = pairs(form.read(answer[: int(len(answer) * 0.8)]))
    assert whole[0] in kept


@pytest.mark.parametrize("name", NAMES)
@law("A mention whose label the spec does not have is dropped and counted.", A_FORMAT)
def test_unknown_labels_are_counted_and_dropped(name: str) -> None:
    wide, narrow = build(name, {"problem": "", "test": "", "person": ""}), build(name, {"problem": "", "test": ""})
    text = "Ann has pain, a fever, pain. Ann had a CT, no pain."
    spans = [("Ann", 0, "person"), ("pain", 8, "problem"), ("CT", 39, "test"), ("pain", 46, "problem")]
    entities = [Entity.of(text, at, at + len(s), label) for s, at, label in spans]
    reading = narrow.read(wide.write(text, mentions_of(entities)))
    assert pairs(reading) == [(e.text, e.label) for e in entities[1:]] or name in LISTS
    assert Counter(pairs(reading)) == Counter(pairs(entities[1:]))
    assert reading.unreadable >= 1
    if name in INLINE:
        assert align(text, reading) == tuple(entities[1:]), "an unknown mark shifts the offsets behind it"


@pytest.mark.parametrize("name", NAMES)
@law(
    "`read` never raises, and gives only labels of the spec: what it cannot read, an empty answer included, it counts.",
    A_FORMAT,
)
def test_empty_answers(name: str) -> None:
    for answer in ("", " ", "\n", "``````", "```", "```\n```"):
        assert list(FORMS[name].read(answer)) == []


@pytest.mark.parametrize("name", LISTS)
@law(
    "`read` never raises, and gives only labels of the spec: what it cannot read, an empty answer included, it counts.",
    A_FORMAT,
)
def test_prose_in_place_of_a_list_is_counted(name: str) -> None:
    assert FORMS[name].read("I cannot help with that.").unreadable == 1
    assert FORMS[name].read("").unreadable == 1


@pytest.mark.parametrize("name", NAMES)
@law(
    "`read` never raises, and gives only labels of the spec: what it cannot read, an empty answer included, it counts.",
    A_FORMAT,
)
@given(answer=st.lists(st.sampled_from(NASTY) | st.text(max_size=8), max_size=25).map("".join))
def test_reading_garbage_never_raises(name: str, answer: str) -> None:
    reading = FORMS[name].read(answer)
    assert all(m.label in LABELS and m.text.strip() for m in reading)
    assert reading.unreadable >= 0
    align(TEXT, reading)


DEEP = ['{"a":' * 3000, '{"a":[' * 300 + "]}" * 300, "[" * 9000, "[ a " * 3000, "<span>" * 3000, "<problem" + " " * 9000, 
        "{" * 9000,
        '{"text": ' + "1" * 5000 + "}", "\\" * 9001, "Entity type is " * 2000, "[SEP]" * 3000, "```" * 3000, 
        "&" * 9000, "| problem ]" * 3000,
        "&#" + "9" * 5000 + ";<span>x</span>", "[ a |" + " " * 9000]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("answer", DEEP, ids=[a[:12] for a in DEEP])
@law(
    "`read` never raises, and gives only labels of the spec: what it cannot read, an empty answer included, it counts.",
    A_FORMAT,
)
def test_deep_and_long_answers_are_read_in_time(name: str, answer: str) -> None:
    with soon():
        reading = FORMS[name].read(answer)
    assert len(reading) < 3001


@pytest.mark.parametrize("name", NAMES)
def test_one_depth_of_json_is_as_good_as_another(name: str) -> None:
    deep = '{"a":' * 400 + '[{"text": "fever", "label": "problem"}]' + "}" * 400
    found = pairs(FORMS[name].read(deep))
    assert found == ([("fever", "problem")] if name == "json_list" else [])


@pytest.mark.parametrize("name", NAMES)
@law("`schema` is None, or the schema of an answer that `read` reads.", A_FORMAT)
def test_schema_is_none_or_describes_what_is_read(name: str) -> None:
    schema = FORMS[name].schema()
    if schema is None:
        return
    item = schema["properties"]["mentions"]["items"]
    assert item["properties"]["label"]["enum"] == list(LABELS)
    assert set(item["required"]) == set(item["properties"])
    held = json.dumps({"mentions": [{"text": "fever", "label": "problem"}]})
    assert pairs(FORMS[name].read(held)) == [("fever", "problem")]


@pytest.mark.parametrize("name", NAMES)
def test_label_named_like_a_keyword(name: str) -> None:
    form = resolve(
        "ner_programs.formats", {"name": name}, labels=[Label("Entity is", "x"), Label("span", ""), Label("text", "")]
    )
    said = [Mention("fever", "Entity is", 0), Mention("pain", "span", 6), Mention("CT", "text", 11)]
    assert pairs(form.read(form.write("fever pain CT", said))) == pairs(said)
