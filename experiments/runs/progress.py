"""Shows the progress of a run on stderr: its steps and, while calls are made, their number, their rate and the time left."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from experiments.runs.trial_runs import in_one_line, shown
from ner_programs.privacy import Privacy
from ner_programs.prompts.answers import Answers
from optimizers.trial import Trial

Tick = Callable[[], None]
Wait = Callable[[threading.Event, float], bool]
"""Waits for an event, at most the given seconds; returns whether it happened."""
EVERY = 10.0
"""Seconds between two progress lines, if there is no terminal for a progress bar."""
WINDOW = 6
"""Number of progress lines over which the rate is measured."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The LM calls of a step: `answered` counts those of the whole run, `planned` is the step's own maximum, if known."""

    answered: Callable[[], int]
    planned: int | None


class Pace:
    """The rate of answered calls over the last minute. Cached answers come at once, so an overall rate would mislead."""

    def __init__(self, calls: Calls, now: float) -> None:
        self.calls, self.before = calls, calls.answered()
        self.seen = deque([(now, self.before)], maxlen=WINDOW + 1)

    def line(self, now: float) -> str:
        """Return a line with the calls done and planned, the rate, and the time left at that rate."""
        answered, (since, then) = self.calls.answered(), self.seen[0]
        self.seen.append((now, answered))
        rate = (answered - then) / max(now - since, 1e-9)
        done, planned = answered - self.before, self.calls.planned
        fast = f"{rate:.2g}" if rate < 10 else f"{rate:.0f}"
        if planned is None:
            return f"{done:,} calls, {fast} a second"
        left = f"at most {_duration((planned - done) / rate)} left" if rate else "time left not known yet"
        return f"{done:,} of at most {planned:,} calls, {fast} a second, {left}"


class Progress:
    """The steps of a run. `Progress.silent()` shows nothing; without `details` only the progress of calls is shown.

    It writes to the stream that the console has at creation, so redirecting stderr later does not silence it.
    """

    def __init__(
        self, console: Console | None, *, details: bool = True, clock: Callable[[], float] = time.monotonic,
        wait: Wait = threading.Event.wait,
    ) -> None:  # fmt: skip
        if console is not None:
            shown, width = console.is_terminal, None if console.is_terminal else console.width
            console = Console(file=console.file, highlight=False, force_terminal=shown, width=width)
        self.console = console
        self.details, self._clock, self._wait = details, clock, wait
        self._calls = -1

    @classmethod
    def silent(cls) -> Progress:
        """Return a progress that shows nothing."""
        return cls(None)

    @contextmanager
    def step(self, name: str, length: int | None = None, calls: Calls | None = None) -> Iterator[Tick]:
        """Show a step while the block runs. The block calls the yielded function once for each of `length` items."""
        if self.console is None:
            yield lambda: None
            return
        began = self._clock()
        if not self.console.is_terminal or not self.details:  # lines for a log, bars for a terminal
            with _forwarded(self.remark), self._reporting(calls, EVERY, lambda line: self._line(f"{name}: {line}")):
                yield lambda: None
        else:
            with (
                _forwarded(self.remark),
                self._bars(name, length) as (bars, task),
                self._reporting(calls, 1.0, lambda line: bars.update(task, description=f"{name}: {line}")),
            ):
                yield lambda: bars.advance(task)
        if self.details:
            self._line(f"{name}: {self._clock() - began:.1f} s")

    def remark(self, text: str) -> None:
        """Print a line that is not part of a step."""
        if self.console is not None and self.details:
            self.console.print(text, markup=False, soft_wrap=True)

    def trial(self, trial: Trial, privacy: Privacy) -> None:
        """Show a finished trial in one line, with the changes that may be logged.

        The calls so far are shown only if they grew since the last trial (repeated requests are not new calls).
        """
        if self.console is None or not self.details:
            return
        total = trial.scored.total
        changes = escape(in_one_line(shown(trial.changes, privacy)))
        f1 = f"{total.f1:.3f}" if trial.documents else "-"
        troubles = Answers.total(trial.scored.answers).troubles()
        failed = f", answers: {troubles}" if troubles else ""
        calls = f", {trial.calls} calls so far" if trial.calls != self._calls else ""
        self._calls = trial.calls
        self.console.print(
            f"  trial {trial.number}: F1 {f1} on {trial.documents} dev documents{calls} [dim]({changes}{failed})[/dim]"
        )

    @contextmanager
    def _bars(self, name: str, length: int | None) -> Iterator[tuple[Bars, TaskID]]:
        columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
        columns += [BarColumn(), MofNCompleteColumn()] if length else []
        with Bars(*columns, TimeElapsedColumn(), console=self.console, transient=True) as bars:
            yield bars, bars.add_task(name, total=length)

    @contextmanager
    def _reporting(self, calls: Calls | None, every: float, show: Callable[[str], None]) -> Iterator[None]:
        """Report the progress of calls repeatedly while the block runs. A thread does it, because an answer may be slow."""
        if calls is None:
            yield
            return
        pace, ended = Pace(calls, self._clock()), threading.Event()

        def report() -> None:
            while not self._wait(ended, every):
                show(pace.line(self._clock()))

        thread = threading.Thread(target=report, name="nerc progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _line(self, text: str) -> None:
        assert self.console is not None
        self.console.print(text, style="dim", markup=False, soft_wrap=True)


class _Forward(logging.Handler):
    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.show = show

    def emit(self, record: logging.LogRecord) -> None:
        self.show(record.getMessage())


@contextmanager
def _forwarded(show: Callable[[str], None]) -> Iterator[None]:
    """Forward the log of the language models while the block runs, such as the loading of weights."""
    log, handler = logging.getLogger("ner_programs.lms"), _Forward(show)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(handler)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
