"""[lm.prompt] and [lm.strong]: who is asked, where private text may go, and one account for all."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from experiments.bundle_lm import bundle_model
from experiments.errors import SpecError
from experiments.session import CostLimit, answerer, at_most, check_hosts, session, wants
from experiments.spec import Model
from ner_programs.lms.metered import Budget, BudgetSpent
from ner_programs.privacy import PRIVATE, PUBLIC, PrivacyError
from ner_programs.spec import ProgramSpec
from tests.loopback import Loopback

PRICE = {"input": 1000.0, "output": 1000.0}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


@pytest.fixture
def servers() -> Iterator[dict[str, Loopback]]:
    """One for the task, one for each role; each says who it is."""
    with Loopback() as task, Loopback() as prompt, Loopback() as strong:
        there = {"task": task, "prompt": prompt, "strong": strong}
        for name, server in there.items():
            server.script = lambda body, name=name: name  # type: ignore[misc]
        yield there


def model_of(servers: dict[str, Loopback], **more: Any) -> Model:
    tables = {
        name: {"model": f"openai/{name}", "api_base": server.base, "max_tokens": 50, "price": PRICE}
        for name, server in servers.items()
    }
    return Model.model_validate({**tables.pop("task"), **tables, "concurrency": 3, "retries": 0, **more})


class TestWhoIsAsked:
    def test_each_role_its_own_host_and_the_account_counts_all(
        self, servers: dict[str, Loopback], tmp_path: Path
    ) -> None:
        answers, ledger = tmp_path / "answers.db", tmp_path / "ledger.jsonl"
        for again in (False, True):
            with session(model_of(servers), privacy=PRIVATE, answers=answers, ledger=ledger) as lm:
                assert [lm("q"), lm.role("prompt")("q"), lm.role("strong")("q")] == [["task"], ["prompt"], ["strong"]]
                assert (lm.role("strong").concurrency, lm.role("strong").kwargs["max_tokens"]) == (3, 50)
            assert [len(server.requests) for server in servers.values()] == [1, 1, 1], again
            said = lm.spent()
            assert (said["calls"], said["attempts"], said["cached"]) == (3, 3, 0), (
                "a killed run counts what it had sent"
            )
            assert said["cost"] == pytest.approx(said["tokens"] * 1e-3)
        events = [json.loads(line)["event"] for line in ledger.read_text().splitlines()]
        assert events == ["reserved", "answered"] * 3 + ["cached"] * 3

    def test_a_limit_holds_over_all(self, servers: dict[str, Loopback]) -> None:
        with session(model_of(servers), privacy=PUBLIC) as lm:
            with lm.meter.limited(Budget(calls=2)), pytest.raises(BudgetSpent):
                for role in ("prompt", "strong", "prompt"):
                    lm.role(role)("q")
                lm("q")
            with pytest.raises(CostLimit, match="2 calls"), at_most(lm, 0.01):
                lm.role("strong")("another")
        assert [len(server.requests) for server in servers.values()] == [0, 1, 1]

    def test_the_stand_in_takes_a_role_in_the_same_processes(self) -> None:
        model = Model.model_validate({"prompt": {"model": "crf", "temperature": 1.0}})
        with session(model, privacy=PRIVATE) as lm:
            assert lm.role("prompt").meter.backend is lm.meter.backend and not lm.has_role("strong")
            assert lm.role("prompt").kwargs["temperature"] == 1.0

    def test_what_was_opened_is_closed(self, servers: dict[str, Loopback]) -> None:
        model = model_of(servers, prompt={"model": "crf"})
        with session(model, privacy=PUBLIC) as lm:
            engine: Any = lm.role("prompt").meter.backend
            if engine._workers is None:
                pytest.skip("one core: the engine has no processes")
        assert engine._workers._closed

    def test_who_takes_a_role_decides_the_answers(self) -> None:
        plain = Model()
        strong = Model.model_validate({"strong": {"model": "openai/x", "api_base": "http://127.0.0.1:1/v1"}})
        prompt = Model.model_validate({"prompt": {"model": "openai/x", "api_base": "http://127.0.0.1:1/v1"}})
        elsewhere = Model.model_validate({"strong": {"model": "openai/x", "api_base": "http://127.0.0.1:2/v1"}})
        assert len({answerer(m) for m in (plain, strong, elsewhere)}) == 3
        assert len({m.model_dump_json() for m in (prompt, strong)}) == 2


class TestPrivate:
    """Design D16, for each role."""

    @pytest.mark.parametrize("role", ["prompt", "strong"])
    @pytest.mark.parametrize(
        ("own", "lm", "message"),
        [
            ({}, {}, r"lm\.ROLE \(openai/x\) has no lm\.ROLE\.api_base: .* in lm\.ROLE\.allow_hosts"),
            ({"api_base": "http://b.example/v1"}, {}, r"sent to b\.example: allow it with lm\.ROLE\.allow_hosts"),
            ({"api_base": "http://b.example/v1"}, {"allow_hosts": ["a.example"]}, r"may not be sent to b\.example"),
            ({"api_base": "http://a.example/v1", "allow_hosts": []}, {"allow_hosts": ["a.example"]}, r"a\.example"),
            (
                {"api_base": "http://127.0.0.1@b.example/v1"},
                {},
                r"lm\.ROLE\.api_base is refused: a user name before b\.ex",
            ),
        ],
    )
    def test_another_host_is_refused(self, role: str, own: Any, lm: Any, message: str, tmp_path: Path) -> None:
        model = Model.model_validate({**lm, role: {"model": "openai/x", **own}})
        said = message.replace("ROLE", role)
        with pytest.raises(PrivacyError, match=said):
            check_hosts(model, PRIVATE)
        with pytest.raises(PrivacyError, match=said), session(model, privacy=PRIVATE, ledger=tmp_path / "ledger.jsonl"):
            pass
        assert not [*tmp_path.iterdir()]
        if "@" not in str(own):
            with session(model, privacy=PUBLIC):
                pass

    @pytest.mark.parametrize(
        ("own", "lm"),
        [
            ({"api_base": "http://a.example/v1"}, {"allow_hosts": ["A.example"]}),
            ({"api_base": "http://a.example/v1", "allow_hosts": ["a.Example"]}, {}),
            ({"api_base": "http://localhost:1/v1", "allow_hosts": []}, {}),
        ],
    )
    def test_what_is_allowed_is_not(self, own: Any, lm: Any) -> None:
        check_hosts(Model.model_validate({**lm, "strong": {"model": "openai/x", **own}}), PRIVATE)

    def test_what_a_role_may_be_sent_is_not_what_the_task_may(self) -> None:
        own = {"model": "openai/x", "api_base": "http://a.example/v1", "allow_hosts": ["a.example"]}
        model = Model.model_validate({"model": "openai/y", "api_base": "http://a.example/v1", "prompt": own})
        with pytest.raises(PrivacyError, match=r"allow it with lm\.allow_hosts"):
            check_hosts(model, PRIVATE)

    def test_what_a_session_sets_is_afterwards_as_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_PROXY", "b.example")
        log, before = logging.getLogger("dspy"), dict(os.environ)
        level = log.level
        for _ in range(2):
            with session(Model(), privacy=PRIVATE):
                with session(Model(), privacy=PRIVATE):
                    assert log.level == logging.CRITICAL and os.environ["HF_HUB_OFFLINE"] == "1"
                assert log.level == logging.CRITICAL and os.environ["HF_HUB_OFFLINE"] == "1"
            assert log.level == level and dict(os.environ) == before

    def test_no_text_is_in_the_ledger(self, servers: dict[str, Loopback], tmp_path: Path) -> None:
        with session(model_of(servers), privacy=PRIVATE, ledger=tmp_path / "ledger.jsonl") as lm:
            for role in ("prompt", "strong"):
                lm.role(role)("Mr Smith has gout")
        written = (tmp_path / "ledger.jsonl").read_text()
        assert "reserved" in written and "Smith" not in written and "sk-test" not in written


class TestBundles:
    def test_a_bundle_names_the_strong_model_and_no_host(self, servers: dict[str, Loopback]) -> None:
        named = {"model": "openai/task", "max_tokens": 50, "strong": {"model": "openai/strong", "max_tokens": 50}}
        plain = ProgramSpec(labels={"drug": "A medicine."}).build()
        asking = plain.with_settings(verify={"name": "strong"})
        cascade = plain.with_settings(verify={"name": "cascade", "of": {"name": "strong"}, "threshold": 0.5})
        assert wants(model_of(servers), asking) == named == wants(model_of(servers), cascade)
        assert wants(model_of(servers), plain) == {"model": "openai/task", "max_tokens": 50}, "it asks no other LM"
        assert wants(Model(), asking) == {"model": "crf"}

    def test_the_command_line_says_where_it_is(self) -> None:
        wanted = {"model": "crf", "strong": {"model": "openai/big"}}
        model = bundle_model(None, ["lm.strong.api_base=http://127.0.0.1:1/v1", "lm.retries=1"], wanted)
        assert (model.model, model.retries, model.roles["strong"].api_base) == ("crf", 1, "http://127.0.0.1:1/v1")
        with pytest.raises(SpecError, match=r"compiled with openai/big .* --set lm\.strong\.model=openai/big"):
            bundle_model("openai/y", [], wanted)
        other = bundle_model("openai/y", ["lm.strong.model=openai/big"], wanted)
        assert (other.model, other.roles["strong"].model) == ("openai/y", "openai/big"), "--lm is the task's LM"
        assert wanted == {"model": "crf", "strong": {"model": "openai/big"}}
        with (
            pytest.raises(SpecError, match=r"lm\.strong: api has no option 'zz'; it has: model, api_base"),
            session(bundle_model(None, ["lm.strong.model=openai/big", "lm.strong.zz=1"], wanted), privacy=PUBLIC),
        ):
            raise AssertionError("nothing is asked")
        with pytest.raises(ValidationError):
            Model.model_validate({"strong": {}})
