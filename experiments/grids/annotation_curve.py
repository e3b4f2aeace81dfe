"""The annotation curve: F1 against the number of labelled notes, for the program, a CRF, and both fused.

For each number of train documents several samples are drawn. Samples of one seed are nested. Each sample has two runs: the
program alone, and with `verify = { name = "fuse" }`. The CRF alone is the baseline `crf` of the first run. The runs are cells
of a grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from experiments import tracking
from experiments.grids.cells import Cell, Grid, changed
from experiments.grids.grid import GridResult
from experiments.spec import RunSpec, checked

SIZES = (10, 25, 50, 100, 200)
ALONE, CRF, FUSED = "program alone", "CRF alone", "fused"


def curve_grid(spec: RunSpec, path: Path, sizes: Sequence[int], draws: int) -> Grid:
    """Return the grid of a spec's curve: `draws` samples of each size (smaller than train), then all of train once."""
    tables = spec.model_dump(exclude_none=True) | {"name": f"{spec.name}.curve"}
    for key in ("train", "seed"):
        tables["corpus"].get("sample", {}).pop(key, None)
    seeds = range(1, draws + 1)
    drawn = [(str(size), seed, {"train": size, "seed": seed}) for size in sorted(set(sizes)) for seed in seeds]
    cells = []
    for size, seed, sample in [*drawn, ("all", 1, {})]:
        for name, verify in ((ALONE, False), (FUSED, {"name": "fuse"})):
            changes: dict[str, Any] = {"program.verify": verify, "optimizer": {"name": "none"}}
            changes |= {f"corpus.sample.{key}": value for key, value in sample.items()}
            cells.append(
                Cell(f"{size} notes, draw {seed}, {name}", changes, checked(changed(tables, changes, path), path))
            )
    return Grid(f"{spec.name}.curve", f"curve {spec.fingerprint()}", tuple(cells))


@dataclass(frozen=True, slots=True)
class Point:
    """The F1 on dev for one number of labelled notes (None: all), one value for each draw."""

    notes: int | None
    system: str
    f1: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over draws."""
        return fmean(self.f1)

    @property
    def error(self) -> float:
        """Half of the 95 % interval of the mean over draws; 0 for a single draw."""
        return 1.96 * stdev(self.f1) / len(self.f1) ** 0.5 if len(self.f1) > 1 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the point as `--json` prints it."""
        return {"notes": self.notes, "system": self.system, "mean_f1": round(self.mean, 4),
                "error": round(self.error, 4), "f1": [round(x, 4) for x in self.f1]}  # fmt: skip


def points(home: Path, result: GridResult) -> list[Point]:
    """Return the points of a curve, by number of notes and system. Failed draws are left out."""
    found: dict[tuple[int | None, str], list[float]] = {}
    client = tracking.existing_store(home)
    for done in result.cells:
        if done.reason:
            continue
        for system, f1 in _scores(client, done.run_id, done.cell.name.rpartition(", ")[2]):
            found.setdefault((done.cell.changes.get("corpus.sample.train"), system), []).append(f1)
    return [Point(notes, system, tuple(f1)) for (notes, system), f1 in found.items()]


def _scores(client: Any, run_id: str, system: str) -> Iterator[tuple[str, float]]:
    yield system, float(client.get_run(run_id).data.metrics["dev_f1"])
    if system == ALONE:
        yield CRF, float(tracking.read_file(client, run_id, "baselines.json")["crf"]["dev"]["micro_f1"])


def draw(found: Sequence[Point], title: str, file: Path) -> None:
    """Plot the curve to a file (SVG, PNG or PDF, by the suffix): mean F1 over draws, with the interval of the mean."""
    import matplotlib
    from matplotlib.figure import Figure

    numbers = [p.notes for p in found if p.notes is not None]
    last = 2 * max(numbers, default=1)  # the position of "all"
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nerc", "font.size": 9}):
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axis = figure.subplots()
        for system, colour in ((ALONE, "#1b6ca8"), (CRF, "#8a8a8a"), (FUSED, "#c8553d")):
            mine = [p for p in found if p.system == system]
            axis.errorbar([p.notes or last for p in mine], [p.mean for p in mine], [p.error for p in mine],
                          label=system, color=colour, marker="o", markersize=4, capsize=2)  # fmt: skip
        axis.set_xscale("log")
        ticks = sorted({p.notes or last for p in found})
        axis.set_xticks(ticks, ["all" if x == last else str(x) for x in ticks])
        axis.minorticks_off()
        axis.set(xlabel="labelled notes", ylabel="strict micro-F1 on dev", title=title)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
