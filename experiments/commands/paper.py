"""`nerc paper`: runs the grids of the paper's tables and writes the tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from experiments import places
from experiments.commands.console import err, print_json


def paper(
    names: Sequence[str], changes: Sequence[str], lm: str | None, data: Path | None, home: Path | None, *, out: Path | None,
    json: bool, dry_run: bool, max_cost: float | None = None, quick: bool = False,
) -> None:  # fmt: skip
    """Run the unfinished cells of the tables' grids, and write the tables. Exit code 1 if a cell failed.

    `quick` takes the small grids that some tables have; what they give does not replace the published tables, either.
    `max_cost` (US dollars) is for all tables together.
    """
    data, home = places.data_directory(data), places.home(home)
    out = out or (
        home / "results" if changes or quick else Path("docs/results")
    )  # changed tables do not replace the published ones
    output: dict[str, Any] = {}
    with redirect_stdout(sys.stderr):
        from experiments.commands.grid import cell_printer, estimated, print_failures
        from experiments.grids.grid import run_grid
        from experiments.paper import tables
        from experiments.runs.progress import Progress

        chosen, left_out = tables.wanted(names)
        for name in left_out:
            err.print(f"{name}: left out, for it needs nerc[encoders]", markup=False)
        for name in chosen:
            grid = tables.paper_grid(name, changes, lm, quick=quick)
            if dry_run:
                output[name] = estimated(grid, data, home)
                continue
            err.print(f"[bold]{name}[/bold]: {len(grid.cells)} cells")
            result = run_grid(
                grid, data, home, max_cost=max_cost, on_cell=cell_printer(grid), progress=Progress(err, details=False)
            )
            max_cost = None if max_cost is None else max_cost - result.cost
            print_failures(result)
            written = tables.write(name, grid, result, out, data, home)
            output[name] = written.as_dict()
            err.print(*(str(file) for file in written.files), sep="\n", soft_wrap=True, markup=False)
    if json:
        key = "calls" if dry_run else "lm_calls"
        print_json({"tables": output, key: sum(table[key] for table in output.values()), "left_out": left_out})
    if any(table.get("failed") for table in output.values()):
        raise SystemExit(1)
