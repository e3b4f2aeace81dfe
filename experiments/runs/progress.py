"""What a person sees while a run goes on, on stderr: steps, and while calls are made how many, how fast, and how long still."""

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

from experiments.runs.trial_runs import said, shown
from ner_programs.prompts.answers import Answers
from optimizers.trial import Trial

Tick = Callable[[], None]
Wait = Callable[[threading.Event, float], bool]
"""Waits for an event, at most so many seconds; says whether it came."""
EVERY = 10.0
"""Seconds between two lines of a step that makes calls, where there is no terminal to show a bar on."""
WINDOW = 6
"""So many of these are what the rate is measured over."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The LM calls of a step: `answered` counts those of the whole run, `planned` are the step's own, at most."""

    answered: Callable[[], int]
    planned: int


class Pace:
    """How fast calls are answered: over the last minute, for answers that were kept come at once and others do not."""

    def __init__(self, calls: Calls, now: float) -> None:
        self.calls, self.before = calls, calls.answered()
        self.seen = deque([(now, self.before)], maxlen=WINDOW + 1)

    def line(self, now: float) -> str:
        """Say how many calls are done of those planned, how many a second, and how long the rest takes at that rate."""
        answered, (since, then) = self.calls.answered(), self.seen[0]
        self.seen.append((now, answered))
        rate = (answered - then) / max(now - since, 1e-9)
        done, planned = answered - self.before, self.calls.planned
        left = f"at most {_duration((planned - done) / rate)} left" if rate else "time left not known yet"
        fast = f"{rate:.2g}" if rate < 10 else f"{rate:.0f}"
        return f"{done:,} of at most {planned:,} calls, {fast} a second, {left}"


class Progress:
    """Steps of a run; `Progress.silent()` shows none, and one without `details` only how calls go on.

    It writes to the stream that the console has now: a library that is kept quiet meanwhile does not quiet it.
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
        """Show a step while the block runs; the block calls what it is given once for each of `length` pieces."""
        if self.console is None:
            yield lambda: None
            return
        began = self._clock()
        if not self.console.is_terminal or not self.details:  # a log wants lines, not bars
            with _heard(self.remark), self._beating(calls, EVERY, lambda line: self._line(f"{name}: {line}")):
                yield lambda: None
        else:
            with (
                _heard(self.remark),
                self._bars(name, length) as (bars, task),
                self._beating(calls, 1.0, lambda line: bars.update(task, description=f"{name}: {line}")),
            ):
                yield lambda: bars.advance(task)
        if self.details:
            self._line(f"{name}: {self._clock() - began:.1f} s")

    def remark(self, text: str) -> None:
        """Say something beside the steps."""
        if self.console is not None and self.details:
            self.console.print(text, markup=False, soft_wrap=True)

    def trial(self, trial: Trial, *, private: bool) -> None:
        """Show a finished trial in one line; of a private corpus no change that is a text.

        The calls so far are said where they are more than they were at the last one: equal answers are no new calls.
        """
        if self.console is None or not self.details:
            return
        total = trial.scored.total
        changes = escape(said(shown(trial.changes, private=private)))
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
    def _beating(self, calls: Calls | None, every: float, say: Callable[[str], None]) -> Iterator[None]:
        """Say how calls go on, time and again while the block runs: from a thread, for a slow answer ends no wait."""
        if calls is None:
            yield
            return
        pace, ended = Pace(calls, self._clock()), threading.Event()

        def beat() -> None:
            while not self._wait(ended, every):
                say(pace.line(self._clock()))

        thread = threading.Thread(target=beat, name="nerc progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _line(self, text: str) -> None:
        assert self.console is not None
        self.console.print(text, style="dim", markup=False, soft_wrap=True)


class _Teller(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self.tell(record.getMessage())


@contextmanager
def _heard(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell what language models log while the block runs: what takes a while, such as loading weights."""
    log, teller = logging.getLogger("ner_programs.lms"), _Teller(tell)
    level = log.level
    log.addHandler(teller)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(teller)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
