"""DSPy's own client stack against a server on loopback: what is sent, what is counted, what a failure means."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import Any

import dspy
import pytest
from dspy.lm15 import Message, Request
from dspy.utils.exceptions import (
    ContextWindowExceededError,
    LMAuthError,
    LMBillingError,
    LMError,
    LMInvalidRequestError,
    LMNotConfiguredError,
    LMRateLimitError,
    LMServerError,
    LMTimeoutError,
    LMTransportError,
    LMUnsupportedModelError,
)

from ner_programs import LMSetupError
from ner_programs.lms import open_backend, open_lm
from ner_programs.lms.metered import MeteredLM
from tests import loopback, tiny
from tests.faulty import Fault
from tests.loopback import Loopback

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
MODELS = ("openai/x", "hosted_vllm/x", "azure/deployed")


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No cache, keys for openai and azure, no real waiting: seconds that would have been slept."""
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    for name in ("OPENAI_API_BASE", "OPENAI_BASE_URL", "HOSTED_VLLM_API_KEY", "HOSTED_VLLM_API_BASE", "AZURE_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-test")
    monkeypatch.setenv("AZURE_API_KEY", "azure-key")
    return loopback.without_waiting(monkeypatch)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(script=lambda body: f"said {loopback.last_turn(body)}") as running:
        yield running


def open_at(server: Loopback, model: str, **options: Any) -> MeteredLM:
    if model.startswith("azure/"):
        return open_lm(model, api_base=server.root, api_version="2024-10-21", **options)
    return open_lm(model, api_base=server.base, **options)


SAID = "naïve “question”\n### text"


@pytest.mark.parametrize("model", MODELS)
class TestEndpoints:
    def test_a_request_says_what_it_must_and_nothing_else(self, server: Loopback, model: str) -> None:
        lm = open_at(server, model)
        request = Request(model=lm.model, system="Be brief.", messages=(Message.user(SAID),))
        assert lm(request).text == f"said {SAID}"
        (seen,) = server.requests
        assert seen.body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SAID}]
        assert not {"temperature", "max_tokens", "max_completion_tokens", "response_format", "stop"} & seen.body.keys()
        if model.startswith("azure/"):
            assert seen.path == "/openai/deployments/deployed/chat/completions?api-version=2024-10-21"
            assert seen.headers["api-key"] == "azure-key"
        else:
            assert seen.path == "/v1/chat/completions" and seen.body["model"] == "x"
            assert ("sk-for-the-test" in seen.headers["authorization"]) is (model == "openai/x")

    def test_settings_are_sent_when_they_are_set(self, server: Loopback, model: str) -> None:
        open_at(server, model, temperature=0.0, max_tokens=77)("q")
        (body,) = server.bodies()
        assert body["temperature"] == 0.0 and 77 in (body.get("max_tokens"), body.get("max_completion_tokens"))

    def test_usage_and_money_are_counted(self, server: Loopback, model: str) -> None:
        lm = open_at(server, model, price={"input": 1000.0, "output": 100_000.0})
        with dspy.track_usage() as tracked:
            lm("12345678" * 4)
        spent = lm.meter.spent
        assert (spent.calls, spent.attempts, spent.tokens_in, spent.tokens_out) == (1, 1, 8, 10)
        assert spent.cost == pytest.approx(8 * 0.001 + 10 * 0.1)
        assert tracked.get_total_tokens()[model]["total_tokens"] == 18

    def test_many_at_a_time(self, server: Loopback, model: str) -> None:
        lm = open_at(server, model, timeout=3600)
        lm("warm")

        arrived, wanted, there = 0, 16, threading.Condition()

        def all_there(
            number: int,
        ) -> None:  # the first are answered when all wanted have come: hangs where fewer are asked at once
            nonlocal arrived
            with there:
                arrived += 1
                there.notify_all()
                there.wait_for(lambda: arrived >= wanted)

        server.on_request = all_there

        async def ask() -> list[Any]:
            return await asyncio.gather(*(lm.acall(f"q{n}") for n in range(24)))

        wide = MeteredLM(lm.meter, concurrency=16)
        said = dspy.Parallel(num_threads=16, straggler_limit=0, disable_progress_bar=True)(
            [(lambda question: wide(question), {"question": f"p{n}"}) for n in range(24)]
        )
        assert [s[0] for s in said] == [f"said p{n}" for n in range(24)]
        assert server.most_at_once == 16
        lm, arrived, wanted, server.most_at_once = wide, 0, 24, 0
        assert [s[0] for s in asyncio.run(ask())] == [f"said q{n}" for n in range(24)]
        assert server.most_at_once == 24  # who awaits says how many
        assert lm.meter.spent.calls == 49 == len(server.requests)

    def test_history_keeps_no_prompt_of_the_client_inside(self, server: Loopback, model: str) -> None:
        lm = open_at(server, model)
        with dspy.context(disable_history=True):
            lm("patient text")
        assert not lm.history and not lm.meter.backend._lm.history  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("fault", "error", "attempts"),
        [
            (loopback.SERVER_ERROR, LMServerError, 3), (loopback.rate_limited(), LMRateLimitError, 3),
            (loopback.MALFORMED, LMServerError, 3), (loopback.NOT_A_COMPLETION, LMServerError, 3),
            (loopback.UNAUTHORIZED, LMAuthError, 1), (loopback.NO_QUOTA, LMBillingError, 1),
            (loopback.NO_MODEL, LMUnsupportedModelError, 1), (loopback.TOO_LONG, ContextWindowExceededError, 1),
            (loopback.FILTERED, LMInvalidRequestError, 1), (loopback.FILTERED_ANSWER, LMInvalidRequestError, 1),
        ],
        ids=["500", "429", "malformed", "foreign", "401", "quota", "404", "too long", "filtered", "answer filtered"],
    )  # fmt: skip
    def test_failures(
        self, server: Loopback, model: str, fault: Fault, error: type[LMError], attempts: int, naps: list[float]
    ) -> None:
        lm = open_at(server, model)
        lm.meter.retries = 2
        server.fault = lambda body: fault
        with pytest.raises(error) as raised:
            lm("q")
        assert type(raised.value) is error
        assert len(server.requests) == attempts == lm.meter.spent.attempts
        assert naps == [1.0, 2.0][: attempts - 1] and lm.meter.spent.failed == 1
        server.fault = lambda body: None
        assert lm("q") == ["said q"]  # nothing of a failure is kept as an answer
        if "filtered" in str(raised.value) or "withheld" in str(raised.value):
            assert "content_filter" in lm.meter.last_failure

    def test_a_time_out_is_retried(self, server: Loopback, model: str) -> None:
        lm = open_at(server, model, timeout=0.15)
        lm.meter.retries = 100_000  # a busy machine may be too slow for the first answers, too
        server.queue = [loopback.slow(3600)]
        assert lm("q") == ["said q"] and len(server.requests) >= 2
        lm.meter.retries = 0
        server.queue = [loopback.slow(3600)]
        with pytest.raises((LMTimeoutError, LMTransportError)):
            lm("other")

    def test_a_truncated_answer_is_an_answer(self, server: Loopback, model: str) -> None:
        server.queue = [loopback.TRUNCATED]
        assert open_at(server, model)("123456") == ["said 12"]

    def test_a_server_that_is_down_is_a_failure_of_transport(self, model: str, naps: list[float]) -> None:
        server = Loopback()
        with server:
            lm = open_at(server, model)
        with pytest.raises((LMTransportError, LMServerError)):
            lm("q")
        assert len(naps) == 4


class TestKeys:
    def test_hosted_vllm_needs_none(self, server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_API_KEY")
        assert open_at(server, "hosted_vllm/x")("q") == ["said q"]
        assert "sk-for-the-test" not in str(server.requests[0].headers)

    @pytest.mark.parametrize(("model", "variable"), [("openai/x", "OPENAI_API_KEY"), ("azure/x", "AZURE_API_KEY")])
    @pytest.mark.parametrize("value", [None, ""])
    def test_a_missing_one_is_said_at_once(
        self, server: Loopback, monkeypatch: pytest.MonkeyPatch, model: str, variable: str, value: str | None
    ) -> None:
        monkeypatch.delenv(variable)
        if value is not None:
            monkeypatch.setenv(variable, value)
        lm = open_at(server, model)
        with pytest.raises(LMNotConfiguredError, match=variable):
            lm("q")
        program = tiny.program()
        with dspy.context(lm=lm), pytest.raises(LMSetupError, match="API_KEY"):
            program(text="Takes aspirin.")
        with dspy.context(lm=lm), pytest.raises(LMSetupError, match="API_KEY"):
            asyncio.run(program.acall(text="Takes aspirin."))
        assert not server.requests and lm.meter.spent.attempts == 3

    def test_no_key_is_kept_in_a_program(self, server: Loopback, tmp_path: Any) -> None:
        from ner_programs import save

        program = tiny.program()
        with dspy.context(lm=open_at(server, "openai/x")):
            program(text="Takes aspirin.")
            folder = save(program, tmp_path / "bundle")
        assert "sk-for-the-test" not in "".join(f.read_text() for f in folder.iterdir() if f.is_file())


class TestSetup:
    def test_vllm_is_refused_with_what_to_write_instead(self) -> None:
        with pytest.raises(LMSetupError, match="hosted_vllm/<model>"):
            open_lm("vllm/x", api_base="http://127.0.0.1:1/v1")

    def test_an_unknown_provider_is_refused(self, server: Loopback) -> None:
        program = tiny.program()
        with dspy.context(lm=open_at(server, "nosuch/x")), pytest.raises(LMSetupError, match="nosuch/x"):
            program(text="Takes aspirin.")

    def test_a_price_needs_both_sides(self) -> None:
        with pytest.raises(LMSetupError, match=r"lm\.price"):
            open_backend({"model": "openai/x", "price": {"input": 1.0}})

    def test_prices_come_from_dspys_table_and_yours_go_first(self) -> None:
        known = open_backend({"model": "openai/gpt-4o-mini"}).price
        assert known is not None and known.cost(1_000_000, 0) == pytest.approx(0.15)
        assert open_backend({"model": "openai/unheard-of"}).price is None
        own = open_backend({"model": "openai/gpt-4o-mini", "price": {"input": 5, "output": 6}}).price
        assert own is not None and own.cost(1_000_000, 1_000_000) == 11


class TestSchema:
    @pytest.mark.parametrize(
        ("model", "format", "wanted"),
        [
            ("openai/gpt-4o-mini", "json_list", True), ("openai/gpt-4o-mini", "tanl", False),
            ("openai/unheard-of", "json_list", False), ("hosted_vllm/x", "json_list", False),
        ],
    )  # fmt: skip
    def test_is_asked_for_where_format_and_model_have_one(
        self, server: Loopback, model: str, format: str, wanted: bool
    ) -> None:
        server.script = lambda body: '{"mentions": [{"text": "aspirin", "label": "drug"}]}'
        program = tiny.program(format={"name": format})
        with dspy.context(lm=open_at(server, model)):
            found = program(text="Takes aspirin.").entities
            again = asyncio.run(program.acall(text="Takes aspirin, too.")).entities
        bodies = list(server.bodies())
        assert len(bodies) == 2 and all(("response_format" in body) is wanted for body in bodies)
        if wanted:
            schema = bodies[0]["response_format"]["json_schema"]
            assert schema["strict"] is True
            item = schema["schema"]["properties"]["mentions"]["items"]
            assert item["properties"]["label"]["enum"] == ["drug", "problem"]
            assert [e.text for e in found] == [e.text for e in again] == ["aspirin"]
