"""What a person sees while a run goes on: one line a step, with a bar where the length is known. On stderr."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from experiments.trial_runs import said, shown
from ner_programs.answers import Answers
from optimizers._base import Trial

Tick = Callable[[], None]


class Progress:
    """Steps of a run; `Progress.silent()` shows none."""

    def __init__(self, console: Console | None) -> None:
        self.console = console

    @classmethod
    def silent(cls) -> Progress:
        """Return a progress that shows nothing."""
        return cls(None)

    @contextmanager
    def step(self, name: str, length: int | None = None) -> Iterator[Tick]:
        """Show a step while the block runs; the block calls what it is given once for each of `length` pieces."""
        if self.console is None:
            yield lambda: None
            return
        began = time.monotonic()
        if not self.console.is_terminal:  # a log wants lines, not bars
            yield lambda: None
            self._done(name, began)
            return
        columns = [SpinnerColumn(), TextColumn("{task.description}")]
        columns += [BarColumn(), MofNCompleteColumn()] if length else []
        with Bars(*columns, TimeElapsedColumn(), console=self.console, transient=True) as bars:
            task, lock = bars.add_task(name, total=length), threading.Lock()

            def tick() -> None:
                with lock:
                    bars.advance(task)

            yield tick
        self._done(name, began)

    def remark(self, text: str) -> None:
        """Say something beside the steps."""
        if self.console is not None:
            self.console.print(text, markup=False, soft_wrap=True)

    def trial(self, trial: Trial, *, private: bool) -> None:
        """Show a finished trial in one line; of a private corpus no change that is a text."""
        if self.console is None:
            return
        total = trial.scored.total
        changes = escape(said(shown(trial.changes, private=private)))
        f1 = f"{total.f1:.3f}" if trial.documents else "-"
        troubles = Answers.total(trial.scored.answers).troubles()
        failed = f", answers: {troubles}" if troubles else ""
        self.console.print(
            f"  trial {trial.number}: F1 {f1} on {trial.documents} dev documents, {trial.calls} calls so far "
            f"[dim]({changes}{failed})[/dim]"
        )

    def _done(self, name: str, began: float) -> None:
        assert self.console is not None
        self.console.print(f"[dim]{name}: {time.monotonic() - began:.1f} s[/dim]")
