"""Optimizers killed with -9 at random moments: no finished call is sent twice, and the program is that of an undisturbed run.

`NERC_KILLS=20 pytest tests/faults/test_kill_optimizers.py` kills each so often; by default it is a few times.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.faults.test_kill import Lab, compiled, figures
from tests.loopback import Loopback
from tests.tiny import write_corpus

KILLS = int(os.environ.get("NERC_KILLS", "3"))
SPECS = {
    "random_search": '{ name = "random_search", k = 3, budget = { calls = 70 } }',
    "mipro": '{ name = "mipro", budget = { calls = 90 } }',
    "gepa": '{ name = "gepa", budget = { calls = 90 } }',
    "race": '{ name = "race", budget = { calls = 90 } }',
}
SPEC = """
name = "tiny"
[corpus]
name = "jsonl"
path = "notes"
private = false
[labels]
drug = "A medicine."
problem = "A symptom or disease."
[program]
demos = { name = "tfidf", k = 2 }
[lm]
model = "hosted_vllm/tiny"
"""


def lab(folder: Path, server: Loopback, optimizer: str, concurrency: int) -> Lab:
    made = Lab(folder, server, concurrency)
    write_corpus(folder / "notes", train=30, dev=12)
    (folder / "my.toml").write_text(f"optimizer = {SPECS[optimizer]}\n{SPEC}")
    return made


@dataclass(frozen=True)
class Whole:
    """The run of an optimizer that nobody killed, its program, and how often each content was asked for.

    MIPROv2 asks for instructions with the same words at several temperatures: these are several calls.
    """

    optimizer: str
    ran: warm.Ran
    files: dict[str, Any]
    counts: Counter[str]


@pytest.fixture(scope="module", params=sorted(SPECS))
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """An optimizer, and its run that nobody killed."""
    with Loopback() as server:
        undisturbed = lab(tmp_path_factory.mktemp(request.param) / "lab", server, request.param, 1)
        ran = undisturbed.run()
        assert ran.code == 0, ran.stderr
        assert ran.json["lm_calls"] == len(server.requests) > 40
        return Whole(request.param, ran, compiled(ran.json["bundle"]), server.counts)


@pytest.fixture(params=[1, 4], ids=["one at a time", "four at a time"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Loopback, int]]:
    with Loopback(latency=0.003) as made:
        yield made, request.param


def test_killed_and_run_again(whole: Whole, server: tuple[Loopback, int], tmp_path: Path) -> None:
    loopback, concurrency = server
    requests = whole.counts.total()
    killed = lab(tmp_path / "lab", loopback, whole.optimizer, concurrency)
    rng = random.Random(f"{whole.optimizer} {concurrency}")
    points = sorted(rng.sample(range(2, requests - 2), min(KILLS, requests - 4)))
    for step in (b - a for a, b in zip([0, *points], points, strict=False)):
        assert killed.killed_at(step).code == -signal.SIGKILL
    again = killed.run()
    assert again.code == 0, again.stderr

    assert compiled(again.json["bundle"]) == whole.files
    assert again.json["lm_calls"] == whole.ran.json["lm_calls"] and again.json["test"] == whole.ran.json["test"]
    assert (loopback.counts - whole.counts).total() <= killed.unsettled <= KILLS * concurrency
    settled: set[str] = set()
    for event, key in killed.events():
        assert not (event == "reserved" and key in settled)
        settled |= {key} if event in ("answered", "cached") else set()
    assert len(settled) == whole.ran.json["lm_calls"]
    if concurrency == 1:
        assert figures(again) == figures(whole.ran)
