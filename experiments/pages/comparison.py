"""A comparison of runs as one self-contained HTML page: the paired table, forest plots, and the settings that differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments import tracking
from experiments.compare import Comparison
from experiments.curves import Curve, curve
from experiments.pages.chart import legend, run_chart
from experiments.pages.report import render, save, scale

PAGE = "comparison-{part}.html"
ALPHA = 0.05


def write(comparison: Comparison, home: Path, out: Path | None = None) -> Path:
    """Write the page to `out`, by default `mlruns/reports/`, and into the first of the runs in MLflow; return where it lies."""
    client = tracking.existing_store(home)
    runs = [tracking.find_run(client, row.run_id) for row in comparison.rows]
    curves = [(row.name, curve(client, run)) for row, run in zip(comparison.rows, runs, strict=True)]
    page = rendered(comparison, [run.data.params for run in runs], [(name, c) for name, c in curves if len(c) > 1])
    name = PAGE.format(part=comparison.part)
    to = out or home / "reports" / f"{comparison.rows[0].run_id}-{name}"
    save(page, to, private=any(tracking.is_private(run) for run in runs))
    client.log_text(comparison.rows[0].run_id, page, name)
    return to


def rendered(
    comparison: Comparison, params: Sequence[dict[str, str]] = (), curves: Sequence[tuple[str, Curve]] = ()
) -> str:
    """Return the page; `params` are the settings of the runs, in their order, `curves` those that compiled, by name."""
    runs = [{**row.as_dict(), "run": True} for row in comparison.rows]
    floors = [{**row.as_dict(), "run": False} for row in comparison.floors]
    differences = [_difference(row) for row in (*runs, *floors) if row["difference"] is not None]
    bounds = [bound for row in (*runs, *floors) for bound in row["ci95"]]
    return render(
        "compare.html",
        corpus=comparison.corpus,
        part=comparison.part,
        unit=comparison.unit,
        runs=runs,
        floors=floors,
        differences=differences,
        holm=len(differences) > 1,
        f1_scale=scale(bounds),
        delta_scale=scale([0.0, *(bound for d in differences for bound in d["ci95"])]),
        settings=_differing(params),
        chart=run_chart(curves) if curves else "",
        legend=legend([name for name, _ in curves]),
    )


def _difference(row: dict[str, Any]) -> dict[str, Any]:
    said = row["difference"]
    p = said.get("p_holm") or said["p"]
    told_apart = said["significant"] and p <= ALPHA
    verdict = "" if not told_apart else "better" if said["delta"] > 0 else "worse"
    return {**said, "name": row["name"], "p": p, "verdict": verdict}


def _differing(params: Sequence[dict[str, str]]) -> list[tuple[str, list[str]]]:
    """Return the settings that are not the same in all runs; one that a run does not have is "–"."""
    keys = sorted({key for settings in params for key in settings})
    rows = [(key, [settings.get(key, "–") for settings in params]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]
