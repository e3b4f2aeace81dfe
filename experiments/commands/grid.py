"""`nerc run` for a spec with a [grid], `nerc ablate` and `nerc curve`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import places
from experiments.commands.console import err, print_json
from experiments.errors import SpecError
from experiments.grids.cells import Grid
from experiments.spec import load

if TYPE_CHECKING:
    from experiments.grids.grid import Done, GridResult


Summarize = Callable[["GridResult"], dict[str, Any]]
"""Prints the result of a finished grid, and returns it as `--json` prints it."""


def run(
    grid: Grid,
    data: Path,
    home: Path,
    *,
    json: bool,
    dry_run: bool,
    max_cost: float | None,
    summarize: Summarize | None = None,
) -> None:
    """Run the unfinished cells of a grid, or estimate the cost of all. Exit code 1 if a cell failed."""
    with redirect_stdout(sys.stderr):
        output, failed = (estimated(grid, data, home), 0) if dry_run else ran(grid, data, home, max_cost, summarize)
    if json:
        print_json(output)
    if failed:
        raise SystemExit(1)


def ran(
    grid: Grid, data: Path, home: Path, max_cost: float | None = None, summarize: Summarize | None = None
) -> tuple[dict[str, Any], int]:
    """Run a grid with a line for each cell. Return the output for `--json`, and the number of failed cells."""
    from experiments.grids.grid import run_grid
    from experiments.runs.progress import Progress

    result = run_grid(
        grid, data, home, max_cost=max_cost, on_cell=cell_printer(grid), progress=Progress(err, details=False)
    )
    if summarize is None:
        kept = sum(done.kept for done in result.cells)
        err.print(
            f"grid {grid.name}: {len(result.cells)} cells, {kept} of them finished before, {result.lm_calls} calls; "
            f"run {result.run_id} in {home}",
            soft_wrap=True,
        )
    output = summarize(result) if summarize is not None else result.as_dict()
    print_failures(result)
    return output, len(result.failed)


def cell_printer(grid: Grid) -> Callable[[Done, int], None]:
    """Return a function that prints a line for each cell."""

    def tell(done: Done, number: int) -> None:
        err.print(f"{number}/{len(grid.cells)} {done.cell.name}: {_line(done.as_dict())}", markup=False, soft_wrap=True)

    return tell


def print_failures(result: GridResult) -> None:
    """Print a line for each failed cell."""
    for done in result.failed:
        err.print(f"failed: {done.cell.name}: {done.reason}", markup=False, soft_wrap=True)


def _line(cell: dict[str, Any]) -> str:
    if cell["status"] == "failed":
        return f"failed: {cell['reason']}"
    scores = [
        f"{part} {output['micro_f1']:.3f} ({output['ci95'][0]:.3f}-{output['ci95'][1]:.3f})"
        for part in ("dev", "test")
        if (output := cell[part]) is not None
    ]
    spent = "finished before" if cell["kept"] else f"{cell['lm_calls']} calls, {cell['seconds']:.1f} s"
    return ", ".join([*scores, spent])


def estimated(grid: Grid, data: Path, home: Path) -> dict[str, Any]:
    """Return the maximum cost of all cells together."""
    from experiments.commands.tables import estimate_table
    from experiments.runs.estimate import estimate, total
    from experiments.setup import Shared

    shared = Shared()
    plans = [estimate(cell.spec, data, home, shared) for cell in grid.cells]
    plan = total(plans)
    err.print(f"grid {grid.name}: {len(plans)} cells")
    err.print(estimate_table(plan))
    cells = [{"name": c.name, **p.as_dict()} for c, p in zip(grid.cells, plans, strict=True)]
    return {**plan.as_dict(), "cells": cells}


def ablate(
    path: Path, changes: Sequence[str], lm: str | None, data: Path | None, home: Path | None, *, part: str, json: bool,
    dry_run: bool, max_cost: float | None,
) -> None:  # fmt: skip
    """Switch off each stage and option of a spec in turn. Exit code 1 if a run failed."""
    if part not in ("dev", "test"):
        raise SpecError(f"--part {part}: it is dev or test")
    data, home = places.data_directory(data), places.home(home)
    spec = load(path, [*changes, f'parts=["{part}"]'], lm)
    with redirect_stdout(sys.stderr):
        from experiments.commands.tables import ablation_table
        from experiments.grids.ablation import ablation_grid, losses
        from experiments.tracking import existing_store

        grid = ablation_grid(spec, path)

    def summarize(result: GridResult) -> dict[str, Any]:
        rows = losses(home, result, part)
        err.print(ablation_table(rows, part))
        table: dict[str, Any] = {"run_id": result.run_id, "part": part, "rows": [row.as_dict() for row in rows]}
        existing_store(home).log_dict(result.run_id, table, "ablation.json")
        failed = [{"name": d.cell.name, "reason": d.reason} for d in result.failed]
        return table | {"failed": failed, "lm_calls": result.lm_calls}

    run(grid, data, home, json=json, dry_run=dry_run, max_cost=max_cost, summarize=summarize)


def curve(
    path: Path, changes: Sequence[str], lm: str | None, data: Path | None, home: Path | None, *, sizes: Sequence[int],
    draws: int, plot: Path | None, json: bool, dry_run: bool, max_cost: float | None,
) -> None:  # fmt: skip
    """Score a spec's program, a CRF and both fused with growing numbers of labelled notes. Exit code 1 if a run failed."""
    if plot is not None and plot.suffix not in (".svg", ".png", ".pdf"):
        raise SpecError(f"--plot {plot}: a picture is .svg, .png or .pdf")
    if draws < 1 or any(size < 1 for size in sizes):
        raise SpecError("--draws and --size are at least 1")
    data, home = places.data_directory(data), places.home(home)
    spec = load(path, [*changes, 'parts=["dev"]'], lm)
    with redirect_stdout(sys.stderr):
        from experiments.commands.tables import curve_table
        from experiments.grids.annotation_curve import SIZES, curve_grid, draw, points
        from experiments.setup import read_corpus

        there = len(read_corpus(spec, data).train)
        if too_many := [size for size in sizes if size >= there]:
            raise SpecError(f"--size {too_many[0]}: train has {there} documents")
        grid = curve_grid(spec, path, sizes or [size for size in SIZES if size < there], draws)

    def summarize(result: GridResult) -> dict[str, Any]:
        found = points(home, result)
        err.print(curve_table(found))
        if plot is not None:
            draw(found, spec.name, plot)
        return {"run_id": result.run_id, "points": [p.as_dict() for p in found], "lm_calls": result.lm_calls}

    run(grid, data, home, json=json, dry_run=dry_run, max_cost=max_cost, summarize=summarize)
