"""Builds the paper's tables. Each is a grid (`specs/paper/`): unfinished cells are run, then the table is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optimizers
from experiments.errors import SpecError, TrackingError
from experiments.grids.cells import Grid, load_grid
from experiments.grids.grid import GridResult
from experiments.paper import cost as _paper_cost
from experiments.paper import optimizers as _optimizers
from experiments.paper.layouts import LAYOUTS
from experiments.paper.plot import plot, plot_curves
from experiments.paper.read import read_cells, table
from experiments.paper.write import csv_text, markdown
from experiments.session import backend_of
from experiments.spec import RunSpec
from ner_programs.lms import STAND_IN

SPECS = Path(__file__).parents[1] / "specs" / "paper"
NEEDS = {"encoders": "sentence_transformers"}
QUICK = "_quick"


@dataclass(frozen=True, slots=True)
class Written:
    """One table that was written."""

    name: str
    result: GridResult
    files: tuple[Path, ...]
    rows: tuple[dict[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return what `nerc paper --json` prints of it."""
        failed = [{"name": d.cell.name, "reason": d.reason} for d in self.result.failed]
        return {
            "run_id": self.result.run_id, "cells": len(self.result.cells), "failed": failed,
            "lm_calls": self.result.lm_calls, "files": [str(file) for file in self.files],
            **({"rows": list(self.rows)} if self.rows else {}),
        }  # fmt: skip


def wanted(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the tables for `names`, and those of "all" whose libraries are missing. Raises SpecError for an unknown name."""
    there = [name for name in LAYOUTS if (SPECS / f"{name}.toml").is_file()]
    unknown = [name for name in names if name not in (*there, "all")]
    if unknown or not names:
        raise SpecError(f"there is no table {' '.join(unknown)!r}; there are: {', '.join([*there, 'all'])}")
    if "all" not in names:
        return list(dict.fromkeys(names)), []
    left_out = [name for name in there if name in NEEDS and find_spec(NEEDS[name]) is None]
    return [name for name in there if name not in left_out], left_out


def paper_grid(name: str, changes: Sequence[str] = (), lm: str | None = None, *, quick: bool = False) -> Grid:
    """Return the grid of a table, or with `quick` its small form (`<name>_quick.toml`). Raises SpecError if there is none."""
    file = SPECS / f"{name}{QUICK * quick}.toml"
    if quick and not file.is_file():
        there = [n for n in LAYOUTS if (SPECS / f"{n}{QUICK}.toml").is_file()]
        raise SpecError(f"--quick: there is no quick form of {name}; there is one of: {', '.join(there)}")
    grid = load_grid(file, changes, lm)
    if grid is None:
        raise SpecError(f"{file} has no [grid]")
    grid = replace(grid, cells=tuple(cell for cell in grid.cells if possible(cell.spec)))
    if not grid.cells:
        raise SpecError(f"the table {name} needs a language model: name one with --lm")
    if name == "optimizers" and any({"dev", "test"} - {*cell.spec.parts} for cell in grid.cells):
        raise SpecError(f"parts: the table {name} needs both dev and test")
    return grid


def possible(spec: RunSpec) -> bool:
    """Return whether the LM of a spec can run it. Some cells need a language model, not the CRF stand-in."""
    task, writer = backend_of(spec.lm), backend_of(spec.lm.prompt or spec.lm)
    optimizer, _ = optimizers.opened(spec.optimizer)
    return (task.writes or spec.program.seeds == "text") and (
        writer.writes or not getattr(optimizer, "needs_writer", False)
    )


def write(name: str, grid: Grid, result: GridResult, out: Path, data: Path, home: Path) -> Written:
    """Write a table from MLflow as `out/paper/<name>.md`, `.csv` and `.svg`. For an LM, the file names have its name.

    Raises TrackingError if no cell is finished.
    """
    layout = LAYOUTS[name]
    failed = _failed(result)
    cells = [replace(c, corpus=c.corpus + layout.section(c.params)) for c in read_cells(home, result.run_id)]
    if not cells:
        raise TrackingError(f"table {name}: no cell was finished ({failed[0]})")
    model = grid.cells[0].spec.lm.model
    if grid.name.endswith(QUICK):
        layout = replace(layout, name=f"{name}{QUICK}", title=f"{layout.title} (quick form)")
    if model != STAND_IN:
        layout = replace(layout, name=f"{layout.name}.{re.sub('[^A-Za-z0-9.-]+', '-', model)}")
    folder = out / "paper"
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{layout.name}.{ending}" for ending in ("md", "csv", "svg")]
    if name == "optimizers":
        both = _optimizers.Compilings.read(layout, home, result.run_id)
        rows = _optimizers.runs(layout, both)
        files[0].write_text(_optimizers.markdown(layout, both, failed), encoding="utf-8")
        files[1].write_text(_optimizers.csv_text(rows), encoding="utf-8")
        plot_curves(layout, both, files[2])
        return Written(name, result, tuple(files), tuple(rows))
    made = table(cells, layout.row, layout.column, layout.reference, layout.baselines)
    extra = _paper_cost.lines(grid, made, result.run_id, data, home) if name == "cost" else []
    files[0].write_text(markdown(layout, made, extra, failed), encoding="utf-8")
    files[1].write_text(csv_text(layout, made), encoding="utf-8")
    plot(layout, made, files[2])
    return Written(name, result, tuple(files))


def _failed(result: GridResult) -> list[str]:
    """Return a line for each error, with the cells that failed by it."""
    cells: dict[str, list[str]] = {}
    for done in result.failed:
        cells.setdefault(done.reason, []).append(done.cell.name)
    return [f"{len(names)} cells ({'; '.join(names)}): {reason}" for reason, names in cells.items()]
