"""While calls are made there is a line of them every ten seconds, however slow the server, whether or not on a terminal."""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from experiments.runs.progress import EVERY, Calls, Pace, Progress
from ner_programs.evaluate import Scored
from ner_programs.privacy import PUBLIC
from optimizers.trial import Trial
from tests import warm
from tests.lab import Lab
from tests.loopback import Loopback
from tests.tiny import program


class Time:
    """A clock that goes on only when it is waited for; each time so many calls are answered as `answers` says."""

    def __init__(self, answers: Iterable[int], before: int = 0) -> None:
        self.now, self.answered, self._answers = 0.0, before, list(answers)
        self.over = threading.Event()

    def wait(self, ended: threading.Event, seconds: float) -> bool:
        if not self._answers:
            self.over.set()
            return ended.wait()
        self.now += seconds
        self.answered += self._answers.pop(0)
        return False


def told(passing: Time, planned: int, console: Console, *, details: bool = True) -> None:
    """Go through a step in which all of that time passes."""
    progress = Progress(console, details=details, clock=lambda: passing.now, wait=passing.wait)
    with progress.step("compiling", calls=Calls(lambda: passing.answered, planned)):
        passing.over.wait()


def test_a_log_gets_a_line_every_ten_seconds_even_while_nothing_is_answered() -> None:
    said = StringIO()
    told(Time([0, 20, 20, 0], before=7), 100, Console(file=said, width=100))
    assert EVERY <= 10
    assert said.getvalue().splitlines() == [
        "compiling: 0 of at most 100 calls, 0 a second, time left not known yet",
        "compiling: 20 of at most 100 calls, 1 a second, at most 80 s left",
        "compiling: 40 of at most 100 calls, 1.3 a second, at most 45 s left",
        "compiling: 40 of at most 100 calls, 1 a second, at most 60 s left",
        "compiling: 40.0 s",
    ]


def test_the_cells_of_a_grid_say_how_their_calls_go_on_and_no_more() -> None:
    said = StringIO()
    told(Time([1]), 2, Console(file=said, width=100), details=False)
    assert said.getvalue() == "compiling: 1 of at most 2 calls, 0.1 a second, at most 10 s left\n"


def test_a_terminal_shows_it_beside_the_bar() -> None:
    said = StringIO()
    told(Time([3]), 9, Console(file=said, width=200, force_terminal=True))
    assert "compiling: 3 of at most 9 calls, 3 a second, at most 2 s left" in said.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_weights_that_are_loaded_during_a_step_are_said_once(terminal: bool) -> None:
    said = StringIO()
    progress = Progress(Console(file=said, width=200, force_terminal=terminal))
    for name in ("compiling", "scoring dev"):
        with progress.step(name):
            if name == "compiling":
                logging.getLogger("ner_programs.lms.local").info("loading %s (%.0f MB)", "weights", 93.4)
    logging.getLogger("ner_programs.lms.local").info("loading after the run")
    assert said.getvalue().count("loading weights (93 MB)") == 1 and "after" not in said.getvalue()


def test_what_was_kept_from_before_does_not_make_the_rest_look_quick() -> None:
    answered = 0
    pace = Pace(Calls(lambda: answered, 10_000), 0.0)
    lines = []
    for tick in range(1, 12):
        answered += 5000 if tick == 1 else 10  # the answers of the run that was killed come at once
        lines.append(pace.line(10.0 * tick))
    assert lines[0].endswith("500 a second, at most 10 s left")
    assert lines[-1] == "5,100 of at most 10,000 calls, 1 a second, at most 82 min left"


def test_it_is_seen_while_a_library_is_kept_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    passing = Time([1, 1])
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        progress = Progress(Console(stderr=True), clock=lambda: passing.now, wait=passing.wait)
        with contextlib.redirect_stderr(nothing), progress.step("compiling", calls=Calls(lambda: passing.answered, 2)):
            assert sys.stderr is nothing
            passing.over.wait()
    out, err = capfd.readouterr()
    assert out == "" and err.count(" of at most 2 calls") == 2


def test_calls_so_far_are_said_where_there_are_new_ones() -> None:
    said, scored = StringIO(), Scored((), (), 0, 0)
    progress = Progress(Console(file=said, width=200))
    for number, calls in enumerate((40, 500, 500, 500, 501), 1):
        progress.trial(Trial(number, {}, scored, 5, calls, program()), PUBLIC)
    assert ["calls so far" in line for line in said.getvalue().splitlines()] == [True, True, False, False, True]


SPEC = """
name = "slow"
[corpus]
name = "jsonl"
path = "notes"
[labels]
drug = "A medicine."
[lm]
model = "hosted_vllm/tiny"
concurrency = 2
[optimizer]
name = "random_search"
candidates = 1
k = 2
"""


def test_a_run_that_waits_for_its_server_says_so_on_stderr_alone(tmp_path: Path) -> None:
    """The server answers the fifth request only when there is a line; with --json stdout stays one object."""
    lab = Lab(tmp_path, SPEC)
    with Loopback() as server:

        def on_request(number: int) -> None:
            while number == 5 and " of at most " not in warm.shared().err.read_text():
                time.sleep(0.01)

        server.on_request = on_request
        often = "import experiments.runs.progress; experiments.runs.progress.EVERY = 0.05"
        ran = lab.nerc("run", "my.toml", "--json", "--set", f"lm.api_base={server.base}", before=often)
    assert ran.code == 0, ran.stderr
    assert ran.json["lm_calls"] == len(server.requests) > 5
    line = next(line for line in ran.stderr.splitlines() if " of at most " in line)
    assert line.startswith("compiling: ") and " a second, " in line
    why = [line for line in ran.stderr.splitlines() if " wins: F1 " in line or " is kept: F1 " in line]
    assert len(why) == 1
    page = next((lab.home / "reports").glob("*.html")).read_text(encoding="utf-8")
    assert why[0] in page
