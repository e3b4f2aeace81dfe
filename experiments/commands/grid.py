"""What `nerc run` does with a spec that has a [grid], `nerc ablate` and `nerc curve`."""

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


Told = Callable[["GridResult"], dict[str, Any]]
"""Prints what a finished grid shows, and returns what `--json` prints."""


def run(
    grid: Grid, data: Path, home: Path, *, json: bool, dry_run: bool, max_cost: float | None, told: Told | None = None
) -> None:
    """Run the cells of a grid that are not finished, or say what all would cost; exit code 1 where one failed."""
    with redirect_stdout(sys.stderr):
        said, failed = (estimated(grid, data, home), 0) if dry_run else ran(grid, data, home, max_cost, told)
    if json:
        print_json(said)
    if failed:
        raise SystemExit(1)


def ran(
    grid: Grid, data: Path, home: Path, max_cost: float | None = None, told: Told | None = None
) -> tuple[dict[str, Any], int]:
    """Run a grid with a line for each cell; return what `--json` prints, and how many cells failed."""
    from experiments.grids.grid import run_grid
    from experiments.runs.progress import Progress

    result = run_grid(grid, data, home, max_cost=max_cost, on_cell=teller(grid), progress=Progress(err, details=False))
    if told is None:
        kept = sum(done.kept for done in result.cells)
        err.print(
            f"grid {grid.name}: {len(result.cells)} cells, {kept} of them finished before, {result.lm_calls} calls; "
            f"run {result.run_id} in {home}",
            soft_wrap=True,
        )
    said = told(result) if told is not None else result.as_dict()
    tell_failures(result)
    return said, len(result.failed)


def teller(grid: Grid) -> Callable[[Done, int], None]:
    """Return what prints a line for each cell."""

    def tell(done: Done, number: int) -> None:
        err.print(f"{number}/{len(grid.cells)} {done.cell.name}: {_line(done.as_dict())}", markup=False, soft_wrap=True)

    return tell


def tell_failures(result: GridResult) -> None:
    """Print a line for each cell that failed."""
    for done in result.failed:
        err.print(f"failed: {done.cell.name}: {done.reason}", markup=False, soft_wrap=True)


def _line(cell: dict[str, Any]) -> str:
    if cell["status"] == "failed":
        return f"failed: {cell['reason']}"
    scores = [
        f"{part} {said['micro_f1']:.3f} ({said['ci95'][0]:.3f}-{said['ci95'][1]:.3f})"
        for part in ("dev", "test")
        if (said := cell[part]) is not None
    ]
    spent = "finished before" if cell["kept"] else f"{cell['lm_calls']} calls, {cell['seconds']:.1f} s"
    return ", ".join([*scores, spent])


def estimated(grid: Grid, data: Path, home: Path) -> dict[str, Any]:
    """Return what the cells would cost at most, all together."""
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
    """Switch each stage and option of a spec off in turn; exit code 1 where a run failed."""
    if part not in ("dev", "test"):
        raise SpecError(f"--part {part}: it is dev or test")
    data, home = places.data_directory(data), places.home(home)
    spec = load(path, [*changes, f'parts=["{part}"]'], lm)
    with redirect_stdout(sys.stderr):
        from experiments.commands.tables import ablation_table
        from experiments.grids.ablation import ablation_grid, losses
        from experiments.tracking import existing_store

        grid = ablation_grid(spec, path)

    def told(result: GridResult) -> dict[str, Any]:
        rows = losses(home, result, part)
        err.print(ablation_table(rows, part))
        table: dict[str, Any] = {"run_id": result.run_id, "part": part, "rows": [row.as_dict() for row in rows]}
        existing_store(home).log_dict(result.run_id, table, "ablation.json")
        failed = [{"name": d.cell.name, "reason": d.reason} for d in result.failed]
        return table | {"failed": failed, "lm_calls": result.lm_calls}

    run(grid, data, home, json=json, dry_run=dry_run, max_cost=max_cost, told=told)


def curve(
    path: Path, changes: Sequence[str], lm: str | None, data: Path | None, home: Path | None, *, sizes: Sequence[int],
    draws: int, plot: Path | None, json: bool, dry_run: bool, max_cost: float | None,
) -> None:  # fmt: skip
    """Score a spec's program, a CRF and the two fused with more and more labelled notes; exit code 1 where a run failed."""
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

    def told(result: GridResult) -> dict[str, Any]:
        found = points(home, result)
        err.print(curve_table(found))
        if plot is not None:
            draw(found, spec.name, plot)
        return {"run_id": result.run_id, "points": [p.as_dict() for p in found], "lm_calls": result.lm_calls}

    run(grid, data, home, json=json, dry_run=dry_run, max_cost=max_cost, told=told)
