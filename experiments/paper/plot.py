"""Plots a table as SVG: lines over the columns if these are numbers, else a forest plot of intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.paper.layouts import Layout
from experiments.paper.optimizers import Compilings, final_point, mean_curve
from experiments.paper.read import BASELINE, Entry, Table
from experiments.scoring.curves import Curve

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "nerc",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
ACROSS = 4
COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#7b4b94", "#b08900", "#3d8b8b", "#8a8a8a", "#d16ba5")


def plot(layout: Layout, table: Table, file: Path) -> None:
    """Write the plot as SVG. The same figures give the same file."""
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        lines = all(_number(c) is not None for c in table.columns if not c.startswith(BASELINE))
        rows = sorted(dict.fromkeys(e.row for e in table.entries), key=lambda row: row.startswith(BASELINE))
        height = 3.4 if lines else 1.0 + 0.28 * len(rows)
        across = min(len(table.corpora), ACROSS)
        down = -(-len(table.corpora) // across)
        figure = Figure(figsize=(3.6 * across + 1.6, height * down), layout="constrained")
        axes = list(figure.subplots(down, across, squeeze=False).flat)
        for axis in axes[len(table.corpora) :]:
            axis.remove()
        del axes[len(table.corpora) :]
        for n, (axis, corpus) in enumerate(zip(axes, table.corpora, strict=True)):
            axis.set_title(corpus)
            if lines:
                _lines(axis, layout, table, corpus)
            else:
                _forest(axis, table, corpus, rows, named=n % across == 0)
        if lines:
            axes[0].set_ylabel("F1")
            named = {label: line for a in axes for line, label in zip(*a.get_legend_handles_labels(), strict=True)}
            figure.legend(list(named.values()), list(named), loc="outside right center", frameon=False)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def _number(column: str) -> float | None:
    head, _, tail = column.partition("=")
    return float(tail) if head == "k" and tail.isdigit() else None


def _lines(axis: Axes, layout: Layout, table: Table, corpus: str) -> None:
    """Draw a line for each row over the columns, or with x = "pool" for each column over the rows."""
    rows = [r for r in table.rows(corpus) if not r.startswith(BASELINE)]
    columns = [c for c in table.columns if c != BASELINE]
    across = layout.x == "pool"
    ticks, series = (rows, columns) if across else (columns, rows)
    for name, colour in zip(series, COLOURS * 4, strict=False):
        found = (table.get(corpus, *((tick, name) if across else (name, tick))) for tick in ticks)
        there = [(n, e) for n, e in enumerate(found) if e is not None]
        if not there:
            continue
        x, f1 = [n for n, _ in there], [e.f1 for _, e in there]
        baseline = name.startswith(BASELINE)
        style = "--" if baseline else "-"
        axis.plot(x, f1, style, marker="o", color=colour, markersize=3.5, linewidth=1.3, label=name)
        if baseline:
            continue
        axis.fill_between(
            x, [e.ci95[0] for _, e in there], [e.ci95[1] for _, e in there], color=colour, alpha=0.12, linewidth=0
        )
    axis.set_xticks(range(len(ticks)), [t.removeprefix("k=") for t in ticks])
    axis.set_xlabel("labelled sentences" if across else "demonstrations")


def _forest(axis: Axes, table: Table, corpus: str, rows: Sequence[str], *, named: bool) -> None:
    for y, row in enumerate(rows):
        entry = table.get(corpus, row)
        if entry is not None:
            _interval(axis, y, entry)
    axis.set_yticks(range(len(rows)), rows if named else [""] * len(rows))
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(axis="x", linewidth=0.4, alpha=0.5)
    axis.set_xlabel("F1")


def _interval(axis: Axes, y: int, entry: Entry) -> None:
    colour = COLOURS[6] if entry.row.startswith(BASELINE) else COLOURS[0]
    axis.plot(entry.ci95, (y, y), color=colour, linewidth=2, solid_capstyle="butt")
    axis.plot([entry.f1], [y], "o", color=colour, markersize=4.5)


def plot_curves(layout: Layout, both: Compilings, file: Path) -> None:
    """Plot the best so far on dev against LM calls, for each corpus: a line for each optimizer, the mean over seeds."""
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        across = min(len(both.dev.corpora), 2)
        down = -(-len(both.dev.corpora) // across)
        figure = Figure(figsize=(4.6 * across + 1.9, 3.6 * down), layout="constrained")
        axes = list(figure.subplots(down, across, squeeze=False).flat)
        for axis in axes[len(both.dev.corpora) :]:
            axis.remove()
        names = list(dict.fromkeys(layout.row(c.params) for c in both.dev.cells))
        styles = dict(zip(names, [(c, s) for s in ("-", "--", ":") for c in COLOURS[:7]], strict=False))
        for axis, corpus in zip(axes, both.dev.corpora, strict=False):
            axis.set_title(corpus)
            axis.set_xlabel("LM calls")
            axis.set_ylabel("F1 on dev")
            axis.grid(axis="y", linewidth=0.4, alpha=0.5)
            for name in names:
                if name == layout.reference and (plain := both.dev.get(corpus, name)):
                    axis.axhline(plain.f1, color=COLOURS[7], linewidth=1, linestyle=":", label=name)
                curves = [c for cell in both.cells(layout, corpus, name) if (c := both.curves[cell.run_id])]
                if curves:
                    _curve(axis, curves, name, *styles[name])
        named = {label: line for a in axes for line, label in zip(*a.get_legend_handles_labels(), strict=True)}
        figure.legend(list(named.values()), list(named), loc="outside right center", frameon=False)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def _curve(axis: Axes, curves: Sequence[Curve], name: str, colour: str, style: str) -> None:
    x, y = final_point(curves)
    steps = mean_curve(curves)
    steps += [(int(x), steps[-1][1])] if steps and x > steps[-1][0] else []
    axis.step(
        [c for c, _ in steps], [f for _, f in steps], style, where="post", color=colour, linewidth=1.2, label=name
    )
    axis.plot([x], [y], "o", color=colour, markersize=5)
