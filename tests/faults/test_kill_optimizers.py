"""Optimizers killed with -9 at random moments: no finished call is sent twice, and the program is that of an undisturbed run.

`NERC_KILLS=20 pytest tests/faults/test_kill_optimizers.py` kills each so often; by default it is a few times.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.faults.test_kill import Lab, compiled, figures
from tests.loopback import Loopback

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
    (folder / "my.toml").write_text(f"optimizer = {SPECS[optimizer]}\n{SPEC}")
    return made


@pytest.fixture(scope="module", params=sorted(SPECS))
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, warm.Ran, dict[str, Any], int]:
    """An optimizer, and its run that nobody killed."""
    with Loopback() as server:
        undisturbed = lab(tmp_path_factory.mktemp(request.param) / "lab", server, request.param, 1)
        ran = undisturbed.run()
        assert ran.code == 0, ran.stderr
        assert not undisturbed.sent_twice()
        assert ran.json["lm_calls"] == len(server.requests) > 30
        return request.param, ran, compiled(ran.json["bundle"]), len(server.requests)


@pytest.fixture(params=[1, 4], ids=["one at a time", "four at a time"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Loopback, int]]:
    with Loopback(latency=0.003) as made:
        yield made, request.param


def test_killed_and_run_again(
    whole: tuple[str, warm.Ran, dict[str, Any], int], server: tuple[Loopback, int], tmp_path: Path
) -> None:
    optimizer, ran, files, requests = whole
    loopback, concurrency = server
    killed = lab(tmp_path / "lab", loopback, optimizer, concurrency)
    points = sorted(
        random.Random(f"{optimizer} {concurrency}").sample(range(2, requests - 2), min(KILLS, requests - 4))
    )
    for step in (b - a for a, b in zip([0, *points], points, strict=False)):
        assert killed.killed_at(max(step, 1)).code == -signal.SIGKILL
    again = killed.run()
    assert again.code == 0, again.stderr

    assert compiled(again.json["bundle"]) == files
    assert again.json["lm_calls"] == ran.json["lm_calls"] and again.json["test"] == ran.json["test"]
    assert sum(killed.sent_twice().values()) <= killed.unsettled <= KILLS * concurrency
    settled: set[str] = set()
    for event, key in killed.events():
        assert not (event == "reserved" and key in settled)
        settled |= {key} if event in ("answered", "cached") else set()
    assert len(settled) == ran.json["lm_calls"]
    if concurrency == 1:
        assert figures(again) == figures(ran)
