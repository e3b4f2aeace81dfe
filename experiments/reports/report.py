"""The report of one run as a self-contained HTML page: scores and baselines, trials, errors in the texts, instruction, cost.

Everything is read from the run in MLflow. Texts are shown only from dev, because looking at test errors would leak test into
development. The page has no texts that may not be logged (design D12), because its run has none; `write_texts` writes one with
texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from math import ceil, floor
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from experiments import tracking
from experiments.errors import SpecError, TrackingError
from experiments.reports import compiling
from experiments.reports.chart import trial_chart
from experiments.reports.errors import error_section
from experiments.reports.texts import texts_of
from experiments.runs.artifacts import artifacts
from experiments.runs.models import privacy_of
from kb.files import draft_of
from ner_programs.highlight import STYLE
from ner_programs.privacy import PRIVATE, Privacy
from ner_programs.prompts.answers import NO_ANSWERS, Answers

PAGE = "report.html"


def write(run: str, home: Path, out: Path | None = None) -> Path:
    """Write the page of `run` (an id, or its first characters) to `out`, and into the run in MLflow. Return its path.

    `out` defaults to `mlruns/reports/<run id>.html`. Raises TrackingError if there is no such run or it has no result.
    """
    client = tracking.existing_store(home)
    found = tracking.find_run(client, run)
    page = rendered(client, found, artifacts(client, found.info.run_id))
    to = out or home / "reports" / f"{found.info.run_id}.html"
    save(page, to, privacy_of(found))
    client.log_text(found.info.run_id, page, PAGE)
    return to


def write_texts(run: str, home: Path, data: Path, out: Path | None = None) -> Path:
    """Write the page of `run` with its texts, readable by its owner alone and never into MLflow. Return its path."""
    client = tracking.existing_store(home)
    found = tracking.find_run(client, run)
    texts = texts_of(found, artifacts(client, found.info.run_id), home, data)
    to = out or folder_of_texts(home) / f"{found.info.run_id}.html"
    save(rendered(client, found, texts.files, texts.remarks), to, PRIVATE)
    return to


def folder_of_texts(home: Path) -> Path:
    """Return the folder of pages with texts, which only its owner can read."""
    folder = home / "reports" / "texts"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def save(page: str, to: Path, privacy: Privacy) -> None:
    """Write a page atomically; `privacy` says who can read it. Raises SpecError if `to` is a folder."""
    if to.is_dir():
        raise SpecError(f"--out {to}: it is a folder; name a file")
    to.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(to, privacy.file_mode) as draft:
        draft.write_text(page, encoding="utf-8")


def rendered(client: Any, run: Any, files: Mapping[str, Any], remarks: Sequence[str] = ()) -> str:
    """Return the page of an MLflow run from its artifacts; `remarks` are added to those of the run."""
    params, metrics = run.data.params, run.data.metrics
    parts = _parts(files)
    if not parts and "result.json" not in files:
        raise TrackingError(f"run {run.info.run_id[:8]} has no result yet: it was not finished, or not by nerc")
    rows = [row for part in parts for row in part["rows"]]
    trials = compiling.trials(files)
    dots = compiling.dots(trials)
    texts = privacy_of(run).may_log or "answers/dev.jsonl" in files
    first, last = (files.get(f"prompts/{name}.txt") if texts else None for name in ("first", "compiled"))
    about = _about(run, client) | {"texts": texts}
    return render(
        PAGE,
        run=about | {"remarks": [*about["remarks"], *remarks]},
        unit=parts[0]["unit"] if parts else "",
        parts=parts,
        cards=_cards(parts, metrics),
        f1_scale=scale([bound for row in rows for bound in row["ci95"] or [row["micro_f1"]]]),
        trials=trials,
        chart=trial_chart(dots) if dots else "",
        changes=compiling.differences(files),
        errors=error_section(files),
        instruction=compiling.instruction(files),
        demonstrations=compiling.demonstrations(params, files),
        prompts={"first": first if first != last else None, "compiled": last},
        cost=_cost(files, metrics),
        settings=sorted(params.items()),
    )


def render(page: str, **context: Any) -> str:
    """Fill a template of `experiments/reports/`. Everything that is not Markup is escaped."""
    return _pages().get_template(page).render(marks=Markup(STYLE), **context)


@cache
def _pages() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def scale(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis for the values, rounded to twentieths."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    bottom, top = floor(low * 20 + 1e-9) / 20, ceil(high * 20 - 1e-9) / 20
    return bottom, max(top, bottom + 0.05)


def _about(run: Any, client: Any) -> dict[str, Any]:
    tags = run.data.tags
    experiment = client.get_experiment(run.info.experiment_id).name
    started = datetime.fromtimestamp(run.info.start_time / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {
        "id": run.info.run_id, "name": run.info.run_name, "experiment": experiment, "started": started,
        "status": run.info.status, "privacy": privacy_of(run), "corpus": tags.get("nerc.corpus", ""),
        "engine": tags.get("nerc.engine", ""), "version": tags.get("nerc.version", ""), "bundle": tags.get("nerc.bundle"),
        "optimizer": (optimizer := run.data.params.get("optimizer.name", "scored only")),
        "why": tags.get("nerc.why", ""),
        "compiled": optimizer not in ("none", "scored only"),
        "remarks": [r for r in tags.get("nerc.remarks", "").split("; ") if r],
    }  # fmt: skip


def _parts(files: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return dev and test, if they were scored: figures, rows of program and baselines, and breakdowns."""
    baselines = files.get("baselines.json", {})
    parts = []
    for name in ("dev", "test"):
        figures = files.get(f"{name}.json")
        if not figures or figures.get("micro_f1") is None:
            continue
        beside = [
            {"name": f"baseline: {n}", "program": False, **f[name]}
            for n, f in baselines.items()
            if f.get(name, {}).get("ci95")
        ]
        rows = [{"name": "program", "program": True, **figures}, *sorted(beside, key=lambda r: -r["micro_f1"])]
        ended = Answers(**figures.get("answers", {}))
        summary = ended.summary() if ended != NO_ANSWERS else ""
        parts.append({**figures, "name": name, "rows": rows, "tables": _tables(figures), "ended": summary})
    return parts


def _tables(part: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the breakdowns of a part: by label, scheme, seen or unseen, and length."""

    def row(name: str, cell: Any) -> dict[str, Any]:
        figures = cell if isinstance(cell, Mapping) else {"f1": cell}
        return {"name": name, "f1": figures.get("f1"), "gold": figures.get("gold")}

    seen = {"seen in train": part.get("seen_f1"), "not seen in train": part.get("unseen_f1")}
    kinds = [
        ("by label", part.get("labels")), ("by scheme (SemEval-2013)", part.get("schemes")), ("by surface", seen),
        ("attributes of right entities", part.get("attributes")),
        ("by length of the mention, words", part.get("by_mention_length")),
        ("by length of the document, words", part.get("by_document_length")),
    ]  # fmt: skip
    return [{"title": title, "rows": [row(str(k), v) for k, v in cells.items()]} for title, cells in kinds if cells]


def _cards(parts: Sequence[Mapping[str, Any]], metrics: Mapping[str, float]) -> list[dict[str, str]]:
    cards = [
        {"what": "LM calls", "value": f"{metrics.get('lm_calls', 0):,.0f}", "note": f"{metrics.get('tokens', 0):,.0f} tokens"},
        {"what": "time", "value": _duration(metrics.get("seconds", 0)), "note": ""},
    ]  # fmt: skip
    if metrics.get("cost"):
        cards.append({"what": "cost", "value": f"${metrics['cost']:.2f}", "note": ""})
    for last in parts[-1:]:
        both = f"{last['precision']:.2f} / {last['recall']:.2f}"
        cards.insert(0, {"what": f"{last['name']} precision / recall", "value": both, "note": ""})
        relaxed = {"value": f"{last['relaxed_f1']:.3f}", "note": "overlap and label"}
        cards.insert(1, {"what": f"{last['name']} F1, relaxed", **relaxed})
    return cards


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _cost(files: Mapping[str, Any], metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    spent = files.get("result.json", {}).get("spent", {})
    rows = [(k.replace("_", " "), f"{v:,.4f}" if isinstance(v, float) else f"{v:,}") for k, v in spent.items()]
    labelled, seconds = metrics.get("labelled", 0), metrics.get("seconds", 0)
    return [*rows, ("labelled units of train used", f"{labelled:,.0f}"), ("seconds", f"{seconds:,.1f}")]
