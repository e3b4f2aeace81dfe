"""The stand-in knows the prompt and nothing else: no corpus, no gold, no knowledge base, no label name of its own."""

import asyncio
import json
import os
import socket
from itertools import pairwise
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.utils.exceptions import LMUnsupportedFeatureError
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pytest_socket import SocketConnectBlockedError

import ner_programs
from ner_programs import LMSetupError, Mention, Pool, ProgramSpec, align
from ner_programs.components import names, resolve
from ner_programs.lms import open_backend
from ner_programs.lms._answer import Answer, Refused
from ner_programs.lms._incontext import answer
from ner_programs.prompts import prompt
from ner_programs.tagger.features import hints
from ner_programs.verifiers._verdicts import Verdicts
from tests.effort import soon
from tests.ner_programs.support import LABELS, NASTY, NOTES, PLAIN, TEXTS, Prompt, Scripted, labels_of, ontology

TEXT = "Pt has headache. MRI showed knee pain."
FORMATS = names("ner_programs.formats")


def asked(text: str = TEXT, labels: dict[str, str] = PLAIN, **settings: Any) -> list[Prompt]:
    """The prompts that a program makes for `text`."""
    spec = ProgramSpec(
        labels=labels, unit="document", demos={"name": "random", "k": 6}, retriever={"name": "walk"}, **settings
    )
    lm = Scripted(lambda seen: "none")
    with dspy.context(lm=lm):
        spec.build(ontology(), Pool.of(NOTES, "document"))(text)
    return lm.prompts


@pytest.mark.parametrize("name", FORMATS)
def test_it_answers_in_the_format_that_the_prompt_describes(name: str) -> None:
    (seen,) = asked(format={"name": name})
    form = resolve("ner_programs.formats", {"name": name}, labels=labels_of(PLAIN))
    found = align(TEXT, form.read(answer(seen.system, seen.turns).text))
    assert {("headache", "problem"), ("MRI", "test")} <= {(e.text, e.label) for e in found}


@pytest.mark.parametrize("name", FORMATS)
def test_definitions_of_any_form_do_not_confuse_it(name: str) -> None:
    (seen,) = asked(format={"name": name}, labels={"problem": "Includes the following:", "test": " a\n- b: c.. "})
    form = resolve("ner_programs.formats", {"name": name}, labels=labels_of(dict(prompt_labels(seen))))
    assert align(TEXT, form.read(answer(seen.system, seen.turns).text))


def prompt_labels(seen: Prompt) -> list[tuple[str, str]]:
    return [(la.name, la.definition) for la in prompt.parse_labels(dict(prompt.parse(seen.system))["labels"])]


@pytest.mark.parametrize("name", FORMATS)
def test_renaming_labels_in_the_prompt_renames_the_answer(name: str) -> None:
    (seen,) = asked(format={"name": name})

    def renamed(text: str) -> str:
        return text.replace("problem", "qqq").replace("test", "problem").replace("qqq", "zebra")

    before = answer(seen.system, seen.turns).text
    after = answer(renamed(seen.system), [renamed(turn) for turn in seen.turns]).text
    assert after == renamed(before)
    assert before != "none"


def test_demonstrations_are_all_it_learns_from() -> None:
    (seen,) = asked()
    fixed = [la.name for la in labels_of(PLAIN)]
    first, last = answer(seen.system, seen.turns).text, prompt.render([("text", TEXT)])
    assert json.loads(first)
    assert answer(seen.system, [last]).text == "[]", "without demonstrations and knowledge it knows nothing"
    known = prompt.render([("knowledge", "- headache: problem\n- MRI: test\n- showed: bird"), ("text", TEXT)])
    assert json.loads(answer(seen.system, [known]).text) == [
        {"text": "headache", "label": fixed[0]},
        {"text": "MRI", "label": fixed[1]},
    ]


@given(text=TEXTS, surface=st.lists(st.sampled_from(NASTY), min_size=1, max_size=3).map("".join))
@example(text="a knee  \n pain b", surface="knee pain")
def test_hints_lie_in_the_text_and_do_not_overlap(text: str, surface: str) -> None:
    lines = f"- {surface}: problem\n- knee pain: test; x\n- pain: problem"
    found = hints(text, lines, labels_of(PLAIN))
    assert all(0 <= h.start < h.end <= len(text) for h in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


def test_hints_are_found_across_line_breaks_and_whole_words_only() -> None:
    text = "knee\n pain, kneeling, knee painful, (knee pain)"
    assert [text[h.start : h.end] for h in hints(text, "- knee pain: problem", labels_of(PLAIN))] == [
        "knee\n pain",
        "knee pain",
    ]


# What it refuses


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"verify": {"name": "llm", "mode": "full"}}, "verify llm needs a language model"),
        ({"verify": {"name": "llm", "mode": "reject"}}, "verify llm needs a language model"),
        ({"retriever": {"name": "walk"}, "seeds": "lm"}, "all else needs a language model"),
    ],
)
def test_other_stages_are_refused_in_a_line(settings: dict[str, Any], reason: str) -> None:
    made = ProgramSpec(labels=PLAIN, unit="document", demos={"name": "random", "k": 6}, **settings).build(
        ontology(), Pool.of(NOTES, "document")
    )
    with dspy.context(lm=ner_programs.open_lm(), disable_history=True):
        with pytest.raises(LMSetupError, match=reason) as error:
            made(TEXT)
        with pytest.raises(LMSetupError, match=reason):
            asyncio.run(made.acall(TEXT))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter(), dspy.JSONAdapter(), dspy.XMLAdapter()])
def test_it_writes_no_instruction(adapter: Any) -> None:
    with (
        dspy.context(lm=ner_programs.open_lm(), adapter=adapter, disable_history=True),
        pytest.raises(LMUnsupportedFeatureError, match=r"needs a language model that writes: give \[lm.prompt\]"),
    ):
        dspy.Predict("instruction -> better_instruction")(instruction="Mark knees.")


def test_it_says_what_it_can() -> None:
    backend = open_backend({"model": "crf"})
    assert (backend.writes, backend.logprobs, backend.supports_schema, backend.local) == (False, True, False, True)
    assert backend.model.startswith("crf/in-context-crf-")


# Fuzzing

PIECES = st.sampled_from([
    "### labels\n", "### answer\n", "### text\n", "### candidates\n", "### knowledge\n", "- problem: x\n", "- test\n", "- : \n",
    '1 "a\\x" | problem\n', '2 "MRI" | zzz\n', '1 "\t" | test\n', "1 keep\n", "9 reject\n", "1 label test\n",
    "Your output fields are:\n1. `instruction`\n",
    '\n1 "\\ud800" | problem\n', "MRI of knee.\n", "- MRI: test\n",
    *(resolve("ner_programs.formats", {"name": n}, labels=labels_of(PLAIN)).describe() + "\n" for n in FORMATS),
    *(Verdicts(labels_of(PLAIN), mode).describe() + "\n" for mode in ("full", "reject")),
    '[{"text": "MRI", "label": "test"}]', "[ MRI | test ]",
])  # fmt: skip
MESSAGES = st.lists(PIECES | st.sampled_from(NASTY) | st.text(max_size=4), max_size=8).map("".join)
LABELLED = "### labels\n- problem: x\n- test\n"


@given(
    system=MESSAGES | MESSAGES.map(lambda m: LABELLED + m),
    turns=st.lists(MESSAGES | MESSAGES.map(lambda m: f"### text\n{m}"), max_size=4),
)
@example(system="### labels\n- a", turns=["### text\nx"])
@example(system="### labels\n- a", turns=["### text\nx\n### candidates\n(none)"])
@example(system=LABELLED, turns=["### text\nx", "1 keep", '### text\nx\n### candidates\n1 "\\x" | a'])
@example(system=LABELLED, turns=[
    '### text\nx\n### candidates\n1 "\\ud800" | a\n2 "b" | a', "1 keep\n2 reject",
    '### text\n\ud800\n### candidates\n1 "\\ud800" | a',
])  # fmt: skip
@example(system="", turns=[])
def test_no_prompt_whatever_raises(system: str, turns: list[str]) -> None:
    assert isinstance(answer(system, turns), Answer | Refused)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=12)
@given(texts=st.lists(TEXTS, min_size=2, max_size=3), data=st.data())
def test_well_formed_prompts_over_any_text_get_readable_answers(
    name: str, texts: list[str], data: st.DataObject
) -> None:
    form = resolve("ner_programs.formats", {"name": name}, labels=labels_of(LABELS))
    system = prompt.render(
        [("", "x"), ("labels", prompt.render_labels(labels_of(LABELS))), ("answer", form.describe())]
    )
    turns = []
    for text in texts:
        words = [Mention(w, data.draw(st.sampled_from(list(LABELS)))) for w in text.split()[:2]]
        marked = [Mention(e.text, e.label, e.start) for e in align(text, words)]
        turns += [prompt.render([("text", text)]), form.write(text, marked)]
    said = form.read(answer(system, turns[:-1]).text)
    assert said.unreadable == 0
    assert all(m.text in texts[-1] for m in said)


@pytest.mark.parametrize("word", ["x ", "pain-"])
def test_a_mention_of_thousands_of_words_takes_no_time_by_their_square(word: str) -> None:
    labels, text = labels_of({"problem": ""}), (word * 6_000).strip()
    form = resolve("ner_programs.formats", {"name": "tagged"}, labels=labels)
    system = prompt.render([("", "Find."), ("labels", prompt.render_labels(labels)), ("answer", form.describe())])
    asked = prompt.render([("text", text)])
    with soon():
        said = answer(system, [asked, form.write(text, [Mention(text, "problem", 0)]), asked])
    assert isinstance(said, Answer) and form.read(said.text).unreadable == 0


# Only the prompt: not the network either


@pytest.mark.filterwarnings("ignore:A test tried to use socket:UserWarning")
def test_sockets_are_closed_but_for_loopback() -> None:
    with pytest.raises(SocketConnectBlockedError), socket.socket() as outside:
        outside.connect(("192.0.2.1", 80))
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())


def test_nothing_is_written_in_the_users_home() -> None:
    home = str(Path.home())
    for name in ("DSPY_CACHEDIR", "NERC_CACHE", "NERC_HOME"):
        assert not os.environ[name].startswith(home)
