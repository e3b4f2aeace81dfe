"""Reads a finished grid from MLflow into rows and columns. Cells that differ only by seed or draw are one entry."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments import tracking
from experiments.paper.means import Rows, mean_and_sd, mean_difference, mean_interval
from experiments.scoring.evaluation import counts_of
from experiments.scoring.significance import Difference, holm
from ner_programs.scoring import Counts

Params = Mapping[str, str]
Label = Callable[[Params], str]
BASELINE = "baseline"
BEST_CRF = "the higher of crf and crf+hints"
"""A reference: the best CRF baseline, i.e. the one of the two with the higher score on the same texts."""
TITLES = {
    "ncbi_disease": "NCBI-disease",
    "bc2gm": "BC2GM",
    "bc5cdr": "BC5CDR",
    "bc5cdr_disease": "BC5CDR diseases",
    "bc5cdr_chemical": "BC5CDR chemicals",
    "wardnotes": "wardnotes",
}


@dataclass(frozen=True, slots=True)
class Ran:
    """One cell: its settings and figures, its counts row by row, and those of its baselines.

    `documents` is the number of documents of `part`, `asked` that of all parts.
    """

    run_id: str
    corpus: str
    params: Params
    metrics: Mapping[str, float]
    engine: str
    part: str
    unit: str
    documents: int
    asked: int
    rows: tuple[Counts, ...]
    baselines: Mapping[str, tuple[Counts, ...]]


def read_cells(home: Path, parent: str, part: str = "") -> list[Ran]:
    """Read the finished cells of a grid in order, with their scores on `part`, by default the last part."""
    client = tracking.existing_store(home)
    cells = tracking.read_file(client, parent, "cells.json")
    return [_cell(client, row["run_id"], part) for row in cells if row["status"] == "finished"]


def _cell(client: Any, run_id: str, part: str) -> Ran:
    run = tracking.find_run(client, run_id)
    params, tags = dict(run.data.params), run.data.tags
    parts = json.loads(params["parts"])
    every = {part: tracking.read_file(client, run_id, f"{part}.json") for part in parts}
    part = part or parts[-1]
    figures = every[part]
    beside = tracking.read_file(client, run_id, "baselines.json")
    baselines = {name: counts_of(parts[part]) for name, parts in beside.items()}
    name = params["corpus.name"]
    corpus = TITLES.get(name, name if name not in ("pubtator", "jsonl", "brat") else Path(params["corpus.path"]).name)
    return Ran(
        run_id, corpus, params, run.data.metrics, tags["nerc.engine"], part, figures["unit"], figures["documents"],
        sum(f["documents"] for f in every.values()),
        counts_of(figures), baselines,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One figure of a table: runs that differ only by seed or draw, and the difference to the entry named `reference`."""

    corpus: str
    row: str
    column: str
    runs: tuple[Rows, ...]
    f1: float
    sd: float | None
    ci95: tuple[float, float]
    tokens: float | None = None
    seeds: tuple[str, ...] = ()
    difference: Difference | None = None
    reference: str = ""
    p_holm: float | None = None

    @property
    def precision(self) -> float:
        """The mean precision."""
        return sum(sum(r, Counts()).precision for r in self.runs) / len(self.runs)

    @property
    def recall(self) -> float:
        """The mean recall."""
        return sum(sum(r, Counts()).recall for r in self.runs) / len(self.runs)

    @property
    def significant(self) -> bool:
        """Whether it differs significantly from the reference, after Holm's correction over the whole table."""
        return self.p_holm is not None and self.p_holm < 0.05


@dataclass(frozen=True, slots=True)
class Table:
    """All entries of a table, by corpus, row and column in their first order."""

    entries: tuple[Entry, ...]
    cells: tuple[Ran, ...]

    @property
    def corpora(self) -> list[str]:
        """The corpora, in their order."""
        return list(dict.fromkeys(e.corpus for e in self.entries))

    @property
    def columns(self) -> list[str]:
        """The columns, in their order."""
        return list(dict.fromkeys(e.column for e in self.entries))

    def rows(self, corpus: str) -> list[str]:
        """The rows of a corpus, in their order."""
        return list(dict.fromkeys(e.row for e in self.entries if e.corpus == corpus))

    def get(self, corpus: str, row: str, column: str = "") -> Entry | None:
        """Return one entry, if it is there."""
        same = (e for e in self.entries if (e.corpus, e.row, e.column) == (corpus, row, column))
        return next(same, None)

    def gap(self, corpus: str, row: str, than: str, column: str = "") -> Difference | None:
        """Return the difference of two rows, if both are there."""
        a, b = self.get(corpus, than, column), self.get(corpus, row, column)
        return mean_difference(a.runs, b.runs) if a and b else None

    def seed_by_seed(self, corpus: str, row: str, than: str) -> Difference | None:
        """Return the difference of two rows, paired by texts and by the seeds that both have; None without such seeds."""
        a, b = self.get(corpus, than), self.get(corpus, row)
        both = [seed for seed in a.seeds if seed in b.seeds] if a and b else []
        if a is None or b is None or not both:
            return None
        first, second = ([e.runs[e.seeds.index(seed)] for seed in both] for e in (a, b))
        return mean_difference(first, second, matched=True)


def table(cells: Sequence[Ran], row: Label, column: Label, reference: str, baselines: str) -> Table:
    """Group cells into entries and compare each with the row `reference` of its corpus and column, or with `BEST_CRF`.

    `baselines`: "rows" adds those of the first cell of a corpus as rows (in the column `BASELINE`, if there are columns),
    "columns" adds those of each row's own pool as columns, "" leaves them out.
    """
    grouped: dict[tuple[str, str, str], list[Ran]] = {}
    for cell in cells:
        grouped.setdefault((cell.corpus, row(cell.params), column(cell.params)), []).append(cell)
    entries = [
        replace(_entry(key, [c.rows for c in some], _tokens(some)), seeds=tuple(c.params.get("seed", "") for c in some))
        for key, some in grouped.items()
    ]
    if baselines == "columns":
        for (corpus, name, _), some in {(k[0], k[1], ""): v for k, v in reversed(grouped.items())}.items():
            for baseline in some[0].baselines:
                entries.append(_entry((corpus, name, f"baseline: {baseline}"), [c.baselines[baseline] for c in some]))
    if baselines == "rows":
        first = {cell.corpus: cell for cell in reversed(cells)}
        place = "" if {e.column for e in entries} == {""} else BASELINE
        entries += [
            _entry((corpus, f"baseline: {name}", place), [rows])
            for corpus in dict.fromkeys(c.corpus for c in cells)
            for name, rows in first[corpus].baselines.items()
        ]
    entries = _compared(entries, reference)
    order = list(dict.fromkeys(e.corpus for e in entries))
    return Table(tuple(sorted(entries, key=lambda e: order.index(e.corpus))), tuple(cells))


def without_kind(name: str) -> str:
    """Return the name of a row or column without the prefix "baseline: "."""
    return name.removeprefix(f"{BASELINE}: ")


def _entry(key: tuple[str, str, str], runs: Sequence[Rows], tokens: float | None = None) -> Entry:
    return Entry(*key, tuple(runs), *mean_and_sd(runs), mean_interval(runs), tokens)


def _tokens(cells: Sequence[Ran]) -> float:
    """Return the mean number of tokens sent for one document."""
    return sum(c.metrics.get("prompt_tokens", 0) for c in cells) / max(sum(c.asked for c in cells), 1)


def _compared(entries: Sequence[Entry], reference: str) -> list[Entry]:
    made, p_values = [], []
    for entry in entries:
        baseline = entry.row.startswith(BASELINE) or entry.column.startswith(BASELINE)
        other = None if baseline else _reference(entries, entry, reference)
        if other is None or other is entry:
            made.append(entry)
            continue
        beside = other.row == entry.row  # a baseline of each run's own pool
        matched = beside and len(other.runs) == len(entry.runs)
        difference = mean_difference(other.runs, entry.runs, matched=matched)
        made.append(replace(entry, difference=difference, reference=other.column if beside else other.row))
        p_values.append(difference.p)
    corrected = iter(holm(p_values))
    return [replace(e, p_holm=next(corrected)) if e.difference else e for e in made]


def _reference(entries: Sequence[Entry], entry: Entry, reference: str) -> Entry | None:
    """Return the reference of an entry: a row of its corpus and column, or one of its baselines."""
    there = [e for e in entries if e.corpus == entry.corpus]
    if reference != BEST_CRF:
        return next((e for e in there if (e.row, e.column) == (reference, entry.column)), None)
    names = [f"{BASELINE}: crf", f"{BASELINE}: crf+hints"]
    fitted = [e for e in there if e.row in names or (e.row == entry.row and e.column in names)]
    return max(fitted, key=lambda e: e.f1, default=None)
