"""What `nerc paper` does."""

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
    """Run the grids of tables as far as they are not finished, and write the tables; exit code 1 where a cell failed.

    `quick` takes the small grids that some tables have; what they give does not replace the published tables, either.
    `max_cost` (US dollars) is for all tables together.
    """
    data, home = places.data_directory(data), places.home(home)
    out = out or (
        home / "results" if changes or quick else Path("docs/results")
    )  # changed tables do not replace the published ones
    said: dict[str, Any] = {}
    with redirect_stdout(sys.stderr):
        from experiments.commands.grid import estimated, tell_failures, teller
        from experiments.grids.grid import run_grid
        from experiments.paper import tables
        from experiments.runs.progress import Progress

        chosen, left_out = tables.wanted(names)
        for name in left_out:
            err.print(f"{name}: left out, for it needs nerc[encoders]", markup=False)
        for name in chosen:
            grid = tables.paper_grid(name, changes, lm, quick=quick)
            if dry_run:
                said[name] = estimated(grid, data, home)
                continue
            err.print(f"[bold]{name}[/bold]: {len(grid.cells)} cells")
            result = run_grid(
                grid, data, home, max_cost=max_cost, on_cell=teller(grid), progress=Progress(err, details=False)
            )
            max_cost = None if max_cost is None else max_cost - result.cost
            tell_failures(result)
            written = tables.write(name, grid, result, out, data, home)
            said[name] = written.as_dict()
            err.print(*(str(file) for file in written.files), sep="\n", soft_wrap=True, markup=False)
    if json:
        key = "calls" if dry_run else "lm_calls"
        print_json({"tables": said, key: sum(table[key] for table in said.values()), "left_out": left_out})
    if any(table.get("failed") for table in said.values()):
        raise SystemExit(1)
