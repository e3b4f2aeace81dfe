"""Runs a grid: a parent run in MLflow, and each cell an ordinary run nested in it.

A finished cell (same settings, data, knowledge base and versions) is not run again. A failed cell is recorded with its error,
the other cells go on, and the next command tries it again. Cells share the data that they read, and the LM backends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from experiments import setup, tracking
from experiments.errors import TrackingError, reason
from experiments.grids.cells import Cell, Grid
from experiments.reference_run import Within, key, run
from experiments.runs.progress import Progress
from experiments.runs.run_note import describe_cells
from experiments.session import CostLimit, ServerLost, shared_backend
from experiments.spec import Model
from experiments.tracking import Tracker
from ner_programs.lms.metered import Backend
from ner_programs.privacy import PRIVATE

FIGURES = ("f1", "precision", "recall", "relaxed_f1", "seen_f1", "unseen_f1", "unanswered")


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of a cell: `metrics` are those of its run; `kept` is True if an earlier command finished it."""

    cell: Cell
    run_id: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    kept: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the cell as `--json` prints it."""
        spent = {
            "lm_calls": int(self.metrics.get("lm_calls", 0)),
            "seconds": round(self.metrics.get("seconds", 0.0), 2),
        }
        scores = {part: _part(self.metrics, part) for part in ("dev", "test")}
        status = {"status": "failed", "reason": self.reason} if self.reason else {"status": "finished"}
        about = {"name": self.cell.name, "changes": dict(self.cell.changes), "run_id": self.run_id}
        return {**about, **status, "kept": self.kept, **scores, **spent}


@dataclass(frozen=True, slots=True)
class GridResult:
    """The result of a grid; `lm_calls` and `cost` (US dollars) are those of this command."""

    run_id: str
    cells: tuple[Done, ...]
    lm_calls: int
    cost: float = 0.0

    @property
    def failed(self) -> list[Done]:
        """The cells that failed."""
        return [done for done in self.cells if done.reason]

    def as_dict(self) -> dict[str, Any]:
        """Return what `nerc run --json` prints for a grid."""
        cells = [done.as_dict() for done in self.cells]
        return {"run_id": self.run_id, "cells": cells, "failed": len(self.failed), "lm_calls": self.lm_calls}


def _part(metrics: Mapping[str, float], part: str) -> dict[str, Any] | None:
    if f"{part}_f1" not in metrics:
        return None
    found = {name: round(metrics[f"{part}_{name}"], 4) for name in FIGURES if f"{part}_{name}" in metrics}
    ends = [round(metrics[f"{part}_f1_{end}"], 4) for end in ("lo", "hi")]
    return {"micro_f1": found.pop("f1"), "ci95": ends, **found}


OnCell = Callable[[Done, int], None]


def run_grid(
    grid: Grid, data: Path, home: Path, *, max_cost: float | None = None, on_cell: OnCell = lambda done, number: None,
    progress: Progress | None = None,
) -> GridResult:  # fmt: skip
    """Run every unfinished cell; `max_cost` (US dollars) is for all of them together.

    Raises TrackingError if another process runs this grid, CostLimit when the money is spent, and ServerLost when the LM stops
    answering. Finished cells are kept.
    """
    with _parent(grid, home) as tracker, _backends() as backend_for:
        shared, cells, calls, cost = setup.Shared(), list[Done](), 0, 0.0
        before = tracking.children(tracker.client, tracker.run_id)
        finished = {r.data.tags.get("nerc.fingerprint"): r for r in before if r.info.status == "FINISHED"}
        for number, cell in enumerate(grid.cells, 1):
            within = Within(tracker.run_id, shared, backend_for(cell.spec.lm))
            try:
                corpus, _, kb_folder = setup.sources(cell.spec, data, home, shared)
                done = _kept(cell, finished.get(key(cell.spec, corpus, kb_folder, within)))
                if done is None:
                    left = None if max_cost is None else max_cost - cost
                    result = run(cell.spec, data, home, name=cell.name, max_cost=left, progress=progress, within=within)
                    calls, cost = calls + int(result.spent["calls"]), cost + result.spent["cost"]
                    done = Done(cell, result.run_id, tracker.client.get_run(result.run_id).data.metrics)
                    _forget(tracker, cell, before)
            except (CostLimit, ServerLost):
                raise
            except Exception as error:
                done = _failed(tracker, home, cell, reason(error))
            cells.append(done)
            on_cell(done, number)
        ended = GridResult(tracker.run_id, tuple(cells), calls, cost)
        _summary(tracker, ended)
    return ended


@contextmanager
def _parent(grid: Grid, home: Path) -> Iterator[Tracker]:
    """Resume or start the grid's run in MLflow, under a lock."""
    folder = home / "work" / f"grid-{hashlib.sha256(grid.key.encode()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise TrackingError(f"the grid {grid.name} is being run by another process ({folder} is locked)") from None
    try:
        tracker = _resumed(folder / "grid.json", grid, home)
        try:
            yield tracker
        except BaseException as error:
            tracker.end("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        tracker.end()
    finally:
        lock.release()


def _resumed(state: Path, grid: Grid, home: Path) -> Tracker:
    if state.is_file():
        try:
            return Tracker.resume(home, json.loads(state.read_text())["run_id"])
        except (TrackingError, ValueError, KeyError):  # the run was deleted: start a new one
            state.unlink()
    axes = {k: json.dumps(v) for c in grid.cells for k, v in c.changes.items()}
    about = {"axes": ", ".join(axes)}
    tracker = Tracker.start(home, grid.name, f"grid of {len(grid.cells)}", about, {"kind": "grid"}, privacy=PRIVATE)
    state.write_text(json.dumps({"run_id": tracker.run_id}) + "\n")
    return tracker


@contextmanager
def _backends() -> Iterator[Callable[[Model], Backend]]:
    """Provide one shared backend for each [lm], and close them all in the end."""
    made: dict[str, Backend] = {}

    def backend_for(model: Model) -> Backend:
        name = model.model_dump_json()
        if name not in made:
            made[name] = shared_backend(model)
        return made[name]

    try:
        yield backend_for
    finally:
        for backend in made.values():
            if hasattr(backend, "close"):
                backend.close()


def _kept(cell: Cell, run: Any) -> Done | None:
    return None if run is None else Done(cell, run.info.run_id, run.data.metrics, kept=True)


def _failed(tracker: Tracker, home: Path, cell: Cell, why: str) -> Done:
    """Return a failed cell. If it failed before its run started, a run is created for the error."""
    for tried in reversed(tracking.children(tracker.client, tracker.run_id)):
        if tried.info.run_name == cell.name and tried.info.status == "FAILED":
            tracker.client.set_tag(tried.info.run_id, "nerc.reason", why)
            return Done(cell, tried.info.run_id, reason=why)
    tags = {"unbegun": "true", "reason": why}
    child = Tracker.start(home, cell.spec.name, cell.name, cell.spec.flat(), tags, tracker.run_id, privacy=PRIVATE)
    child.end("FAILED")
    return Done(cell, child.run_id, reason=why)


def _forget(tracker: Tracker, cell: Cell, before: Sequence[Any]) -> None:
    """Delete the error run of a cell that failed before its run started, now that it has a run."""
    for tried in before:
        if tried.info.run_name == cell.name and tried.data.tags.get("nerc.unbegun"):
            tracker.client.delete_run(tried.info.run_id)


def _summary(tracker: Tracker, result: GridResult) -> None:
    """Write the list of the cells' runs and their total cost."""
    about = ("name", "changes", "run_id", "status", "reason")
    rows = [{k: v for k, v in done.as_dict().items() if k in about} for done in result.cells]
    tracker.file("cells.json", rows)
    tracker.describe(describe_cells([(d.cell.name, d.metrics, d.reason) for d in result.cells]))
    sums = {
        name: sum(d.metrics.get(name, 0.0) for d in result.cells) for name in ("lm_calls", "tokens", "cost", "seconds")
    }
    tracker.metrics({"cells": len(rows), "cells_failed": len(result.failed), **sums})
