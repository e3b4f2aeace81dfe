"""Optimizers killed with -9 at random moments: only calls in flight are sent again, and the program is that of a whole run.

By default some of them, one of each kind of search, four calls at a time; `NERC_THOROUGH=1` kills every one, twenty times.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ner_programs.components import names
from tests import warm
from tests.effort import THOROUGH, often
from tests.faults.test_kill import Killed, compiled, figures
from tests.lab import CORPUS
from tests.loopback import Loopback

KILLS = often(1, 20)
OPTIONS = {
    "random_search": "k = 3, budget = { calls = 70 }",
    "teleprompter": 'of = "dspy.teleprompt.BootstrapFewShot", budget = { calls = 90 }',
}
PLAIN = ("calibrate", "none", "labeled")  # no calls but those of scoring, and one pass that needs a grammar
EVERY = [name for name in names("optimizers") if name not in PLAIN]
USUALLY = [("race", 1), ("gepa", 4), ("simba", 4)]
PAIRS = [(name, at_once) for name in EVERY for at_once in (1, 4)] if THOROUGH else USUALLY
SPEC = f"""
name = "tiny"
{CORPUS}
[program]
demos = {{ name = "tfidf", k = 2 }}
[lm]
model = "hosted_vllm/tiny"
can = ["logprobs"]
"""


def lab(folder: Path, server: Loopback, optimizer: str, concurrency: int) -> Killed:
    options = OPTIONS.get(optimizer, "budget = { calls = 90 }")
    spec = f'optimizer = {{ name = "{optimizer}", {options} }}\n{SPEC}'
    return Killed(folder, server, concurrency, spec, train=30, dev=12)


@dataclass(frozen=True)
class Whole:
    """The run of an optimizer that nobody killed, its program, and how often each content was asked for.

    DSPy's optimizers draw several answers to the same words: these are several calls.
    """

    optimizer: str
    ran: warm.Ran
    files: dict[str, Any]
    counts: Counter[str]


@pytest.fixture(scope="module")
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """An optimizer, and its run that nobody killed."""
    with Loopback() as server:
        undisturbed = lab(tmp_path_factory.mktemp(request.param) / "lab", server, request.param, 1)
        ran = undisturbed.run()
        assert ran.code == 0, ran.stderr
        assert ran.json["lm_calls"] == len(server.requests) == len(undisturbed.reserved()) > 10
        assert set(undisturbed.reserved().values()) == {1}
        assert server.counts.total() - len(server.counts) <= undisturbed.sampled()
        return Whole(request.param, ran, compiled(ran.json["bundle"]), server.counts)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Loopback, int]]:
    with Loopback(latency=0.003) as made:
        yield made, request.param


@pytest.mark.parametrize(("whole", "server"), PAIRS, indirect=True)
def test_killed_and_run_again(whole: Whole, server: tuple[Loopback, int], tmp_path: Path) -> None:
    loopback, concurrency = server
    requests = whole.counts.total()
    killed = lab(tmp_path / "lab", loopback, whole.optimizer, concurrency)
    rng = random.Random(f"{whole.optimizer} {concurrency}")
    points = sorted(rng.sample(range(2, requests - 2), min(KILLS, requests - 4)))
    for step in (b - a for a, b in zip([0, *points], points, strict=False)):
        assert killed.killed(step).code == -signal.SIGKILL
    again = killed.run()
    assert again.code == 0, again.stderr

    assert compiled(again.json["bundle"]) == whole.files
    assert again.json["lm_calls"] == whole.ran.json["lm_calls"] and again.json["test"] == whole.ran.json["test"]
    killed.assert_only_in_flight_repeated(KILLS)
    assert (loopback.counts - whole.counts).total() <= killed.in_flight.total()
    assert len(killed.reserved()) == whole.ran.json["lm_calls"]
    if concurrency == 1:
        assert figures(again) == figures(whole.ran)
