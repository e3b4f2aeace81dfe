"""The offline engine knows the prompt and nothing else: no corpus, no gold, no knowledge base, no label name of its own."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import dspy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pytest_socket import SocketConnectBlockedError

import ner_programs
from ner_programs import Mention, Pool, ProgramSpec, align, prompt
from ner_programs.components import names, resolve
from ner_programs.lms._answer import Answer
from ner_programs.lms._incontext import answer, hints
from ner_programs.verifiers._verdicts import Verdicts
from tests.ner_programs.support import LABELS, NASTY, NOTES, PLAIN, TEXTS, Prompt, Scripted, labels_of, ontology

TEXT = "Pt has headache. MRI showed knee pain."
FORMATS = names("ner_programs.formats")


def asked(text: str = TEXT, verify: str | None = None, labels: dict[str, str] = PLAIN, **settings: Any) -> list[Prompt]:
    """The prompts that a program makes for `text`, answered by the engine so that verification has candidates."""
    spec = ProgramSpec(
        labels=labels, unit="document", demos={"name": "random", "k": 6}, retriever={"name": "walk"},
        verify={"name": "llm", "mode": verify} if verify else None, **settings,
    )  # fmt: skip
    program = spec.build(ontology(), Pool.of(NOTES, "document"))
    if verify:
        verifier = program.verify.verifier  # type: ignore[union-attr]
        found = [
            align(d.text, [Mention("MRI", "problem"), Mention("Pt", "test"), Mention("fever", "problem")])
            for d in NOTES
        ]
        verifier.predict.demos = [
            dspy.Example(**verifier.demonstration(d.text, "", f, d.entities))
            for d, f in zip(NOTES, found, strict=True)
            if f
        ]
    lm = Scripted(lambda seen: answer(seen.system, seen.turns).text)
    with dspy.context(lm=lm):
        program(text)
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


@pytest.mark.parametrize("verify", [None, "reject", "full"])
@pytest.mark.parametrize("name", FORMATS)
def test_renaming_labels_in_the_prompt_renames_the_answer(name: str, verify: str | None) -> None:
    seen = asked(format={"name": name}, verify=verify)[-1]

    def renamed(text: str) -> str:
        return text.replace("problem", "qqq").replace("test", "problem").replace("qqq", "zebra")

    before = answer(seen.system, seen.turns).text
    after = answer(renamed(seen.system), [renamed(turn) for turn in seen.turns]).text
    assert after == renamed(before)
    assert before != "none"


CHILD = """
import json, sys
from dataclasses import asdict
from ner_programs.lms._incontext import answer
loaded = sorted(m for m in sys.modules if m.split(".")[0] in
    ("dspy", "kb", "experiments", "optimizers", "numpy", "sklearn", "networkx", "mlflow", "datasets", "litellm"))
prompts = json.load(sys.stdin)
print(json.dumps({"loaded": loaded, "answers": [asdict(answer(*p)) for p in prompts]}))
"""


def test_a_process_that_never_saw_a_corpus_answers_the_same(tmp_path: Path) -> None:
    prompts = [p for name in FORMATS for verify in (None, "full") for p in asked(format={"name": name}, verify=verify)]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(ner_programs.__file__).parents[1])}
    run = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=tmp_path, env=env, input=json.dumps([[p.system, p.turns] for p in prompts]),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said["loaded"] == []
    assert said["answers"] == [json.loads(json.dumps(asdict(answer(p.system, p.turns)))) for p in prompts]
    assert len({a["text"] for a in said["answers"]}) > 4
    assert list(tmp_path.iterdir()) == []


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


# Verification


@pytest.mark.parametrize("mode", ["reject", "full"])
def test_verification_prompts_are_answered_for_every_candidate(mode: Any) -> None:
    seen = asked("MRI for fever. Pt well. CT done.", verify=mode)[-1]
    candidates = seen.asked["candidates"].split("\n")
    verdicts = Verdicts(labels_of(PLAIN), mode).read(answer(seen.system, seen.turns).text)
    assert verdicts.unreadable == 0
    assert candidates != ["(none)"]
    assert {v.number for v in verdicts} <= set(range(1, len(candidates) + 1))
    if mode == "full":
        assert len(verdicts) == len(candidates)


def test_verification_learns_from_the_verdicts_that_the_prompt_shows() -> None:
    form = Verdicts(labels_of(PLAIN), "full")
    system = prompt.render([("", "x"), ("labels", prompt.render_labels(labels_of(PLAIN))), ("answer", form.describe())])
    turns = []
    for n in range(6):
        turns += [
            prompt.render([("text", f"Pt {n} had MRI"), ("candidates", '1 "Pt" | problem\n2 "MRI" | problem')]),
            "1 reject\n2 label test",
        ]
    turns.append(prompt.render([("text", "Pt 9 had MRI"), ("candidates", '1 "MRI" | problem\n2 "Pt" | problem')]))
    assert answer(system, turns).text == "1 label test\n2 reject"
    assert answer(system, turns[-1:]).text == "1 keep\n2 keep"


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


@settings(max_examples=200)
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
    assert isinstance(answer(system, turns), Answer | None)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=25)
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
