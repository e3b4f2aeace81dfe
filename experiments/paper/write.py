"""Writes a table as markdown and as CSV. The same figures give the same files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from experiments.paper.layouts import Layout, with_interval
from experiments.paper.read import BASELINE, BEST_CRF, Entry, Table, without_kind

CRF = "in-context CRF"
HEADER = (
    "table", "engine", "corpus", "part", "row", "column", "runs", "f1", "sd", "lo", "hi", "precision", "recall", "reference",
    "difference", "difference_lo", "difference_hi", "p_holm", "tokens_sent",
)  # fmt: skip


def markdown(layout: Layout, table: Table, extra: Sequence[str] = (), failed: Sequence[str] = ()) -> str:
    """Return the page of a table; `extra` are lines above its last paragraphs, `failed` the cells that failed."""
    lines = [f"# {layout.title}", "", *_about(table), ""]
    for corpus in table.corpora:
        lines += [
            f"## {corpus}",
            "",
            *(_matrix(layout, table, corpus) if _wide(table) else _list(layout, table, corpus)),
            "",
        ]
    lines += [f"![{layout.title}]({layout.name}.svg)", "", *extra]
    lines += [f"**What it shows.** {' '.join(layout.shows(table))}", ""]
    lines += [f"**What it cannot show.** {layout.cannot} {_limits(layout, table)}", ""]
    lines += [f"**Not run.** {line}" for line in failed]
    return "\n".join(lines).rstrip() + "\n"


def engines(table: Table) -> str:
    """Name the LMs that answered."""
    return ", ".join(dict.fromkeys(c.engine for c in table.cells))


def _wide(table: Table) -> bool:
    return len(table.columns) > 1 or table.columns != [""]


def _about(table: Table) -> Iterator[str]:
    who = engines(table)
    rows = "All but the baselines" if any(BASELINE in (e.row[:8], e.column[:8]) for e in table.entries) else "All rows"
    yield f"{rows}: **{who}**{' (it is not a language model)' if who == CRF else ''}."
    sizes = []
    for corpus in table.corpora:
        cell = next(c for c in table.cells if c.corpus == corpus)
        sample = f"corpus.sample.{cell.part}" in cell.params
        what = f"fixed sample of {cell.documents}, chosen by a hash of the id," if sample else f"whole {cell.part} set,"
        sizes.append(f"{corpus}: {what} intervals by {cell.unit}")
    means = (
        " ± is the standard deviation over seeds or draws; the interval of such a mean is about these as well as the texts."
        if any(len(e.runs) > 1 for e in table.entries)
        else ""
    )
    yield f"Strict micro-F1 on {table.cells[0].part} with 95 % intervals. {'; '.join(sizes)}.{means}"


def _limits(layout: Layout, table: Table) -> str:
    if engines(table) == CRF:
        return (
            f"{layout.crf} ".lstrip()
            + "The rows are an in-context CRF, not an LM: what holds for it need not hold for one."
        )
    return "One model at one time: another one, or a later version, may answer differently."


def f1(entry: Entry | None) -> str:
    """Format an entry: F1 and its interval, or mean ± sd and the interval of the mean."""
    if entry is None:
        return ""
    spread = "" if entry.sd is None else f" ± {entry.sd:.3f}"
    return f"{entry.f1:.3f}{spread} ({entry.ci95[0]:.3f}–{entry.ci95[1]:.3f})"


def _difference(entry: Entry | None) -> str:
    if entry is None or entry.difference is None:
        return ""
    return with_interval(entry.difference) + ("\\*" if entry.significant else "")


def _list(layout: Layout, table: Table, corpus: str) -> Iterator[str]:
    yield f"| {engines(table)} | F1 | P / R | − {layout.reference}, paired | tokens sent for a text |"
    yield "|---|---|---|---|---|"
    for row in table.rows(corpus):
        entry = table.get(corpus, row)
        assert entry is not None
        tokens = "" if entry.tokens is None else f"{entry.tokens:,.0f}"
        runs = f" ({len(entry.runs)} runs)" if len(entry.runs) > 1 else ""
        both = f"{entry.precision:.3f} / {entry.recall:.3f}"
        yield f"| {row}{runs} | {f1(entry)} | {both} | {_difference(entry)} | {tokens} |"
    yield ""
    yield "\\* significant after Holm's correction over all comparisons of this page."


def _matrix(layout: Layout, table: Table, corpus: str) -> Iterator[str]:
    columns = [c for c in table.columns if c != BASELINE and any(table.get(corpus, r, c) for r in table.rows(corpus))]
    yield from _grid(table, corpus, columns, engines(table), f1)
    compared = [c for c in columns if any(_difference(table.get(corpus, r, c)) for r in table.rows(corpus))]
    if compared:
        yield ""
        same = "row" if layout.reference == BEST_CRF else "column"
        yield f"Difference to {layout.reference} in the same {same}, paired; \\* significant after Holm's correction."
        yield ""
        yield from _grid(table, corpus, compared, f"− {layout.reference}", _difference)
    baselines = [(r, e) for r in table.rows(corpus) if (e := table.get(corpus, r, BASELINE)) is not None]
    if baselines:
        yield ""
        yield f"Baselines, without a call: {'; '.join(f'{without_kind(r)} {f1(e)}' for r, e in baselines)}."


def _grid(table: Table, corpus: str, columns: Sequence[str], corner: str, write: object) -> Iterator[str]:
    assert callable(write)
    yield f"| {corner} | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for row in table.rows(corpus):
        cells = [write(table.get(corpus, row, c)) for c in columns]
        if any(cells):
            yield f"| {row} | {' | '.join(cells)} |"


def csv_text(layout: Layout, table: Table) -> str:
    """Return every entry as a line of CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for e in table.entries:
        d = e.difference
        baseline = e.row.startswith("baseline") or e.column.startswith("baseline")
        row = [
            layout.name,
            "none" if baseline else engines(table),
            e.corpus,
            table.cells[0].part,
            e.row,
            e.column,
            len(e.runs),
        ]
        row += [_n(x) for x in (e.f1, e.sd, *e.ci95, e.precision, e.recall)]
        row += [
            e.reference,
            *(_n(x) for x in ((d.delta, d.lo, d.hi) if d else (None,) * 3)),
            _n(e.p_holm),
        ]
        writer.writerow([*row, "" if e.tokens is None else round(e.tokens)])
    return out.getvalue()


def _n(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
