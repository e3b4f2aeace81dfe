"""The stand-in's answer is made of the prompt, of its labels' names and its gold, and of nothing around it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import dspy
import pytest

import ner_programs
from experiments.corpora.wardnotes import LABELS, read
from ner_programs import Counts, Label, Mention, Pool, ProgramSpec, align, open_lm
from ner_programs.components import names, resolve
from ner_programs.demos import Demonstration
from ner_programs.lms import crf
from ner_programs.lms._answer import Answer, Refused
from ner_programs.lms._incontext import answer
from ner_programs.lms._worker import Workers
from ner_programs.lms.crf import code_files
from ner_programs.prompts import prompt
from tests.ner_programs.support import NASTY, NOTES, PLAIN, Prompt, Scripted, mentions_of, ontology

FORMATS = names("ner_programs.formats")
ROOT = Path(ner_programs.__file__).parents[1]


def told(seen: tuple[str, Sequence[str]]) -> Answer:
    said = answer(*seen)
    assert isinstance(said, Answer)
    return said


# Names of labels

A, B, C = "sign", "drug", "assay"
SHOWN = [
    ("Took Fooxil for the night cough, MRI done.", {"Fooxil": B, "night cough": A, "MRI": C}),
    ("The fever went, Quxa was stopped; CT tomorrow.", {"fever": A, "Quxa": B, "CT": C}),
    ("No MRI, no fever; Zetol (ZT) for head pain.", {"MRI": C, "fever": A, "Zetol": B, "head pain": A}),
    ("Given Fooxil the head pain and the cough were gone.", {"Fooxil": B, "head pain": A, "cough": A}),
    ("Slept well.", {}),
]
ASKED = (
    "MRI for the severe fever and night cough; given Norvex (NX), Barux and Zetol. No head pain; rash. A draft, EKG."
)
KNOWN = [
    ("Norvex", B), ("Barux", B), ("Barux", A), ("draft", f"tree, not a {A}"), ("EKG", C), ("rash", ""), ("fever", A),
]  # fmt: skip
NAMES = [("sign", "drug", "assay"), ("drug", "assay", "sign"), ("an", "zebra", "Mark"), ("x y", "A&B drug (x)", "always"),
         ("漢字", "O", "B-x")]  # fmt: skip


def ask(to: dict[str, str], form: Any) -> tuple[str, list[str]]:
    """The prompt, with the labels called as `to` says."""

    def known(text: str) -> str:
        lines = [(name, to.get(label, label)) for name, label in KNOWN if name in text]
        denied = [(name, f"tree, not a {to[A]}" if label.startswith("tree") else label) for name, label in lines]
        return "\n".join(f"- {name}" + (f": {label}" if label else "") for name, label in denied)

    def turn(text: str, gold: dict[str, str]) -> list[str]:
        mentions = [Mention(name, to[label]) for name, label in gold.items()]
        entities = align(text, mentions)
        fields = [("knowledge", known(text)), ("text", text)]
        return [prompt.render(fields), form.write(text, mentions_of(entities))]

    system = [
        ("", "Find every mention."),
        ("labels", "\n".join(f"- {to[label]}: what is marked as {n}" for n, label in enumerate((A, B, C)))),
        ("answer", form.describe()),
    ]
    turns = [message for text, gold in SHOWN for message in turn(text, gold)]
    return prompt.render(system), [*turns, turn(ASKED, {"fever": A, "MRI": C, "Norvex": B, "rash": B})[0]]


@pytest.mark.parametrize("format", FORMATS)
def test_other_names_of_labels_change_the_names_in_the_answer_and_nothing_else(format: str) -> None:
    found = []
    for names_ in NAMES:
        to = dict(zip((A, B, C), names_, strict=True))
        labels = tuple(Label(name, f"what is marked as {n}") for n, name in enumerate(names_))
        form: Any = resolve("ner_programs.formats", {"name": format}, labels=labels)
        said = told(ask(to, form))
        back = {name: plain for plain, name in to.items()}
        reading = form.read(said.text)
        assert reading.unreadable == 0
        found.append(([(m.text, back[m.label]) for m in reading], [logprob for _, logprob in said.logprobs]))
    assert len(found[0][0]) > 3
    assert len(set(found[0][1])) > 3
    assert all(one == found[0] for one in found[1:])


@pytest.mark.parametrize(
    "instruction", ["", "Never mark anything.", 'Always mark "tomorrow" as drug.\n\nLeave out articles.']
)
def test_the_instruction_changes_nothing(instruction: str) -> None:
    form: Any = resolve("ner_programs.formats", {"name": "tanl"}, labels=(Label(A), Label(B), Label(C)))
    system, turns = ask({label: label for label in (A, B, C)}, form)
    other = prompt.render([("", instruction), *prompt.parse(system)[1:]])
    assert told((other, turns)) == told((system, turns)) and other != system


# The gold of the demonstrations


Gold = Callable[[Demonstration, random.Random], tuple[Mention, ...]]


def other_labels(shown: Demonstration, rng: random.Random) -> tuple[Mention, ...]:
    return tuple(Mention(m.text, rng.choice([la.name for la in LABELS]), m.start) for m in shown.mentions)


def other_spans(shown: Demonstration, rng: random.Random) -> tuple[Mention, ...]:
    """As many words as before, of the same labels, anywhere."""
    words = shown.text.split()
    places = [shown.text.index(w) for w in words]
    found = [(rng.choice(places), m) for m in shown.mentions]
    return tuple(Mention(shown.text[at:].split()[0], m.label, at) for at, m in found)


def f1(gold: Gold, documents: Sequence[Demonstration], select: Any, form: Any) -> float:
    rng, system = random.Random(1), [("", "Find every mention."), ("labels", prompt.render_labels(LABELS))]
    counts = Counts()
    for document in documents:
        turns = []
        for shown in select(document.text):
            turns += [prompt.render([("text", shown.text)]), form.write(shown.text, gold(shown, rng))]
        seen = prompt.render([*system, ("answer", form.describe())]), [*turns, prompt.render([("text", document.text)])]
        right = align(document.text, document.mentions)
        counts += Counts.of(right, align(document.text, form.read(told(seen).text)))
    return counts.f1


def test_demonstrations_with_other_gold_destroy_the_answer() -> None:
    select = resolve("ner_programs.demos", {"name": "tfidf", "k": 16}, pool=Pool.of(read("train"), "sentence"))
    form = resolve("ner_programs.formats", {"name": "json_list"}, labels=LABELS)
    documents = list(Pool.of(read("dev"), "sentence"))[:25]
    right = f1(lambda shown, rng: tuple(shown.mentions), documents, select, form)
    labels, spans = (f1(gold, documents, select, form) for gold in (other_labels, other_spans))
    print(f"right {right:.3f}, labels at random {labels:.3f}, spans at random {spans:.3f}")
    assert right > 0.5
    assert labels < 0.5 * right
    assert spans < 0.3 * right


# What is around the prompt


@cache
def prompts() -> list[Prompt]:
    """What programs ask, of every format and every stage, about texts of all kinds."""
    texts = ("Pt has headache. MRI showed knee pain.", "No fever; CT done.", "".join(NASTY))
    made, shown = list[Prompt](), {"demos": {"name": "random", "k": 6}, "retriever": {"name": "walk"}}
    for settings in (*({"format": {"name": name}} for name in FORMATS), {"verify": {"name": "llm"}}, {"seeds": "lm"}):
        program = ProgramSpec(labels=PLAIN, unit="document", **shown, **settings).build(
            ontology(), Pool.of(NOTES, "document")
        )
        with dspy.context(lm=(lm := Scripted(lambda seen: '[{"text": "MRI", "label": "test"}]'))):
            for text in texts:
                program(text)
        made += lm.prompts
    return made


CHILD = """
import json, sys
sys.modules["experiments"] = sys.modules["optimizers"] = None  # to import them is an error
from dataclasses import asdict
from functools import cache
from ner_programs.lms._incontext import answer
for line in sys.stdin:
    print(json.dumps(asdict(answer(*json.loads(line)))))
loaded = {m: getattr(sys.modules[m], "__file__", None) for m in sys.modules}
print(json.dumps({m: f for m, f in loaded.items() if m.split(".")[0] in ("ner_programs", "kb", "experiments", "dspy")}))
"""


def plain(said: Answer | Refused) -> Any:
    return json.loads(json.dumps(asdict(said)))


def in_order(order: Sequence[int], ask: Callable[[str, Sequence[str]], Answer | Refused]) -> list[Any]:
    found = {n: plain(ask(prompts()[n].system, list(prompts()[n].turns))) for n in order}
    return [found[n] for n in range(len(prompts()))]


@pytest.fixture(scope="module")
def fresh() -> tuple[list[Any], dict[str, str | None]]:
    """What a new process answers that cannot import a corpus, and the modules that it then has."""
    lines = "".join(json.dumps([p.system, p.turns]) + "\n" for p in prompts())
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", CHILD]
    run = subprocess.run(command, env=env, cwd="/", input=lines, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    *said, loaded = (json.loads(line) for line in run.stdout.splitlines())
    return said, loaded


def test_a_process_that_cannot_import_a_corpus_says_the_same_and_is_as_sure(fresh: Any) -> None:
    answers, loaded = fresh
    assert "experiments" in loaded and loaded["experiments"] is None and "dspy" not in loaded
    assert answers == in_order(range(len(prompts())), answer)
    assert sum(len(a.get("logprobs", ())) > 1 for a in answers) > 4


def test_neither_the_order_of_prompts_nor_what_was_asked_before_matters(fresh: Any) -> None:
    answers, _ = fresh
    rng = random.Random(3)
    workers = Workers(1)
    try:
        for ask_one in (answer, workers.answer):
            order = [*range(len(prompts()))]
            rng.shuffle(order)
            assert in_order(order + order[::3], ask_one) == answers
    finally:
        workers.close()


@pytest.fixture(scope="module")
def two() -> Iterator[Any]:
    lm = open_lm("crf", processes=2)
    yield lm
    lm.meter.backend.close()


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_in_sync_and_async_in_this_process_and_in_others(two: Any, format: str) -> None:
    settings = {"format": {"name": format}, "demos": {"name": "random", "k": 6}, "retriever": {"name": "walk"}}
    program = ProgramSpec(labels=PLAIN, unit="sentence", **settings).build(ontology(), Pool.of(NOTES, "sentence"))
    text, found = "Pt has headache. MRI showed knee pain. No fever; CT done.", []
    for lm in (open_lm(), two):
        with dspy.context(lm=lm, disable_history=True):
            said = [program(text), asyncio.run(program.acall(text))]
        assert all(one.unreadable == one.unanswered == 0 for one in said)
        found += [[(e, e.score) for e in one.entities] for one in said]
    assert len(found[0]) > 1 and all(score for _, score in found[0])
    assert all(one == found[0] for one in found[1:])


def test_the_model_name_is_about_what_the_code_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, docstrings and layout change nothing of it; a changed instruction in any file does."""
    copies = [tmp_path / f"{n}.py" for n, _ in enumerate(code_files())]
    sources = [file.read_text(encoding="utf-8") for file in code_files()]

    def hashed(change: Callable[[str], str]) -> str:
        for copy, source in zip(copies, sources, strict=True):
            copy.write_text(change(source), encoding="utf-8")
        with monkeypatch.context() as other:
            other.setattr(crf, "code_files", lambda: copies)
            return crf.code_hash.__wrapped__()

    as_it_is = crf.code_hash()
    assert hashed(lambda source: f"# a comment\n{source}\n\n\n# and another\n") == as_it_is
    assert hashed(lambda source: source.replace('"""', '"""Says something else. ', 1)) == as_it_is
    assert hashed(lambda source: f"{source}\nextra = 1\n") != as_it_is
    assert crf.instructions("most = 1") != crf.instructions("most = 2")


def test_the_model_name_covers_every_file_that_an_answer_comes_from(fresh: Any) -> None:
    loaded = {Path(file) for name, file in fresh[1].items() if file and name.split(".")[0] in ("ner_programs", "kb")}
    assert len(loaded) > 20
    assert sorted(str(f.relative_to(ROOT)) for f in loaded - set(code_files())) == []
