"""Programs over HTTP: what becomes of every fault, and the answers in process when there is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest

from ner_programs import LMSetupError, Pool, ProgramSpec, open_lm
from ner_programs.components import names
from tests import loopback, warm
from tests.faulty import FAULTS, Fault
from tests.lab import PRIVATE, Lab
from tests.lms import writer
from tests.loopback import Loopback
from tests.ner_programs.support import NOTES, PLAIN, ontology
from tests.tiny import DEV, documents, program

FORMATS = names("ner_programs.formats")
TEXT = "Pt has headache. MRI showed knee pain."
DOCUMENT = DEV[0]


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return loopback.without_waiting(monkeypatch)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as running:
        yield running


def tiny_program(**settings: Any) -> Any:
    return program(documents(8, "a"), demos={"name": "tfidf", "k": 4}, **settings)


def quick(fault: Fault) -> Fault:
    return replace(fault, delay=min(fault.delay, 0.05), spread=min(fault.spread, 0.1))


# What a program makes of each fault

ANSWERS = ("drip", "truncated", "malformed-answer", "echo")
RETRIED = ("429", "500", "503", "timeout", "reset", "cut", "malformed-json", "foreign")
UNANSWERED = ("filtered", "filtered-answer", "quoting", "too-long")
ENDS_THE_RUN = ("unauthorized", "quota", "no-model")
Ask = Callable[[Any], dspy.Prediction]


def test_every_fault_is_tested() -> None:
    assert sorted((*ANSWERS, *RETRIED, *UNANSWERED, *ENDS_THE_RUN)) == sorted(FAULTS)


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, server: Loopback) -> Ask:
    """Asks a program over HTTP."""
    lm = open_lm("hosted_vllm/in-context-crf", api_base=server.base, timeout=3600.0)

    def asked(made: Any) -> dspy.Prediction:
        with dspy.context(lm=lm, disable_history=True):
            return made(DOCUMENT.text) if request.param == "sync" else asyncio.run(made.acall(DOCUMENT.text))

    return asked


def in_process(made: Any, text: str = DOCUMENT.text) -> dspy.Prediction:
    with dspy.context(lm=writer(), disable_history=True):
        return made(text)


class TestPrograms:
    """A bad answer is recovered and counted, a failed call is asked for again or unanswered; nothing raises."""

    @pytest.mark.parametrize("format", FORMATS)
    @pytest.mark.parametrize("name", ANSWERS)
    def test_a_bad_answer_is_recovered_from(self, server: Loopback, ask: Ask, name: str, format: str) -> None:
        made = tiny_program(format={"name": format})
        whole = in_process(made)
        assert whole.entities == DOCUMENT.entities  # so there is something to lose
        server.queue = [quick(FAULTS[name])]
        said = ask(made)
        assert said.unanswered == 0 and len(server.requests) == 1 and server.tally == {name: 1}
        if name == "drip":
            assert said.entities == whole.entities and said.unreadable == 0
        elif name == "truncated":
            assert set(said.entities) < set(whole.entities)
        elif name == "echo" and format in ("tagged", "tanl"):
            assert said.entities == ()  # a text without a mark is an answer: nothing found
        else:
            assert said.unreadable >= 1 and set(said.entities) <= set(whole.entities)

    @pytest.mark.parametrize("name", RETRIED)
    def test_a_failed_call_is_asked_for_again(self, server: Loopback, ask: Ask, name: str, naps: list[float]) -> None:
        made = tiny_program()
        server.queue = [quick(FAULTS[name])]
        said = ask(made)
        assert said.entities == in_process(made).entities and said.unanswered == said.unreadable == 0
        assert server.tally == {name: 1, "answered": 1} and naps == [2.0 if name == "429" else 1.0]

    def test_a_client_gives_up_sooner_than_a_server_that_says_nothing(self, server: Loopback) -> None:
        server.queue = [replace(FAULTS["timeout"], delay=3600.0)]
        made, lm = tiny_program(), open_lm("hosted_vllm/x", api_base=server.base, timeout=0.2)
        lm.meter.retries = 100_000  # a busy machine may be too slow for the first answers, too
        with dspy.context(lm=lm, disable_history=True):
            assert made(DOCUMENT.text).entities == in_process(made).entities

    @pytest.mark.parametrize("name", [*RETRIED, *UNANSWERED])
    def test_one_that_fails_for_good_is_unanswered(self, server: Loopback, ask: Ask, name: str) -> None:
        server.fault = lambda body: quick(FAULTS[name])
        said = ask(tiny_program(verify={"name": "llm"}))
        assert said.unanswered == 1 and said.entities == () and said.unreadable == 0
        assert server.tally == {name: 5 if name in RETRIED else 1}

    @pytest.mark.parametrize("name", ENDS_THE_RUN)
    def test_what_cannot_succeed_is_said_at_once(self, server: Loopback, ask: Ask, name: str) -> None:
        server.fault = lambda body: FAULTS[name]
        error = FAULTS[name].error
        with pytest.raises(
            LMSetupError, match=rf"^\[hosted_vllm/\S+\] .* LM\w+, HTTP {FAULTS[name].status}, "
        ) as raised:
            ask(tiny_program())
        assert error is not None and error["message"] not in str(raised.value), "the provider's own words"
        assert len(server.requests) == 1

    @pytest.mark.parametrize("name", ["truncated", "malformed-answer", "echo"])
    @pytest.mark.parametrize("stage", ["verify", "seeds"])
    def test_the_other_stages_too(self, server: Loopback, ask: Ask, name: str, stage: str) -> None:
        settings: dict[str, Any] = {"unit": "document", "demos": {"name": "random", "k": 6}}
        if stage == "verify":
            settings["verify"] = {"name": "llm", "mode": "full"}
        else:
            settings |= {"retriever": {"name": "walk"}, "seeds": "lm"}
        made = ProgramSpec(labels=PLAIN, **settings).build(ontology(), Pool.of(NOTES, "document"))
        wanted = "### candidates" if stage == "verify" else "string on a line of its own"
        server.fault = lambda body: FAULTS[name] if wanted in json.dumps(body["messages"]) else None
        said = ask(made)
        assert server.tally == {name: 1, "answered": 1} and said.unanswered == 0
        assert name == "truncated" or said.unreadable >= 1


# The same answers as in process


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_answered_as_in_process(server: Loopback, format: str) -> None:
    spec = ProgramSpec(
        labels=PLAIN, unit="sentence", demos={"name": "random", "k": 6}, format={"name": format},
        retriever={"name": "walk"},
    )  # fmt: skip
    made = spec.build(ontology(), Pool.of(NOTES, "sentence"))
    here = in_process(made, TEXT)
    assert here.entities
    lm = open_lm("hosted_vllm/in-context-crf", api_base=server.base, can=["logprobs"])
    with dspy.context(lm=lm, disable_history=True):
        there, later = made(TEXT), asyncio.run(made.acall(TEXT))
    assert there.entities == later.entities == here.entities
    assert [e.score for e in there.entities] == pytest.approx([e.score for e in here.entities], abs=1e-6)
    assert there.unreadable == there.unanswered == 0


def test_a_run_over_http_equals_the_run_in_process_and_faults_are_counted(server: Loopback, tmp_path: Path) -> None:
    made = Lab(tmp_path, f'{PRIVATE}[program]\ndemos = {{ name = "tfidf", k = 4 }}\n')

    def lab(*words: str) -> warm.Ran:
        hurried = "from tests.loopback import Clock; Clock().install()"
        ran = made.nerc("run", "my.toml", *words, "--json", before=hurried)
        assert ran.code == 0, ran.stderr
        return ran

    here = lab().json
    over = ("--lm", "hosted_vllm/in-context-crf", "--set", f"lm.api_base={server.base}")
    there = lab(*over).json
    assert {part: there[part]["micro_f1"] for part in ("dev", "test")} == {
        part: here[part]["micro_f1"] for part in ("dev", "test")
    }
    assert server.tally == {"answered": there["lm_calls"]}
    server.queue = [FAULTS["429"], FAULTS["truncated"], FAULTS["reset"], None, FAULTS["429"]]
    hurt = lab(*over, "--set", "program.demos.k=5").json
    failed = server.tally["429"] + server.tally["reset"]
    assert failed == 3 and server.tally["truncated"] == 1 and hurt["spent"]["attempts"] == hurt["lm_calls"] + failed
