"""Cassettes: recorded answers give the same program and entities with no server, and never a guess."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.lm15 import Request

import optimizers
from ner_programs import LMSetupError, NERProgram
from ner_programs.bundle.state import state_of
from ner_programs.lms import open_backend, open_lm
from ner_programs.lms.metered import Account, Meter, MeteredLM
from ner_programs.lms.price import Price
from ner_programs.lms.replay import Recorder
from ner_programs.lms.store import AnswerStore
from tests.tiny import DEV, TEST, TRAIN, Scripted, gold, program


def recording(path: Path, backend: Any | None = None, **meter: Any) -> MeteredLM:
    backend = backend or Scripted(gold)
    return MeteredLM(Meter(backend, tape=Recorder(backend, path), **meter))


SEARCH = {"name": "random_search", "candidates": 4, "k": 3, "budget": {"calls": 60}}


def compiled(lm: MeteredLM) -> tuple[NERProgram, list[Any]]:
    with dspy.context(lm=lm):
        made = optimizers.compile(program(), SEARCH, train=TRAIN, dev=DEV)
        return made, [made(text=d.text).entities for d in TEST]


class TestReplay:
    def test_gives_the_same_program_and_entities(self, tmp_path: Path) -> None:
        cassette = tmp_path / "recorded" / "c.jsonl"
        made, found = compiled(recording(cassette, Scripted(lambda r: gold(r, lambda text: "fever" in text))))
        again, refound = compiled(open_lm("replay", path=cassette))
        assert state_of(again) == state_of(made) and again.spec == made.spec
        assert refound == found and any(found) and not all(found)

    def test_several_samples_are_kept_apart(self, tmp_path: Path) -> None:
        numbers = iter(range(100))
        lm = recording(tmp_path / "c.jsonl", Scripted(lambda r: f"answer {next(numbers)}"))
        drawn = lm("q", n=3, temperature=1.0)
        rollout = lm("q", temperature=1.0, rollout_id=7)
        replay = open_lm("replay", path=tmp_path / "c.jsonl")
        with ThreadPoolExecutor(4) as pool:
            again = list(pool.map(lambda _: replay("q", n=3, temperature=1.0), range(8)))
        assert again == [drawn] * 8 and len(set(drawn)) == 3
        assert replay("q", temperature=1.0, rollout_id=7) == rollout

    def test_what_the_store_answers_is_recorded_too(self, tmp_path: Path) -> None:
        store = AnswerStore()
        MeteredLM(Meter(Scripted(lambda r: "first"), account=Account(store=store)))("q")
        lm = recording(tmp_path / "c.jsonl", Scripted(lambda r: "second"), account=Account(store=store))
        assert lm("q") == ["first"] == open_lm("replay", path=tmp_path / "c.jsonl")("q")

    def test_an_answer_is_recorded_once(self, tmp_path: Path) -> None:
        lm = recording(tmp_path / "c.jsonl")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: lm(f"q{n % 5}"), range(40)))
        lines = (tmp_path / "c.jsonl").read_text().splitlines()
        assert len(lines) == 1 + 5 and len({json.loads(line)["key"] for line in lines[1:]}) == 5

    def test_a_request_that_was_not_recorded_is_a_clear_error(self, tmp_path: Path) -> None:
        lm = recording(tmp_path / "c.jsonl")
        with dspy.context(lm=lm):
            program()(text=DEV[0].text)
        with dspy.context(lm=open_lm("replay", path=tmp_path / "c.jsonl")):
            program()(text=DEV[0].text)
            with pytest.raises(LMSetupError, match=r"c\.jsonl holds no answer to this request") as raised:
                program()(text=DEV[1].text)
        assert DEV[1].text not in str(raised.value)

    def test_price_and_schema_are_those_of_the_recorded_model(self, tmp_path: Path) -> None:
        backend = Scripted(gold)
        backend.supports_schema, backend.price = True, Price(2.0, 3.0)  # type: ignore[misc]
        with dspy.context(lm=recording(tmp_path / "c.jsonl", backend)):
            program()(text=DEV[0].text)
        assert backend.requests[0].config.response_format is not None
        replay = open_backend({"model": "replay", "path": tmp_path / "c.jsonl"})
        assert replay.supports_schema is True and replay.price == Price(2.0, 3.0)
        with dspy.context(lm=open_lm("replay", path=tmp_path / "c.jsonl")):
            assert program()(text=DEV[0].text).entities == DEV[0].entities

    def test_holds_no_prompt_and_is_for_the_user_alone(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            recording(tmp_path / "c.jsonl", Scripted(lambda r: "fine \ud83d"))("Mr Smith has gout")
        finally:
            os.umask(before)
        assert "Smith" not in (tmp_path / "c.jsonl").read_text()
        assert stat.S_IMODE((tmp_path / "c.jsonl").stat().st_mode) == 0o600
        assert open_lm("replay", path=tmp_path / "c.jsonl")("Mr Smith has gout") == ["fine \ud83d"]


class TestBrokenCassettes:
    def recorded(self, path: Path, questions: int = 3) -> bytes:
        lm = recording(path)
        for n in range(questions):
            lm(f"q{n}")
        return path.read_bytes()

    def test_one_that_was_cut_off_opens_and_is_gone_on_with(self, tmp_path: Path) -> None:
        path = tmp_path / "c.jsonl"
        whole = self.recorded(path)
        ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
        for cut in (ends[1] + 30, ends[2] - 1, ends[2], 5, 15, ends[0] - 1, ends[0], 0):
            path.write_bytes(whole[:cut])
            kept = sum(end <= cut for end in ends) - 1
            if kept >= 0:
                replay = open_lm("replay", path=path)
                assert [replay(f"q{n}") for n in range(kept)] == [["[]"]] * kept
            assert self.recorded(path) == whole

    def test_another_models_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "c.jsonl"
        whole = self.recorded(path)
        with pytest.raises(LMSetupError, match="holds answers of scripted/x; record scripted/y to another file"):
            Recorder(Scripted(model="scripted/y"), path)
        assert path.read_bytes() == whole

    @pytest.mark.parametrize("content", ["", "hello\n", "{}\n", "[1]\n", '{"model": "m"}\n{"key": "k"}\n', "a note"])
    def test_what_is_no_cassette_is_refused(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "c.jsonl"
        path.write_text(content)
        with pytest.raises(LMSetupError, match=r"c\.jsonl: not a cassette"):
            open_backend({"model": "replay", "path": path})
        if content:
            with pytest.raises(LMSetupError, match=r"c\.jsonl: not a cassette"):
                Recorder(Scripted(), path)
            assert path.read_text() == content

    def test_a_path_is_needed(self, tmp_path: Path) -> None:
        with pytest.raises(LMSetupError, match=r"lm\.path"):
            open_lm("replay")
        with pytest.raises(LMSetupError, match="not a cassette"):
            open_lm("replay", path=tmp_path / "missing.jsonl")

    def test_the_key_is_the_request_and_not_the_models_name(self, tmp_path: Path) -> None:
        asked: list[Request] = []
        self.recorded(tmp_path / "c.jsonl", 1)
        lm = open_lm("replay", path=tmp_path / "c.jsonl")
        complete = lm.meter.backend.complete
        lm.meter.backend.complete = lambda r: (asked.append(r), complete(r))[1]  # type: ignore[method-assign]
        lm("q0")
        assert asked[0].model == "replay/scripted/x"
