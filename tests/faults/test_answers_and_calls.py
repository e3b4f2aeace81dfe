"""Bad answers are recovered from and counted; failed calls are unanswered, and an outage never chooses a program (D6)."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import dspy
import pytest

import optimizers
from ner_programs import LMSetupError
from ner_programs.errors import OutageError
from ner_programs.evaluate import score
from ner_programs.lms import open_lm
from ner_programs.lms.metered import Budget, MeteredLM
from ner_programs.lms.price import Price
from optimizers.search import Search
from optimizers.trial import Compilation, Trial
from tests import loopback
from tests.faulty import Body
from tests.loopback import Loopback
from tests.tiny import DEV, DRUGS, PROBLEMS, TRAIN, documents, program


def scripted(body: Body) -> str:
    text = loopback.last_turn(body).rpartition("### text\n")[2]
    said = [(w, "drug") for w in DRUGS if w in text] + [(w, "problem") for w in PROBLEMS if w in text]
    return json.dumps([{"text": w, "label": label} for w, label in said])


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return loopback.without_waiting(monkeypatch)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(script=scripted) as running:
        yield running


@pytest.fixture
def lm(server: Loopback) -> Iterator[MeteredLM]:
    metered = open_lm("hosted_vllm/x", api_base=server.base)
    with dspy.context(lm=metered, disable_history=True):
        yield metered


DOCUMENT = DEV[0]
Ask = Callable[[Any], dspy.Prediction]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    if request.param == "sync":
        return lambda made: made(text=DOCUMENT.text)
    return lambda made: asyncio.run(made.acall(text=DOCUMENT.text))


class TestAnswers:
    """A bad answer never raises, is not asked for again, and is counted."""

    def test_what_is_readable_among_nonsense_is_kept(self, server: Loopback, lm: MeteredLM, ask: Ask) -> None:
        server.script = lambda body: (
            f'Sure! {scripted(body)} and {{"text": 5}}, {{"text": "aspirin", "label": "planet"}}'
        )
        said = ask(program())
        assert said.entities == DOCUMENT.entities and said.unreadable == 2

    @pytest.mark.parametrize("stage", ["extract", "verify"])
    def test_so_it_is_for_the_verifier(self, server: Loopback, lm: MeteredLM, ask: Ask, stage: str) -> None:
        server.script = lambda body: (
            "???" if ("### candidates" in loopback.last_turn(body)) is (stage == "verify") else scripted(body)
        )
        said = ask(program(verify={"name": "llm", "mode": "reject"}))
        assert said.unreadable == 1 and said.unanswered == 0
        assert said.entities == (DOCUMENT.entities if stage == "verify" else ())


class TestCalls:
    @pytest.mark.parametrize(("status", "code"), [(401, "invalid_api_key"), (403, None), (404, "model_not_found")])
    def test_what_a_provider_says_is_not_quoted(
        self, server: Loopback, lm: MeteredLM, ask: Ask, status: int, code: str | None
    ) -> None:
        """It may hold the prompt, and the prompt a patient."""
        server.fault = lambda body: loopback.quoting(status, code)
        with pytest.raises(LMSetupError) as raised:
            ask(program())
        said = str(raised.value)
        assert said.startswith("[hosted_vllm/x] ") and f"HTTP {status}" in said and "\n" not in said
        everything = "".join(traceback.format_exception(raised.value))
        assert not [w for w in (DOCUMENT.text, *DRUGS, *PROBLEMS) if w in everything]

    def test_what_is_said_on_our_side_is_kept(self, lm: MeteredLM, ask: Ask) -> None:
        lm.meter.backend.price = Price(1.0, 1.0)
        with lm.meter.limited(Budget(cost=1000.0)), pytest.raises(LMSetupError, match=r"needs lm\.max_tokens"):
            ask(program())

    def test_a_failed_extraction_is_not_verified(self, server: Loopback, lm: MeteredLM, ask: Ask) -> None:
        server.fault = lambda body: loopback.FILTERED
        said = ask(program(verify={"name": "llm", "mode": "full"}))
        assert said.unanswered == 1 and len(server.requests) == 1

    def test_the_units_of_a_document_fail_one_by_one(self, server: Loopback, lm: MeteredLM) -> None:
        server.fault = lambda body: loopback.FILTERED if "gout" in loopback.last_turn(body) else None
        said = program(unit="sentence")(text="Takes aspirin for fever. Has gout. Stopped codeine.")
        assert [e.text for e in said.entities] == ["aspirin", "fever", "codeine"] and said.unanswered == 1


class TestOutages:
    """100 dev documents: up to two may fail."""

    DEV = documents(100, "o")

    def fail(self, server: Loopback, *numbers: int) -> None:
        texts = [self.DEV[n].text for n in numbers]
        server.fault = lambda body: loopback.FILTERED if any(t in loopback.last_turn(body) for t in texts) else None

    @pytest.mark.parametrize(("failed", "rankable"), [(0, True), (2, True), (3, False)])
    def test_two_per_cent(self, server: Loopback, lm: MeteredLM, failed: int, rankable: bool) -> None:
        self.fail(server, *range(failed))
        scored = score(program(), self.DEV)
        assert scored.total.unanswered == failed and scored.rankable is rankable
        assert scored.total.gold - scored.total.correct == 2 * failed  # missed, and seen to be missed
        assert scored.total.precision == 1.0

    def test_an_outage_does_not_choose_the_program(self, server: Loopback, lm: MeteredLM) -> None:
        """The better candidate meets the outage: it is reported, and not ranked, but neither is it called worse."""
        trials: list[Trial] = []
        worse, better = program(), program(demos={"name": "random", "k": 1})
        worse_script = scripted
        server.script = lambda b: (
            worse_script(b) if len(b["messages"]) > 2 or "heparin" not in str(b["messages"]) else "[]"
        )
        server.fault = lambda b: (
            loopback.FILTERED if len(b["messages"]) > 2 and "fever" in b["messages"][-1]["content"] else None
        )
        search = Search(worse, self.DEV, Compilation(lm, on_trial=trials.append))
        for number, made in enumerate((worse, better), 1):
            search.score(made, {"n": number}, search.order)
        assert [t.number for t in trials] == [1, 2] and [c.number for c in search.best()] == [1]
        assert search.choose() is worse
        assert trials[1].scored.total.unanswered > 2

    @pytest.mark.parametrize("optimizer", ["none", "random_search"])
    def test_when_nothing_is_answered_there_is_no_program(
        self, server: Loopback, lm: MeteredLM, optimizer: str
    ) -> None:
        server.fault = lambda body: loopback.FILTERED
        with pytest.raises(OutageError, match=r"2% of the LM calls failed .*LMInvalidRequestError 400 content_filter"):
            optimizers.compile(program(), {"name": optimizer}, train=TRAIN, dev=DEV)

    def test_what_was_answered_is_kept(self, server: Loopback, lm: MeteredLM) -> None:
        self.fail(server, 1, 2, 3)
        with pytest.raises(OutageError):
            optimizers.compile(program(), {"name": "none"}, train=TRAIN, dev=self.DEV)
        server.fault = lambda body: None
        optimizers.compile(program(), {"name": "none"}, train=TRAIN, dev=self.DEV)
        assert len(server.requests) == 100 + 3 and lm.meter.spent.calls == 100
