"""Tables for people, on stderr; the same figures as `--json` prints."""

from __future__ import annotations

from rich.table import Table

from experiments.compare import Comparison, Row
from experiments.estimate import Estimate
from experiments.evaluation import Evaluation
from experiments.run import Result
from optimizers._base import Trial


def result_table(result: Result, engine: str) -> Table:
    """Return the program and its floors on dev and test."""
    table = Table(
        title="strict micro-F1", caption=f"95 % interval, bootstrap by {result.dev.unit}", title_justify="left"
    )
    table.add_column("")
    for part in ("dev", "test"):
        table.add_column(f"{part} F1 (interval)", justify="right")
        table.add_column("P / R", justify="right")
        table.add_column("relaxed", justify="right")
    table.add_row(f"[bold]program ({engine})[/bold]", *_cells(result.dev), *_cells(result.test))
    for name, parts in result.floors.items():
        table.add_row(f"floor: {name}", *_cells(parts["dev"]), *_cells(parts["test"]))
    return table


def _cells(evaluation: Evaluation) -> list[str]:
    if not evaluation.rows:
        return ["-", "-", "-"]
    said = evaluation.as_dict()
    lo, hi = said["ci95"]
    return [
        f"[bold]{said['micro_f1']:.3f}[/bold] ({lo:.3f}-{hi:.3f})",
        f"{said['precision']:.3f} / {said['recall']:.3f}",
        f"{said['relaxed_f1']:.3f}",
    ]


def comparison_table(comparison: Comparison) -> Table:
    """Return runs and floors with their differences to the first run; a star where the interval excludes 0."""
    table = Table(
        title=f"{comparison.corpus}, {comparison.part}: strict micro-F1",
        caption=f"95 % intervals, bootstrap by {comparison.unit}; differences to the first row, paired; * interval excludes 0",
        title_justify="left",
    )
    table.add_column("")
    for column in ("F1 (interval)", "P / R", "difference (interval)", "labelled sentences", "LM calls", "run"):
        table.add_column(column, justify="right")
    for row in comparison.rows:
        table.add_row(*_row(row))
    table.add_section()
    for row in comparison.floors:
        table.add_row(*_row(row))
    return table


def _row(row: Row) -> list[str]:
    said = row.as_dict()
    lo, hi = said["ci95"]
    against = ""
    if d := said["difference"]:
        low, high = d["ci95"]
        against = f"{d['delta']:+.3f} ({low:+.3f} to {high:+.3f}){'*' if d['significant'] else ' '}"
    return [
        row.name, f"[bold]{said['micro_f1']:.3f}[/bold] ({lo:.3f}-{hi:.3f})", f"{said['precision']:.3f} / {said['recall']:.3f}",
        against, str(row.labelled), str(row.lm_calls), "" if row.name.startswith("floor: ") else row.run_id[:8],
    ]  # fmt: skip


def trial_line(trial: Trial) -> str:
    """Return one line for a finished trial."""
    total = trial.scored.total
    changes = ", ".join(f"{k}={v}" for k, v in trial.changes.items()) or "as it is"
    f1 = f"{total.f1:.3f}" if trial.documents else "-"
    failed = f", {total.unanswered} unanswered" if total.unanswered else ""
    return (
        f"  trial {trial.number}: F1 {f1} on {trial.documents} dev documents, {trial.calls} calls so far "
        f"[dim]({changes}{failed})[/dim]"
    )


def estimate_table(plan: Estimate) -> Table:
    """Return what a run would cost at most."""
    table = Table(title=f"{plan.model}: calls at most, tokens as of the uncompiled program", title_justify="left")
    for column in ("", "calls"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("compiling", str(plan.compile_calls))
    table.add_row("scoring dev", str(plan.dev_calls))
    table.add_row("scoring test", str(plan.test_calls))
    table.add_section()
    table.add_row("calls", str(plan.calls))
    table.add_row("tokens in / out", f"{plan.tokens_in:,} / {plan.tokens_out:,}")
    table.add_row("US dollars", "unknown: set lm.price" if plan.cost is None else f"{plan.cost:.2f}")
    return table
