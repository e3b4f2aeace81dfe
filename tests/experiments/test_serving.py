"""The server of the offline engine: the answers of the engine in this process, and every fault as real clients see it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import openai
import pytest
from dspy.teleprompt.copro_optimizer import BasicGenerateInstruction, GenerateInstructionGivenAttempts

from experiments._errors import SpecError
from experiments.serving.faults import FAULTS, Fault, Plan, read_plan
from experiments.serving.wire import Answer, Body
from ner_programs import LMSetupError, Pool, ProgramSpec, open_lm, prompt
from ner_programs.components import names, resolve
from ner_programs.lms._incontext import answer
from tests import loopback, warm
from tests.loopback import ENGINE, Loopback
from tests.ner_programs.support import LABELS, NASTY, NOTES, PLAIN, labels_of, mentions_of, note, ontology
from tests.tiny import DEV, documents, program, write_corpus

FORMATS = names("ner_programs.formats")
TEXT = "Pt has headache. MRI showed knee pain."
DOCUMENT = DEV[0]
MODEL = ENGINE.model.removeprefix("offline/")


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return loopback.without_waiting(monkeypatch)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as running:
        yield running


@pytest.fixture
def client(server: Loopback) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base, api_key="none", max_retries=0) as opened:
        yield opened


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
    with dspy.context(lm=open_lm(), disable_history=True):
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
        assert server.tally == {name: 1, "answered": 1} and naps == [1.0]

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
        with pytest.raises(LMSetupError, match=f"HTTP {FAULTS[name].status}"):
            ask(tiny_program())
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


def random_prompt(rng: random.Random) -> Body:
    """A prompt of any stage over any text, sound or damaged."""
    labels = labels_of(rng.choice([LABELS, PLAIN]))
    form = resolve("ner_programs.formats", {"name": rng.choice(FORMATS)}, labels=labels)
    system = prompt.render([("", "Mark it."), ("labels", prompt.render_labels(labels)), ("answer", form.describe())])

    def text() -> str:
        return " ".join(rng.choice([*NASTY, "MRI", "headache", "knee pain", "Pt has", "\ud83d"]) for _ in range(9))

    turns = []
    for _ in range(rng.randrange(5)):
        shown = note("n", text(), **{labels[0].name: "headache/knee pain", labels[1].name: "MRI"})
        turns += [prompt.render([("text", shown.text)]), form.write(shown.text, mentions_of(shown.entities))]
    turns.append(prompt.render([("knowledge", "- headache: problem"), ("text", text())]))
    if rng.random() < 0.1:
        system, turns = text(), [text()]
    roles = ("user", "assistant")
    said = [{"role": roles[n % 2], "content": turn} for n, turn in enumerate(turns)]
    return {"model": "in-context-crf", "messages": [{"role": "system", "content": system}, *said]}


def test_two_hundred_prompts_over_http_get_the_same_text(server: Loopback) -> None:
    rng, said = random.Random(5), set()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for _ in range(200):
        body = random_prompt(rng)
        connection.request("POST", "/v1/chat/completions", json.dumps(body | {"logprobs": True}))
        reply = json.loads(connection.getresponse().read())
        (choice,) = reply["choices"]
        expected = answer(body["messages"][0]["content"], [m["content"] for m in body["messages"][1:]])
        assert expected is not None and choice["message"]["content"] == expected.text
        if choice["logprobs"] is not None:
            tokens = [(t["token"], t["logprob"]) for t in choice["logprobs"]["content"]]
            assert tokens == list(expected.logprobs) and "".join(t for t, _ in tokens) == expected.text
        said.add(expected.text)
    connection.close()
    assert len(said) > 80 and server.tally == {"answered": 200}


STAGES: dict[str, dict[str, Any]] = {
    "extract": {},
    "reject": {"verify": {"name": "llm", "mode": "reject"}},
    "full": {"verify": {"name": "llm", "mode": "full"}},
    "seeds": {"retriever": {"name": "walk"}, "seeds": "lm"},
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_and_stage_is_answered_as_in_process(server: Loopback, format: str, stage: str) -> None:
    spec = ProgramSpec(
        labels=PLAIN, unit="sentence", demos={"name": "random", "k": 6}, format={"name": format},
        **{"retriever": {"name": "walk"}, **STAGES[stage]},
    )  # fmt: skip
    made = spec.build(ontology(), Pool.of(NOTES, "sentence"))
    here = in_process(made, TEXT)
    assert here.entities
    lm = open_lm("hosted_vllm/in-context-crf", api_base=server.base, logprobs=True)
    with dspy.context(lm=lm, disable_history=True):
        there, later = made(TEXT), asyncio.run(made.acall(TEXT))
    assert there.entities == later.entities == here.entities
    assert [e.score for e in there.entities] == pytest.approx([e.score for e in here.entities], abs=1e-6)
    assert there.unreadable == there.unanswered == 0


@pytest.mark.parametrize(
    "adapter", [dspy.ChatAdapter(use_json_adapter_fallback=False), dspy.JSONAdapter()], ids=["chat", "json"]
)
def test_proposals_are_the_same(server: Loopback, adapter: Any) -> None:
    said = []
    for lm in (open_lm(), open_lm("hosted_vllm/in-context-crf", api_base=server.base)):
        with dspy.context(lm=lm, adapter=adapter, disable_history=True):
            one = dspy.Predict(BasicGenerateInstruction)(basic_instruction="Mark knees.")
            two = dspy.Predict(GenerateInstructionGivenAttempts)(
                attempted_instructions=["Instruction #1: Mark knees.", "Resulting Score: 3"]
            )
        said.append((one.toDict(), two.toDict()))
    assert said[0] == said[1]


# OpenAI's own client

ASKED: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say what you are."}]}
ERRORS: dict[str, type[Exception]] = {
    "429": openai.RateLimitError, "500": openai.InternalServerError, "503": openai.InternalServerError,
    "timeout": openai.APIConnectionError, "reset": openai.APIConnectionError, "cut": openai.APIConnectionError,
    "malformed-json": json.JSONDecodeError, "filtered": openai.BadRequestError, "quoting": openai.BadRequestError,
    "too-long": openai.BadRequestError, "unauthorized": openai.AuthenticationError, "quota": openai.RateLimitError,
    "no-model": openai.NotFoundError,
}  # fmt: skip


class TestOpenAI:
    def test_a_completion(self, server: Loopback, client: openai.OpenAI) -> None:
        said = client.chat.completions.create(**ASKED, n=3)
        texts = [choice.message.content for choice in said.choices]
        here = ENGINE.complete(dspy.lm15.Request(model="x", messages=dspy.lm15.Message.user("Say what you are.")))
        assert texts == [here.message.text] * 3 and said.model == MODEL
        assert [choice.index for choice in said.choices] == [0, 1, 2]
        assert (
            said.usage is not None
            and said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens
        )
        assert said.choices[0].finish_reason == "stop" and said.choices[0].logprobs is None
        again = client.chat.completions.create(**ASKED, n=3)
        assert said._request_id and again._request_id and said._request_id != again._request_id

    @pytest.mark.parametrize("n", [1, 2])
    def test_a_stream_says_the_same(self, server: Loopback, client: openai.OpenAI, n: int) -> None:
        whole = client.chat.completions.create(**ASKED, n=n, logprobs=True)
        texts, reasons, spent = [""] * n, [None] * n, None
        options: Any = {"include_usage": True}
        for chunk in client.chat.completions.create(**ASKED, n=n, logprobs=True, stream=True, stream_options=options):
            spent = chunk.usage or spent
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                reasons[choice.index] = choice.finish_reason or reasons[choice.index]
        assert texts == [c.message.content for c in whole.choices] and spent == whole.usage
        assert reasons == ["stop"] * n

    def test_probabilities_have_the_shape_of_openai(self, server: Loopback, client: openai.OpenAI) -> None:
        server.answer = lambda chat: Answer("knee pain", (("knee", -0.1), (" pain", -0.2)))
        (choice,) = client.chat.completions.create(**ASKED, logprobs=True).choices
        assert choice.logprobs is not None and choice.logprobs.content is not None
        assert [(t.token, t.logprob, bytes(t.bytes or ())) for t in choice.logprobs.content] == [
            ("knee", -0.1, b"knee"), (" pain", -0.2, b" pain"),
        ]  # fmt: skip
        streamed = list(client.chat.completions.create(**ASKED, logprobs=True, stream=True))
        tokens = [t.token for c in streamed if (said := c.choices[0].logprobs) for t in said.content or ()]
        assert tokens == ["knee", " pain"]
        server.queue = [FAULTS["truncated"]]
        (choice,) = client.chat.completions.create(**ASKED, logprobs=True).choices
        assert choice.message.content == "knee p" and choice.finish_reason == "length"
        assert choice.logprobs is not None and [t.token for t in choice.logprobs.content or ()] == ["knee"]

    @pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
    def test_a_limit_is_kept(self, server: Loopback, client: openai.OpenAI, name: str) -> None:
        server.script = lambda body: "x" * 50
        said = client.chat.completions.create(**ASKED, **{name: 3})
        assert said.choices[0].finish_reason == "length" and said.choices[0].message.content == "x" * 12

    def test_text_may_come_in_parts(self, server: Loopback, client: openai.OpenAI) -> None:
        body = random_prompt(random.Random(7))
        whole = client.chat.completions.create(**body)
        for message in body["messages"]:
            halves = message["content"][:20], message["content"][20:]
            message["content"] = [{"type": "text", "text": half} for half in halves]
        body["messages"][0]["role"] = "developer"
        parted = client.chat.completions.create(**body)
        assert parted.choices == whole.choices and parted.usage == whole.usage

    def test_models_and_health(self, server: Loopback, client: openai.OpenAI) -> None:
        (model,) = client.models.list()
        assert model.id == client.models.retrieve(MODEL).id == MODEL and model.id.startswith("in-context-crf-")
        assert "not a language model" in str(model.model_extra)
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt-4o")
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/health")
        assert json.loads(connection.getresponse().read()) == {"status": "ok", "model": MODEL}
        connection.close()

    def test_asynchronously(self, server: Loopback) -> None:
        async def ask() -> list[Any]:
            async with openai.AsyncOpenAI(base_url=server.base, api_key="none") as client:
                return await asyncio.gather(*(client.chat.completions.create(**ASKED) for _ in range(8)))

        assert len({said.choices[0].message.content for said in asyncio.run(ask())}) == 1

    @pytest.mark.parametrize("name", ERRORS)
    def test_faults_are_its_errors(self, server: Loopback, client: openai.OpenAI, name: str) -> None:
        server.queue = [quick(FAULTS[name])]
        with pytest.raises(ERRORS[name]) as raised:
            client.chat.completions.create(**ASKED)
        fault = FAULTS[name]
        if isinstance(raised.value, openai.APIStatusError):
            assert raised.value.status_code == fault.status and fault.error is not None
            assert raised.value.code == fault.error["code"]
            assert raised.value.response.headers.get("retry-after") == dict(fault.headers).get("retry-after")
            assert ("Say what you are." in raised.value.message) is (name == "quoting")
        assert client.chat.completions.create(**ASKED).choices[0].message.content

    @pytest.mark.parametrize("name", ["cut", "429", "drip", "filtered-answer"])
    def test_and_so_they_are_in_a_stream(self, server: Loopback, client: openai.OpenAI, name: str) -> None:
        import httpx

        server.queue = [quick(FAULTS[name])]
        expected: Any = (openai.RateLimitError, openai.APIConnectionError, httpx.RemoteProtocolError)
        try:
            chunks = list(client.chat.completions.create(**ASKED, stream=True))
        except expected:
            assert name in ("cut", "429")
        else:
            reasons = [c.choices[0].finish_reason for c in chunks]
            assert reasons[-1] == {"drip": "stop", "filtered-answer": "content_filter"}[name]

    def test_the_clients_own_retries_get_there(self, server: Loopback) -> None:
        server.queue = [replace(FAULTS["429"], headers=(("retry-after", "0"),)), FAULTS["503"]]
        with openai.OpenAI(base_url=server.base, api_key="none", max_retries=2) as client:
            assert client.chat.completions.create(**ASKED).choices[0].message.content
        assert server.tally == {"429": 1, "503": 1, "answered": 1}


# What is no proper request

BAD: dict[str, tuple[bytes, str | None]] = {
    "no JSON": (b"{", None), "no UTF-8": (b"\xff", None), "a list": (b"[]", None), "deep": (b"[" * 200_000, None),
    "no messages": (b"{}", "messages"), "none": (b'{"messages": []}', "messages"),
    "a string": (b'{"messages": "hello"}', "messages"), "a role": (b'{"messages": [{"role": "king"}]}', "messages[0].role"),
    "no message": (b'{"messages": [1]}', "messages[0].role"),
    "only system": (b'{"messages": [{"role": "system", "content": "x"}]}', "messages"),
    "a picture": (b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "messages[0].content"),
    "a number": (b'{"messages": [{"role": "user", "content": 5}]}', "messages[0].content"),
    "n": (b'{"messages": [{"role": "user", "content": "x"}], "n": 0}', "n"),
    "true": (b'{"messages": [{"role": "user", "content": "x"}], "n": true}', "n"),
    "limit": (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": -1}', "max_tokens"),
    "stream": (b'{"messages": [{"role": "user", "content": "x"}], "stream": "yes"}', "stream"),
}  # fmt: skip


class TestBadRequests:
    def send(self, server: Loopback, raw: bytes) -> tuple[int, Body]:
        """Send bytes as they are."""
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(raw)
            reply = http.client.HTTPResponse(connection)
            reply.begin()
            return reply.status, json.loads(reply.read())["error"]

    @pytest.mark.parametrize("name", BAD)
    def test_of_a_chat(self, server: Loopback, name: str) -> None:
        raw, param = BAD[name]
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(raw)
        status, error = self.send(server, head + raw)
        assert status == 400 and error["param"] == param and error["type"] == "invalid_request_error"
        assert error["message"].isprintable() and "king" not in error["message"]
        assert server.tally == {"refused 400": 1} and not server.requests

    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (b"POST /v1/completions HTTP/1.1\r\ncontent-length: 0", 404),
            (b"GET /v1/chat/completions HTTP/1.1", 405),
            (b"DELETE /v1/chat/completions HTTP/1.1", 405),
            (b"POST /v1/models HTTP/1.1\r\ncontent-length: 0", 405),
            (b"POST /v1/chat/completions HTTP/1.1", 411),
            (b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: -1", 411),
            (b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 99999999999", 413),
            (b"BREW /pot HTTP/1.1", 501),
            (b"hello", 400),
        ],
    )
    def test_of_anything(self, server: Loopback, head: bytes, status: int) -> None:
        said, error = self.send(server, head + b"\r\n\r\n")
        assert said == status and error["message"] and sum(server.tally.values()) == 1

    def test_of_more_than_it_takes(
        self, server: Loopback, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The client that is still sending gets the reply all the same."""
        monkeypatch.setattr("experiments.serving._http.LARGEST", 1000)
        with pytest.raises(openai.APIStatusError) as raised:
            client.chat.completions.create(model="x", messages=[{"role": "user", "content": "x" * 5_000_000}])
        assert raised.value.status_code == 413 and not server.requests

    def test_a_client_that_waits_to_be_let_go_on(self, server: Loopback) -> None:
        body = json.dumps(ASKED).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body)
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head)
            assert connection.recv(99).startswith(b"HTTP/1.1 100")
            connection.sendall(body)
            assert connection.recv(99).startswith(b"HTTP/1.1 200")

    def test_a_form_that_the_engine_does_not_know(self, server: Loopback, client: openai.OpenAI) -> None:
        system = prompt.render([("", "x"), ("labels", "- problem"), ("answer", "Draw a map.")])
        turns: Any = [{"role": "system", "content": system}, {"role": "user", "content": "### text\nPt has gout."}]
        with pytest.raises(openai.BadRequestError, match="json_list") as raised:
            client.chat.completions.create(model="x", messages=turns)
        assert "gout" not in str(raised.value)

    def test_a_fault_of_the_server_quotes_nothing(self, server: Loopback, client: openai.OpenAI) -> None:
        def broken(chat: Any) -> Answer:
            raise RuntimeError(chat.open)

        server.answer = broken
        with pytest.raises(openai.InternalServerError) as raised:
            client.chat.completions.create(**ASKED)
        assert "RuntimeError" in str(raised.value) and "Say what" not in str(raised.value)


# Plans


def test_a_plan_repeats_and_keeps_to_its_shares() -> None:
    contents = [f"{n:x}" for n in range(4000)]
    plan = read_plan(["429=0.1", "truncated=.05"], seed=3)
    drawn = [plan(content, 1) for content in contents]
    assert drawn == [read_plan(["truncated=.05", "429=0.1"], seed=3)(content, 1) for content in contents]
    counts = {name: drawn.count(FAULTS[name]) / len(drawn) for name in ("429", "truncated")}
    assert counts == {"429": pytest.approx(0.1, abs=0.02), "truncated": pytest.approx(0.05, abs=0.015)}
    assert drawn != [plan(content, 2) for content in contents] != [Plan(plan.shares, 4)(c, 2) for c in contents]
    assert all(read_plan(["500=1"], 1)(content, 1) is FAULTS["500"] for content in contents)
    assert not any(read_plan([], 1)(content, 1) for content in contents)


@pytest.mark.parametrize(
    ("said", "match"),
    [("42=.1", "there are 429, 500"), ("429", "429=SHARE"), ("429=2", "from 0 to 1"), ("429=nan", "from 0 to 1")],
)
def test_a_plan_that_cannot_be_is_refused(said: str, match: str) -> None:
    with pytest.raises(SpecError, match=match):
        read_plan([said], 1)
    with pytest.raises(SpecError, match="more than 1"):
        read_plan(["429=.6", "500=.6"], 1)


# The command


SPEC = """
[corpus]
name = "jsonl"
path = "notes"
private = true
[labels]
drug = "A medicine."
problem = "A symptom or disease."
[program]
demos = { name = "tfidf", k = 4 }
"""


@pytest.fixture
def lab(tmp_path: Path) -> Callable[..., warm.Ran]:
    write_corpus(tmp_path / "notes")
    (tmp_path / "my.toml").write_text(SPEC)
    home = warm.fresh_home(tmp_path / "mlruns")

    def run(*words: str) -> warm.Ran:
        env = {"NERC_CACHE": str(tmp_path / "cache"), "NERC_HOME": str(home)}
        patient = "import time; time.sleep = lambda seconds: None"
        ran = warm.shared().run("run", "my.toml", *words, "--json", cwd=tmp_path, env=env, before=patient)
        assert ran.code == 0, ran.stderr
        return ran

    return run


def test_a_run_over_http_equals_the_run_in_process_and_faults_are_counted(
    server: Loopback, lab: Callable[..., warm.Ran]
) -> None:
    here = lab().json
    over = ("--lm", "hosted_vllm/in-context-crf", "--set", f"lm.api_base={server.base}")
    there = lab(*over).json
    assert {part: there[part]["micro_f1"] for part in ("dev", "test")} == {
        part: here[part]["micro_f1"] for part in ("dev", "test")
    }
    assert server.tally == {"answered": there["lm_calls"]}
    server.plan = Plan({"429": 0.2, "truncated": 0.2, "reset": 0.1}, seed=2)
    hurt = lab(*over, "--set", "program.demos.k=5").json
    failed = server.tally["429"] + server.tally["reset"]
    assert failed and server.tally["truncated"] and hurt["spent"]["attempts"] == hurt["lm_calls"] + failed


def test_the_command_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    words = ("serve-lm", "--port", "0", "--fault", "truncated=.3", "--seed", "2", "--json")
    outcomes = []
    for number, processes in ((signal.SIGINT, "0"), (signal.SIGTERM, "1")):
        process = warm.shared().begin(*words, "--processes", processes, cwd=tmp_path)
        try:
            base = None
            for _ in range(60_000):
                if (
                    found := re.search(r"^(http://127\.0\.0\.1:\d+/v1) answers", warm.shared().err.read_text())
                ) is not None:
                    base = found[1]
                    break
                time.sleep(0.02)
            assert base is not None, warm.shared().err.read_text()
            with openai.OpenAI(base_url=base, api_key="none", max_retries=0) as client:
                asked: Any = [[{"role": "user", "content": f"a secret {n}"}] for n in range(12)]
                said = [client.chat.completions.create(model="x", messages=m).choices[0] for m in asked]
        finally:
            os.kill(process, number)
            ran = warm.shared().end()
        assert ran.code == 0 and "Traceback" not in ran.stderr and "secret" not in ran.stdout + ran.stderr
        assert (
            "--lm hosted_vllm/in-context-crf-" in ran.stderr
        )  # with its hash: answers of another version are not taken
        assert "not a language model" in ran.stderr and "nerc run" in ran.stderr and "openai.OpenAI" in ran.stderr
        outcomes.append(([c.finish_reason for c in said], ran.json))
    assert outcomes[0] == outcomes[1]
    reasons, summary = outcomes[0]
    assert summary["requests"] == summary["distinct"] == 12
    assert summary["became"] == {"answered": reasons.count("stop"), "truncated": reasons.count("length")}
    assert 0 < reasons.count("length") < 12


def test_what_the_command_cannot_do_is_said(server: Loopback, tmp_path: Path) -> None:
    for words, said in (
        (("--port", str(server.port)), rf"cannot serve on 127\.0\.0\.1:{server.port} .*--port"),
        (("--fault", "slow=.1"), "there is no such fault; there are 429"),
        (("--host", "192.0.2.1", "--port", "0"), "cannot serve on 192"),
    ):
        ran = warm.shared().run("serve-lm", "--processes", "0", *words, cwd=tmp_path)
        assert ran.code == 2 and ran.stdout == "" and re.search(said, ran.stderr.splitlines()[-1]), ran.stderr


def test_every_fault_is_in_the_help(tmp_path: Path) -> None:
    ran = warm.shared().run("serve-lm", "--help", cwd=tmp_path)
    assert all(re.search(rf"^ +{name} +{re.escape(f.says)}$", ran.stdout, re.MULTILINE) for name, f in FAULTS.items())
