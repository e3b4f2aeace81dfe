"""Tables for people on stderr, with the same figures as `--json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from experiments.annotate.plan import Plan
from experiments.comparison import Comparison, Row
from experiments.grids.ablation import Ablated
from experiments.grids.annotation_curve import Point
from experiments.runs.estimate import Estimate
from experiments.runs.scores import Result
from experiments.scoring.evaluation import Evaluation
from experiments.scoring.significance import Difference, Verdict
from ner_programs.prompts.answers import NO_ANSWERS

LEARNED = {
    "train": "learned from {units} texts of train that have predictions; the gold of {part} was not looked at",
    "other parts": "learned from {units} texts of train and dev that have predictions; the gold of {part} was not looked at",
    "folds": "learned from {units} texts of {part} in folds: what answered a text saw neither its gold nor its group's",
    "nothing": "too little is labelled to learn from: {units} texts with predictions; the predictions stay as they are",
}


def result_table(result: Result, engine: str) -> Table:
    """Return the program and its baselines on dev and test."""
    scored = {part: e for part, e in (("dev", result.dev), ("test", result.test)) if e is not None}
    unit = next(iter(scored.values())).unit
    ended = [f"{part} answers: {e.answers.summary()}" for part, e in scored.items() if e.answers != NO_ANSWERS]
    ended += [f"{part} {line}" for part, e in scored.items() for line in attribute_lines(e)]
    caption = "\n".join([f"95 % interval, bootstrap by {unit}", *ended])
    table = Table(title="strict micro-F1", caption=caption, title_justify="left")
    table.add_column("")
    for part in scored:
        table.add_column(f"{part} F1 (interval)", justify="right")
        table.add_column("P / R", justify="right")
        table.add_column("relaxed", justify="right")
    table.add_row(f"[bold]program ({engine})[/bold]", *(c for e in scored.values() for c in _cells(e)))
    for name, parts in result.baselines.items():
        table.add_row(f"baseline: {name}", *(c for part in scored for c in _cells(parts[part])))
    return table


def attribute_lines(evaluation: Evaluation) -> list[str]:
    """Return a line with the F1 of each clinical attribute and its interval, if any was counted."""
    figures = evaluation.breakdown.as_dict().get("attributes", {})
    said = (f"{name} {x['f1']:.3f} ({x['ci95'][0]:.3f}-{x['ci95'][1]:.3f})" for name, x in figures.items())
    return ["attributes of right entities, F1: " + ", ".join(said)] if figures else []


def _cells(evaluation: Evaluation) -> list[str]:
    if not evaluation.rows:
        return ["-", "-", "-"]
    output = evaluation.as_dict()
    lo, hi = output["ci95"]
    return [
        f"[bold]{output['micro_f1']:.3f}[/bold] ({lo:.3f}-{hi:.3f})",
        f"{output['precision']:.3f} / {output['recall']:.3f}",
        f"{output['relaxed_f1']:.3f}",
    ]


def comparison_table(comparison: Comparison) -> Table:
    """Return runs and baselines with their differences to the first run. A star marks a verdict of better or worse."""
    table = Table(
        title=f"{comparison.corpus}, {comparison.part}: strict micro-F1",
        caption=f"95 % intervals, bootstrap by {comparison.unit}; differences to the first row, paired; "
        "* better or worse: the interval excludes 0, and p, Holm-corrected over these rows, is at most .05",
        title_justify="left",
    )
    table.add_column("")
    for column in ("F1 (interval)", "P / R", "difference (interval)", "labelled sentences", "LM calls", "run"):
        table.add_column(column, justify="right")
    for row in comparison.rows:
        table.add_row(*_row(row, comparison.unit))
    table.add_section()
    for row in comparison.baselines:
        table.add_row(*_row(row, comparison.unit))
    return table


def _row(row: Row, unit: str) -> list[str]:
    output = row.as_dict()
    lo, hi = output["ci95"]
    against = _difference(row.against_first, row.verdict, unit)
    return [
        row.name, f"[bold]{output['micro_f1']:.3f}[/bold] ({lo:.3f}-{hi:.3f})",
        f"{output['precision']:.3f} / {output['recall']:.3f}",
        against, _known(row.labelled), _known(row.lm_calls), "" if row.name.startswith("baseline: ") else row.run_id[:8],
    ]  # fmt: skip


def _difference(d: Difference | None, verdict: Verdict | None, unit: str) -> str:
    if d is None:
        return ""
    if verdict == "too few to tell":
        return f"{d.delta:+.3f} (too few {unit}s to tell)"
    return f"{d.delta:+.3f} ({d.lo:+.3f} to {d.hi:+.3f}){'*' if verdict in ('better', 'worse') else ' '}"


def _known(number: int | None) -> str:
    return "–" if number is None else str(number)


def estimate_table(plan: Estimate) -> Table:
    """Return the maximum cost of a run."""
    table = Table(title=f"{plan.model}: calls at most, tokens as of the uncompiled program", title_justify="left")
    for column in ("", "calls"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("compiling", str(plan.compile_calls))
    table.add_row("scoring dev", str(plan.dev_calls))
    table.add_row("scoring test", str(plan.test_calls))
    table.add_section()
    _add_costs(table, plan)
    return table


def plan_table(plan: Plan) -> Table:
    """Return the maximum cost of an annotation."""
    table = Table(title=f"{plan.model}: calls at most, tokens estimated", title_justify="left")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("documents", f"{plan.documents:,}")
    table.add_row("finished already", f"{plan.finished:,}")
    _add_costs(table, plan)
    return table


def _add_costs(table: Table, plan: Estimate | Plan) -> None:
    table.add_row("calls", f"{plan.calls:,}")
    table.add_row("tokens in / out", f"{plan.tokens_in:,} / {plan.tokens_out:,}")
    table.add_row("US dollars", "unknown: set lm.price" if plan.cost is None else f"{plan.cost:.2f}")
    if plan.seconds is not None:
        table.add_row("minutes, two cores", f"{plan.seconds / 60:.1f}")


def curve_table(points: Sequence[Point]) -> Table:
    """Return F1 against labelled notes: a row for each number of notes, a column for each system."""
    systems = list(dict.fromkeys(p.system for p in points))
    table = Table(
        title="strict micro-F1 on dev against labelled notes", title_justify="left",
        caption="mean over draws, with half of the 95 % interval of that mean",
    )  # fmt: skip
    table.add_column("labelled notes", justify="right")
    for system in systems:
        table.add_column(system, justify="right")
    for notes in dict.fromkeys(p.notes for p in points):
        own = {p.system: f"{p.mean:.3f}" + (f" ± {p.error:.3f}" if p.error else "") for p in points if p.notes == notes}
        table.add_row("all" if notes is None else str(notes), *(own.get(system, "") for system in systems))
    return table


def ablation_table(rows: Sequence[Ablated], part: str) -> Table:
    """Return the loss and cost of each ablation. A star marks a verdict of better or worse."""
    table = Table(
        title=f"{part}: what the program loses without each part", title_justify="left",
        caption="F1 of the whole less this one's, paired, 95 % interval; * the interval excludes 0, and p is at most .05",
    )  # fmt: skip
    table.add_column("")
    for column in ("F1 (interval)", "loss (interval)", "p (Holm)", "LM calls", "tokens in / out", "seconds"):
        table.add_column(column, justify="right")
    for row in rows:
        lo, hi = row.ci95
        lost = _difference(row.loss, row.verdict, "text")
        tokens = f"{row.cost['prompt_tokens']:,.0f} / {row.cost['answer_tokens']:,.0f}"
        p_value = "" if row.p_holm is None or row.verdict == "too few to tell" else f"{row.p_holm:.4f}"
        spent = (f"{row.cost['lm_calls']:.0f}", tokens, f"{row.cost['seconds']:.1f}")
        table.add_row(row.name, f"[bold]{row.f1:.3f}[/bold] ({lo:.3f}-{hi:.3f})", lost, p_value, *spent)
    return table


def fused_table(output: dict[str, Any]) -> Table:
    """Return the scores before and after fusing, and the gain over each."""
    caption = f"95 % intervals, bootstrap by {output['unit']}; * better or worse: p, Holm-corrected, is at most .05"
    table = Table(title=f"{output['part']}: strict micro-F1", caption=caption, title_justify="left")
    for column in ("", "F1 (interval)", "P / R", "fused less it (interval)", "p"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in output["scores"].items():
        lo, hi = row["ci95"] or (0.0, 0.0)
        cells = [f"{row['micro_f1']:.3f} ({lo:.3f}-{hi:.3f})", f"{row['precision']:.3f} / {row['recall']:.3f}", "", ""]
        if gap := output["differences"].get(name):
            star = " *" if gap["verdict"] in ("better", "worse") else ""
            cells[2:] = [
                f"{gap['delta']:+.3f} ({gap['ci95'][0]:+.3f} to {gap['ci95'][1]:+.3f}){star}",
                f"{gap['p']:.4f}",
            ]
        table.add_row(Text(name), *cells)
    return table


def print_fused(output: dict[str, Any]) -> None:
    """Print the figures for people."""
    from experiments.commands.console import err

    for remark in output["remarks"]:
        err.print(remark, soft_wrap=True, markup=False)
    learned = output["learned"]
    err.print(
        LEARNED[learned["from"]].format(part=output["part"], units=learned["units"]), soft_wrap=True, markup=False
    )
    err.print(fused_table(output))
    if learned["from"] == "nothing":
        return
    sure, changes = output["sure"], dict(output["changes"])
    if sure["entities"]:
        precise = f"{sure['precision']:.3f} of {sure['entities']} entities"
        err.print(f"precision at a score of at least {sure['at_least']}: {precise}", markup=False)
    if output["calibration_error"] is not None:
        err.print(
            f"expected calibration error of the scores, ten bins: {output['calibration_error']:.3f}", markup=False
        )
    of = changes.pop("of")
    counts = ", ".join(f"{what} {n['number']} ({n['right']} right)" for what, n in changes.items())
    err.print(f"what changed of {of}: {counts}", soft_wrap=True, markup=False)
