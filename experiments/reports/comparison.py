"""A comparison of runs as one self-contained HTML page: the paired table, forest plots, and the settings that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import tracking
from experiments.comparison import Comparison
from experiments.errors import SpecError
from experiments.reports.chart import legend, run_chart
from experiments.reports.compiling import instruction
from experiments.reports.errors import SHOWN, answered
from experiments.reports.report import folder_of_texts, render, save, scale
from experiments.reports.texts import Texts, texts_of
from experiments.runs.artifacts import artifacts
from experiments.runs.models import privacy_of
from experiments.scoring.curves import curve
from experiments.scoring.significance import FEWEST
from ner_programs.privacy import PRIVATE

PAGE = "comparison-{part}.html"


def write(comparison: Comparison, home: Path, out: Path | None = None) -> Path:
    """Write the page to `out`, by default in `mlruns/reports/`, and into the first run in MLflow. Return its path."""
    client, runs = _runs(comparison, home)
    page = rendered(comparison, client, runs)
    name = PAGE.format(part=comparison.part)
    to = out or home / "reports" / f"{comparison.rows[0].run_id}-{name}"
    save(page, to, min(map(privacy_of, runs), key=lambda privacy: privacy.may_log))  # the strictest
    client.log_text(comparison.rows[0].run_id, page, name)
    return to


def write_texts(comparison: Comparison, home: Path, data: Path, out: Path | None = None) -> Path:
    """Write the page with the texts of dev and each run's answers, readable by its owner alone and never into MLflow.

    Raises SpecError for test: looking at test errors would leak test into development.
    """
    if comparison.part != "dev":
        raise SpecError("--texts shows dev: the texts of test are not for looking at")
    client, runs = _runs(comparison, home)
    texts = [texts_of(run, artifacts(client, run.info.run_id), home, data) for run in runs]
    to = out or folder_of_texts(home) / f"{comparison.rows[0].run_id}-{PAGE.format(part=comparison.part)}"
    save(rendered(comparison, client, runs, side_by_side([row.name for row in comparison.rows], texts)), to, PRIVATE)
    return to


def _runs(comparison: Comparison, home: Path) -> tuple[Any, list[Any]]:
    client = tracking.existing_store(home)
    return client, [tracking.find_run(client, row.run_id) for row in comparison.rows]


def rendered(comparison: Comparison, client: Any, found: Sequence[Any], texts: Mapping[str, Any] | None = None) -> str:
    """Return the page. `found` are the runs in MLflow in the order of the rows; `texts` is the result of `side_by_side`."""
    curves = [(row.name, curve(client, run)) for row, run in zip(comparison.rows, found, strict=True)]
    compiled = [(name, points) for name, points in curves if len(points) > 1]
    runs = [{**row.as_dict(), "run": True} for row in comparison.rows]
    baselines = [{**row.as_dict(), "run": False} for row in comparison.baselines]
    differences = [_difference(row) for row in (*runs, *baselines) if row["difference"] is not None]
    bounds = [bound for row in (*runs, *baselines) for bound in row["ci95"]]
    shown = [bound for d in differences if d["told"] for bound in d["ci95"]]
    return render(
        "compare.html",
        corpus=comparison.corpus,
        part=comparison.part,
        unit=comparison.unit,
        runs=runs,
        baselines=baselines,
        differences=differences,
        fewest=FEWEST,
        f1_scale=scale(bounds),
        delta_scale=scale([0.0, *shown]),
        settings=_differing([run.data.params for run in found]),
        chart=run_chart(compiled) if compiled else "",
        legend=legend([name for name, _ in compiled]),
        texts=texts,
    )


def side_by_side(names: Sequence[str], texts: Sequence[Texts]) -> dict[str, Any]:
    """Return the dev texts in which some run is wrong, with each run's answer, and each run's prompt."""
    answers = [{d["id"]: d for d in answered(one.files.get("answers/dev.jsonl", ()))} for one in texts]
    wrong = [name for name in answers[0] if any(name in run and run[name]["kinds"] for run in answers)]
    shown = [
        {
            "id": name,
            "said": [(run, answer[name]) for run, answer in zip(names, answers, strict=True) if name in answer],
        }
        for name in wrong[:SHOWN]
    ]  # fmt: skip
    prompts = [
        {"name": name, "instruction": instruction(one.files), "prompt": one.files.get("prompts/compiled.txt")}
        for name, one in zip(names, texts, strict=True)
    ]
    remarks = [f"{name}: {remark}" for name, one in zip(names, texts, strict=True) for remark in one.remarks]
    return {"documents": shown, "wrong": len(wrong), "of": len(answers[0]), "prompts": prompts, "remarks": remarks}


def _difference(row: dict[str, Any]) -> dict[str, Any]:
    difference = row["difference"]
    return {**difference, "name": row["name"], "told": difference["verdict"] != "too few to tell"}


def _differing(params: Sequence[dict[str, str]]) -> list[tuple[str, list[str]]]:
    """Return the settings that differ between the runs. "–" stands for a missing setting."""
    keys = sorted({key for settings in params for key in settings})
    rows = [(key, [settings.get(key, "–") for settings in params]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]
