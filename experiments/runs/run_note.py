"""The description of a finished run at the head of its MLflow page: scores, the best trials, and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.runs.trial_runs import in_one_line
from experiments.scoring.curves import incumbents

STEPS = 6
FINAL = "final"
"""Among the changes of a trial that scores the program of an earlier one again: that one's number."""

if TYPE_CHECKING:
    from experiments.runs.scores import Result
    from experiments.scoring.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial in the description; `kept` marks the trial whose program is the final one."""

    number: int
    changes: Mapping[str, Any]
    documents: int
    f1: float
    kept: bool = False
    calls: int = 0


def chosen(trials: Sequence[Tried]) -> str:
    """Return in one line which trial was kept: "demos.k = 128 (trial 3 of 5)"; "" with fewer than two trials."""
    if len(trials) < 2:
        return ""
    best = _kept(trials)
    return f"{in_one_line(_settings(best))} (trial {_number(best)} of {len(_candidates(trials))})"


def describe(run: Any, result: Result, trials: Sequence[Tried], changes: str = "") -> str:
    """Return the description as markdown. It has figures and settings, and no text of the corpus.

    `changes` are the program's changes by compiling, in one line.
    """
    tags, params = run.data.tags, run.data.params
    scored = {part: e for part, e in (("dev", result.dev), ("test", result.test)) if e is not None}
    rows = [_score(part, evaluation, result.baselines) for part, evaluation in scored.items()]
    if len(trials) > 1:
        rows.append(_choice(trials, params.get("optimizer.name", "")))
        rows.append(_way(trials))
    rows += [f"**Why**: {tags['nerc.why']}"] if tags.get("nerc.why") else []
    rows += [f"**Compiled program**: {changes}"] if changes else []
    spent = result.spent
    cost = f", {spent['cost']:.2f} US dollars" if spent["cost"] else ""
    rows.append(
        f"**Cost**: {spent['calls']:,.0f} LM calls ({tags.get('nerc.engine', '')}), {spent['tokens']:,.0f} tokens{cost}, "
        f"{result.seconds:,.0f} s, {result.labelled:,} labelled units of train"
    )
    rows += [f"**Remark**: {remark}" for remark in tags.get("nerc.remarks", "").split("; ") if remark]
    rows.append(
        f"`nerc report {run.info.run_id[:8]}` writes `report.html` (under Artifacts): errors, instruction, demonstrations"
    )
    listed = "\n".join(f"- {row}" for row in rows)
    if result.bundle is None:
        return listed
    return (
        f'{listed}\n\n```python\nprogram = ner_programs.load("{result.bundle}")\nentities = program(text).entities\n```'
    )


def describe_cells(cells: Sequence[tuple[str, Mapping[str, float], str]]) -> str:
    """Return the description of a grid: each cell with its metrics or its error, the best on dev first."""

    def figure(metrics: Mapping[str, float], part: str) -> str:
        names = (f"{part}_f1", f"{part}_f1_lo", f"{part}_f1_hi")
        return "{:.3f} ({:.3f}–{:.3f})".format(*map(metrics.get, names)) if all(n in metrics for n in names) else "–"

    rows = ["| cell | dev F1 | test F1 | LM calls | |", "|---|---|---|---|---|"]
    for name, metrics, reason in sorted(cells, key=lambda c: -c[1].get("dev_f1", -1.0)):  # test scores choose nothing
        calls = f"{metrics['lm_calls']:,.0f}" if "lm_calls" in metrics else "–"
        why = reason.replace("|", "\\|")
        rows.append(f"| {name} | {figure(metrics, 'dev')} | {figure(metrics, 'test')} | {calls} | {why} |")
    return "\n".join(rows)


def best_baseline(baselines: Mapping[str, Mapping[str, Evaluation]], part: str) -> tuple[str, dict[str, Any]] | None:
    """Return the name and the figures of the best baseline on a part; None if none was scored."""
    there = [(name, parts[part].as_dict()) for name, parts in baselines.items() if part in parts and parts[part].rows]
    return max(there, key=lambda f: f[1]["micro_f1"] or 0.0, default=None)


def _score(part: str, evaluation: Evaluation, baselines: Mapping[str, Mapping[str, Evaluation]]) -> str:
    """Return the line of a part: strict micro-F1 with its interval, beside the best baseline."""
    baseline = best_baseline(baselines, part)
    beside = f"; best without an LM ({baseline[0]}): {_figure(baseline[1])}" if baseline else ""
    return f"**{part} F1 {_figure(evaluation.as_dict())}**{beside}"


def _figure(figures: Mapping[str, Any]) -> str:
    if figures["micro_f1"] is None:
        return "–"
    interval = " ({:.3f}–{:.3f})".format(*figures["ci95"]) if figures["ci95"] else ""
    return f"{figures['micro_f1']:.3f}{interval}"


def _choice(trials: Sequence[Tried], optimizer: str) -> str:
    """Return the kept trial, with its gain over the first trial if both were scored on as many documents."""
    best, first = _kept(trials), trials[0]
    gain = (
        f"dev F1 from {first.f1:.3f} to {best.f1:.3f}" if first.documents == best.documents else f"dev F1 {best.f1:.3f}"
    )
    settings = in_one_line(_settings(best))
    tried = len(_candidates(trials))
    return f"**Compiling** ({optimizer}, {tried} trials): {gain}; kept trial {_number(best)}, {settings}"


def _way(trials: Sequence[Tried]) -> str:
    """Return how the best F1 so far on dev rose with the calls: its last few changes."""
    led = incumbents([(t.documents, t.f1, t) for t in trials])
    turns = [
        (by, best) for n, (by, best) in enumerate(zip(trials, led, strict=True)) if not n or best is not led[n - 1]
    ]
    steps = [f"{best.f1:.3f} ({best.documents} documents) after {by.calls:,} calls" for by, best in turns[-STEPS:]]
    return f"**Best so far on dev**: {'… ' if len(turns) > STEPS else ''}{', '.join(steps)}"


def _kept(trials: Sequence[Tried]) -> Tried:
    kept = [trial for trial in trials if trial.kept]
    return kept[-1] if kept else max(trials, key=lambda trial: (trial.documents, trial.f1))


def _candidates(trials: Sequence[Tried]) -> list[Tried]:
    """Return the trials without those that score an earlier one's program again, for the final choice."""
    return [trial for trial in trials if FINAL not in trial.changes]


def _number(trial: Tried) -> int:
    """Return the number of the trial in which a program was scored first."""
    return int(trial.changes.get(FINAL, trial.number))


def _settings(trial: Tried) -> dict[str, Any]:
    return {key: value for key, value in trial.changes.items() if key != FINAL}
