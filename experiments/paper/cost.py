"""The cost table: demonstrations against fine-tuning, in tokens and (if prices are known) money, and a CRF for comparison."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from experiments import setup, tracking
from experiments.baselines.finetuning import Cost, costs
from experiments.baselines.scored import answers, baselines
from experiments.errors import TrackingError
from experiments.grids.cells import Cell, Grid
from experiments.paper.read import TITLES, Table
from experiments.paper.write import f1
from experiments.session import backend_of

TIMES = "crf_seconds.json"
EPOCHS = 3
TAGGED = 200  # documents for timing


def lines(grid: Grid, table: Table, parent: str, data: Path, home: Path) -> list[str]:
    """Return a table for each corpus: F1, tokens of a text and tokens of training for each way to annotate."""
    shared, made = setup.Shared(), list[str]()
    first = {cell.spec.corpus["name"]: cell for cell in reversed(grid.cells)}
    names = list(dict.fromkeys(cell.spec.corpus["name"] for cell in grid.cells))
    seconds = _seconds([first[name] for name in names], parent, data, home, shared)
    for name in names:
        title = TITLES.get(name, name)
        if title not in table.corpora:
            continue
        cells = [c for c in grid.cells if c.spec.corpus["name"] == name]
        ks = sorted({int((c.spec.program.demos or {}).get("k", 0)) for c in cells})
        corpus, program, _ = setup.build(cells[-1].spec, data, home, shared)
        rows = costs(program, corpus, ks, epochs=EPOCHS)
        made += [*_rows(title, rows, table, seconds[name], grid), ""]
    return made


def _rows(title: str, rows: Sequence[Cost], table: Table, seconds: Sequence[float], grid: Grid) -> list[str]:
    price = backend_of(grid.cells[0].spec.lm).price
    paid = price is not None and price.input > 0
    made = [
        f"**{title}: tokens of a text, and of the training ({EPOCHS} passes over train)**", "",
        f"| | F1 | tokens in / out (estimated) | training tokens |{' US dollars for 1,000 texts |' if paid else ''}",
        f"|---|---|---|---|{'---|' if paid else ''}",
    ]  # fmt: skip
    for row in rows:
        entry = table.get(title, f"k={row.k}") if not row.training_tokens else None
        score = "not measured" if row.training_tokens else f1(entry)
        money = f" {1000 * price.cost(row.tokens_in, row.tokens_out):.3f} |" if paid and price else ""
        if money and row.training_tokens:  # a tuned model and its training have prices of their own
            money = " not known |"
        made.append(
            f"| {row.name} | {score} | {row.tokens_in:,} / {row.tokens_out:,} | {row.training_tokens:,} |{money}"
        )
    crf = table.get(title, "baseline: crf")
    fit, tag = seconds
    name = f"CRF fitted once on all of train ({fit:.1f} s; {1000 * tag:.1f} ms a text)"
    made.append(f"| {name} | {f1(crf)} | 0 / 0 | 0 |{' 0 |' if paid else ''}")
    return made


def _seconds(
    cells: Sequence[Cell], parent: str, data: Path, home: Path, shared: setup.Shared
) -> dict[str, list[float]]:
    """Return the seconds of fitting the CRF on each corpus, and of tagging a text. They are measured once, then cached."""
    client = tracking.existing_store(home)
    try:
        kept: dict[str, list[float]] = tracking.read_file(client, parent, TIMES)
    except TrackingError:
        kept = {}
    for cell in cells:
        name = cell.spec.corpus["name"]
        if name in kept:
            continue
        corpus, program, _ = setup.build(cell.spec, data, home, shared)
        began = time.monotonic()
        baseline = baselines(program, program.pool)["crf"]()
        fitted = time.monotonic()
        texts = (corpus.dev or corpus.train)[:TAGGED]
        answers(program, baseline, texts)
        kept[name] = [round(fitted - began, 2), round((time.monotonic() - fitted) / max(len(texts), 1), 5)]
    client.log_text(parent, json.dumps(kept), TIMES)
    return kept
