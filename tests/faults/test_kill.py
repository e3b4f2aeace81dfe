"""Killed with -9 at any moment and run again: the same program, the same calls, nothing paid twice, nothing half-written."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.effort import THOROUGH, often
from tests.lab import CORPUS, Lab
from tests.loopback import Loopback

TRIALS = "SELECT run_uuid FROM tags WHERE key = 'nerc.kind' AND value = 'trial'"
SPEC = f"""
name = "tiny"
{CORPUS}
[program]
format = {{ name = "tanl" }}
verify = {{ name = "llm", k = 2 }}
[optimizer]
name = "random_search"
candidates = 4
k = 3
budget = {{ calls = 90 }}
[lm]
model = "hosted_vllm/tiny"
price = {{ input = 1.0, output = 1.0 }}
"""


class Killed(Lab):
    """A lab whose runs are killed, and the server that they ask."""

    def __init__(self, folder: Path, server: Loopback, concurrency: int, spec: str = SPEC, **sizes: int) -> None:
        super().__init__(folder, spec, **sizes)
        self.server = server
        where = ("--set", f"lm.api_base={server.base}", "--set", f"lm.concurrency={concurrency}")
        self.words, self.concurrency = ("run", "my.toml", *where, "--json"), concurrency
        self.in_flight: Counter[str] = Counter()  # at how many kills a call was sent and not settled

    def run(self, before: str = "") -> warm.Ran:
        return self.nerc(*self.words, before=before)

    def killed(self, number: int) -> warm.Ran:
        """Run, and kill when the server has got so many requests more; what was not settled then may be repeated."""
        before = len(self.events())
        ran = self.killed_at(self.server, number, *self.words)
        last = {key: event for event, key in self.events()[before:]}
        self.in_flight.update(key for key, event in last.items() if event == "reserved")
        return ran

    def events(self) -> list[tuple[str, str]]:
        """Return the ledger: what happened to which request."""
        return [(row["event"], row["key"]) for row in self.ledger()]

    def ledger(self) -> list[dict[str, Any]]:
        ledgers = list(self.home.glob("work/*/ledger.jsonl"))
        assert len(ledgers) <= 1
        return [json.loads(line) for file in ledgers for line in file.read_text().rpartition("\n")[0].splitlines()]

    def sampled(self) -> int:
        """Return how many calls asked for another answer to words that were sent already, or may have been."""
        return sum("sample" in row for row in self.ledger())

    def reserved(self) -> Counter[str]:
        """Return how often each call was about to be sent."""
        return Counter(key for event, key in self.events() if event == "reserved")

    def assert_only_in_flight_repeated(self, kills: int) -> None:
        """A call is sent once, and once more for each kill that found it in flight: at most `concurrency` a kill."""
        assert 0 < self.in_flight.total() <= kills * self.concurrency
        assert Counter({key: n - 1 for key, n in self.reserved().items()}) <= self.in_flight
        assert len(self.server.requests) <= self.reserved().total()
        settled: set[str] = set()
        for event, key in self.events():
            assert not (event == "reserved" and key in settled)
            settled |= {key} if event in ("answered", "cached") else set()
        assert settled == self.reserved().keys()

    @property
    def bundles(self) -> list[Path]:
        return sorted(f for f in (self.home / "bundles").glob("*") if not f.name.startswith("."))

    def mlflow(self) -> list[tuple[str, str]]:
        with sqlite3.connect(self.home / "mlflow.db") as store:
            return list(store.execute(f"SELECT run_uuid, status FROM runs WHERE run_uuid NOT IN ({TRIALS})"))

    def steps(self) -> list[int]:
        with sqlite3.connect(self.home / "mlflow.db") as store:
            found = f"SELECT step FROM metrics WHERE key = 'trial_f1' AND run_uuid NOT IN ({TRIALS}) ORDER BY step"
            return [step for (step,) in store.execute(found)]

    def trials(self) -> list[int]:
        """Return the numbers of the trials that are nested runs, all of them finished."""
        number = "SELECT CAST(value AS INTEGER) FROM tags JOIN runs USING (run_uuid) WHERE key = 'nerc.trial'"
        finished = " AND status = 'FINISHED' AND lifecycle_stage = 'active' ORDER BY 1"
        with sqlite3.connect(self.home / "mlflow.db") as store:
            return [n for (n,) in store.execute(number + finished)]

    def sent_twice(self) -> Counter[str]:
        return Counter({content: n - 1 for content, n in self.server.counts.items() if n > 1})


def compiled(bundle: str | Path) -> dict[str, Any]:
    """Return everything of a bundle that decides what it does."""
    files = {f.name: json.loads(f.read_text()) for f in Path(bundle).glob("*.json")}
    assert files.keys() == {"manifest.json", "program.json", "state.json"}
    return files


def figures(ran: warm.Ran) -> dict[str, Any]:
    """Return the figures that do not depend on the clock or on where the run lies."""
    return {k: v for k, v in ran.json.items() if k not in ("run_id", "bundle", "seconds")}


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Killed]:
    with Loopback(latency=0.003) as server:
        yield Killed(tmp_path / "lab", server, request.param)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[warm.Ran, dict[str, Any], int]:
    """The run that nobody killed."""
    with Loopback() as server:
        lab = Killed(tmp_path_factory.mktemp("whole") / "lab", server, 1)
        ran = lab.run()
        assert ran.code == 0, ran.stderr
        assert not lab.sent_twice() and len(lab.bundles) == 1
        return ran, compiled(ran.json["bundle"]), len(server.requests)


def test_the_run_is_worth_killing(whole: tuple[warm.Ran, dict[str, Any], int]) -> None:
    ran, files, requests = whole
    assert ran.json["lm_calls"] == requests == ran.json["spent"]["attempts"] > 60
    assert files["state.json"]["extract.predict"]["demos"] and files["state.json"]["verify.verifier.predict"]["demos"]
    assert ran.json["cost"] > 0 and 0 < ran.json["test"]["micro_f1"] < 1


@pytest.mark.parametrize("lab", [1, 4] if THOROUGH else [4], indirect=True, ids=lambda n: f"{n} at a time")
def test_killed_again_and_again_while_compiling_or_scoring(
    lab: Killed, whole: tuple[warm.Ran, dict[str, Any], int]
) -> None:
    ran, files, requests = whole
    points = sorted(random.Random(lab.concurrency).sample(range(3, requests - 2), often(2, 10)))
    steps = [b - a for a, b in zip([0, *points], points, strict=False)]
    for step in steps:
        assert lab.killed(max(step, 1)).code == -signal.SIGKILL
        assert not lab.bundles
    again = lab.run()
    assert again.code == 0, again.stderr

    assert compiled(again.json["bundle"]) == files
    assert again.json["lm_calls"] == ran.json["lm_calls"] and again.json["test"] == ran.json["test"]
    lab.assert_only_in_flight_repeated(len(steps))
    assert sum(lab.sent_twice().values()) <= lab.in_flight.total()
    assert len(lab.reserved()) == ran.json["lm_calls"]
    if lab.concurrency == 1:
        assert figures(again) == figures(ran)
    assert [status for _, status in lab.mlflow()] == ["FINISHED"] and lab.mlflow()[0][0] == again.json["run_id"]
    assert lab.bundles == [Path(again.json["bundle"])]


KILL_AT_STATE = """
import os, signal
from ner_programs.bundle import folder
write = folder.write
def dies(file, content):
    if file.name == "state.json":
        file.write_text("{")
        os.kill(os.getpid(), signal.SIGKILL)
    write(file, content)
folder.write = dies
"""

KILL_BEFORE_SETTLED = """
import os, signal
from ner_programs.lms.ledger import Ledger
write, answered = Ledger.write, []
def dies(self, event, key, **details):
    answered.append(event == "answered")
    if sum(answered) == 20:
        self._file.write('{"event": "answ')
        self._file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, event, key, **details)
Ledger.write = dies
"""

KILL_AFTER_BUNDLE = """
import os, signal
from experiments.runs.recorder import RunRecorder
RunRecorder.result = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("lab", [1], indirect=True)
def test_killed_where_it_hurts(lab: Killed, whole: tuple[warm.Ran, dict[str, Any], int]) -> None:
    """Between an answer's store and its ledger line, in the middle of writing the bundle, and before the run is closed."""
    ran, files, requests = whole
    assert lab.run(KILL_BEFORE_SETTLED).code == -signal.SIGKILL
    assert lab.run(KILL_AT_STATE).code == -signal.SIGKILL
    assert not lab.bundles and len(lab.server.requests) == requests
    assert lab.run(KILL_AFTER_BUNDLE).code == -signal.SIGKILL
    assert len(lab.bundles) == 1
    again = lab.run()
    assert again.code == 0, again.stderr
    assert compiled(again.json["bundle"]) == files and figures(again) == figures(ran)
    assert not lab.sent_twice() and len(lab.server.requests) == requests
    assert [status for _, status in lab.mlflow()] == ["FINISHED"] and len(lab.bundles) == 1
    assert lab.trials() == lab.steps() == sorted(set(lab.steps())) != []

    fresh = lab.run()  # finished: the same spec begins a new run, whose calls are all known
    assert fresh.json["run_id"] != again.json["run_id"] and compiled(fresh.json["bundle"]) == files
    assert fresh.json["lm_calls"] == ran.json["lm_calls"] == fresh.json["spent"]["cached"] and fresh.json["cost"] == 0
    assert len(lab.server.requests) == requests and len(lab.bundles) == 2
