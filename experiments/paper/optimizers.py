"""The page of optimizers: dev and test side by side, the cost of compiling, the planned comparisons, the curves."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import tracking
from experiments.paper.layouts import STAR, Layout, with_interval
from experiments.paper.read import Entry, Ran, Table, read_cells, table
from experiments.paper.write import CRF, engines, f1
from experiments.scoring.curves import Curve, curve
from experiments.scoring.significance import Difference, holm

NONE, RACE, MIPRO = "none", "race", "mipro"
INSIDE, THIRD = "race, mipro's space", "race, 666 calls"
COMPARED = ((RACE, MIPRO), (INSIDE, MIPRO), (RACE, INSIDE), (THIRD, MIPRO))
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Compared:
    """A planned comparison on one corpus and part, and whether it is significant after Holm's correction."""

    corpus: str
    part: str
    pair: Pair
    difference: Difference
    significant: bool


@dataclass(frozen=True, slots=True)
class Compilings:
    """The same cells scored on dev and on test, and each run's curve of the best so far: (LM calls, F1 on dev)."""

    dev: Table
    test: Table
    curves: Mapping[str, Curve]

    @classmethod
    def read(cls, layout: Layout, home: Path, parent: str) -> Compilings:
        """Read the finished cells of a grid."""
        dev, test = (
            table(read_cells(home, parent, part), layout.row, layout.column, layout.reference, layout.baselines)
            for part in ("dev", "test")
        )
        client = tracking.existing_store(home)
        return cls(dev, test, {c.run_id: curve(client, tracking.find_run(client, c.run_id)) for c in dev.cells})

    def cells(self, layout: Layout, corpus: str, row: str) -> list[Ran]:
        """Return the runs of a row."""
        return [c for c in self.test.cells if c.corpus == corpus and layout.row(c.params) == row]

    def compared(self, part: str) -> list[Compared]:
        """Return the planned comparisons that were run. Holm's correction is over all comparisons on a part."""
        made = self.dev if part == "dev" else self.test
        found = [
            (corpus, pair, gap)
            for pair in COMPARED
            for corpus in made.corpora
            if (gap := made.seed_by_seed(corpus, *pair)) is not None
        ]
        corrected = holm([gap.p for _, _, gap in found])
        return [Compared(c, part, pair, gap, p < 0.05) for (c, pair, gap), p in zip(found, corrected, strict=True)]


def runs(layout: Layout, both: Compilings) -> list[dict[str, Any]]:
    """Return every run for `--json` and the CSV. `lm_calls` and `seconds` are those of compiling, `ci95` that of `test_f1`."""

    def interval(m: Mapping[str, float], part: str) -> list[float]:
        return [round(m[f"{part}_f1_{end}"], 4) for end in ("lo", "hi")]

    return [
        {
            "corpus": c.corpus, "optimizer": layout.row(c.params), "seed": int(c.params["seed"]),
            "dev_f1": round(c.metrics["dev_f1"], 4), "test_f1": round(c.metrics["test_f1"], 4),
            "ci95": interval(c.metrics, "test"), "dev_ci95": interval(c.metrics, "dev"),
            "lm_calls": int(c.metrics["compile_calls"]), "seconds": round(c.metrics["compile_seconds"], 2),
            "engine": c.engine, "run_id": c.run_id,
        }
        for c in both.test.cells
    ]  # fmt: skip


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the runs as CSV, without their ids."""
    out = io.StringIO()
    names = [name for name in rows[0] if name != "run_id"]
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v[0]}–{v[1]}" if isinstance(v, list) else v for k, v in row.items()})
    return out.getvalue()


def markdown(layout: Layout, both: Compilings, failed: Sequence[str] = ()) -> str:
    """Return the page; `failed` are the cells that failed."""
    who = engines(both.test)
    lines = [f"# {layout.title}", "", *_about(both, who), ""]
    for corpus in both.test.corpora:
        lines += [f"## {corpus}", "", *_rows(layout, both, corpus, who), ""]
    lines += [*_comparisons(both), f"![{layout.title}]({layout.name}.svg)", ""]
    lines += [
        "Best so far on dev against LM calls, mean over seeds; the dot is the compiled program on the whole of dev.",
        "",
    ]
    lines += [f"**What it shows.** {' '.join(shows(both))}", ""]
    limits = (
        f"{layout.crf} The rows are an in-context CRF, not an LM: what holds for it need not hold for one."
        if who == CRF
        else "One model at one time: another one, or a later version, may answer differently."
    )
    lines += [f"**What it cannot show.** {layout.cannot} {limits}", ""]
    lines += [f"**Not run.** {line}" for line in failed]
    return "\n".join(lines).rstrip() + "\n"


def _about(both: Compilings, who: str) -> Iterator[str]:
    yield f"All but the baselines: **{who}**{' (it is not a language model)' if who == CRF else ''}."
    sizes = []
    for corpus in both.test.corpora:
        cells = [next(c for c in made.cells if c.corpus == corpus) for made in (both.dev, both.test)]
        whole = [f"corpus.sample.{c.part}" not in c.params for c in cells]
        parts = [
            f"{'whole' if w else 'fixed sample of'} {c.part} ({c.documents})" for w, c in zip(whole, cells, strict=True)
        ]
        train = cells[1].params.get("corpus.sample.train")
        pool = f"{int(train):,} of train, " if train else ""
        sizes.append(f"{corpus}: {pool}{', '.join(parts)}, intervals by {cells[1].unit}")
    yield (
        f"Strict micro-F1 with 95 % intervals. {'; '.join(sizes)}. Samples are chosen by a hash of the id. ± is the standard "
        "deviation over seeds, and the interval of such a mean is about seeds as well as texts. An optimizer chooses on dev; "
        "test is what it is worth. LM calls and seconds are those of compiling (different requests; final scores not counted)."
    )


def _rows(layout: Layout, both: Compilings, corpus: str, who: str) -> Iterator[str]:
    yield f"| {who} | dev F1 | test F1 | dev − {NONE} | test − {NONE} | LM calls | seconds |"
    yield "|---|---|---|---|---|---|---|"
    for row in both.test.rows(corpus):
        dev, test = both.dev.get(corpus, row), both.test.get(corpus, row)
        cells = both.cells(layout, corpus, row)
        took = [_mean(cells, name) for name in ("compile_calls", "compile_seconds")]
        seeds = f" ({len(cells)} seeds)" if len(cells) > 1 else ""
        figures = [f1(dev), f1(test), _gap(dev), _gap(test), *took]
        yield f"| {'**race**' if row == RACE else row}{seeds} | {' | '.join(figures)} |"
    yield ""
    yield f"{STAR} significant after Holm's correction over all optimizers and corpora of this page, for dev and for test."


def _gap(entry: Entry | None) -> str:
    return (
        "" if entry is None or entry.difference is None else with_interval(entry.difference) + STAR * entry.significant
    )


def _mean(cells: Sequence[Ran], metric: str) -> str:
    found = [c.metrics[metric] for c in cells if metric in c.metrics]
    return f"{sum(found) / len(found):,.0f}" if found else ""


def _comparisons(both: Compilings) -> list[str]:
    lines: list[str] = []
    for part in ("test", "dev"):
        found = both.compared(part)
        corpora = list(dict.fromkeys(c.corpus for c in found))
        if not found:
            continue
        lines += [
            f"**What was to be compared, on {part}**: paired by texts and seeds, {STAR} after Holm's correction.",
            "",
        ]
        lines += [f"| | {' | '.join(corpora)} |", "|---" * (len(corpora) + 1) + "|"]
        for pair in COMPARED:
            at = {c.corpus: with_interval(c.difference) + STAR * c.significant for c in found if c.pair == pair}
            if at:
                name = " − ".join(pair)
                primary = pair == COMPARED[0] and part == "test"
                lines.append(f"| {f'**{name}**' if primary else name} | {' | '.join(at.get(c, '') for c in corpora)} |")
        lines.append("")
    return lines


def shows(both: Compilings) -> list[str]:
    """Return the sentences below the tables."""
    made = []
    for pair, what in ((COMPARED[0], "Primary: "), (COMPARED[3], "With a third of the calls: ")):
        found = [c for c in both.compared("test") if c.pair == pair]
        if found:
            above, below = (sum(wins(c.difference) for c in found) for wins in (_above, _below))
            each = "; ".join(f"{c.corpus} {with_interval(c.difference)}" for c in found)
            made.append(
                f"{what}{' − '.join(pair)} on test: {each}. The interval lies above 0 on {above} of {len(found)}, below "
                f"it on {below}."
            )
    raised = [
        e for e in both.dev.entries if e.row == "guidelines" and e.difference is not None
    ]  # the claim for guidelines is about dev
    if raised:
        each = "; ".join(f"{e.corpus} {with_interval(e.difference)}{STAR * e.significant}" for e in raised)
        made.append(f"guidelines − {NONE} on dev: {each}.")
    return made + [compiled(both.test, corpus) for corpus in both.test.corpora]


def compiled(test: Table, corpus: str) -> str:
    """Report the gain of compiling on a corpus: the optimizers whose interval excludes 0, or the highest one without any."""
    found = [(e, e.difference) for e in test.entries if e.corpus == corpus and e.difference is not None]
    better = [e.row for e, d in found if _above(d)]
    worse = [e.row for e, d in found if _below(d)]
    lines = f"{corpus}, compiled against uncompiled on test: "
    if better:
        lines += f"the interval of the difference is above 0 for {', '.join(better)}"
    elif found:
        entry, nearest = max(found, key=lambda f: f[1].delta)
        room, most = nearest.delta - nearest.lo, with_interval(nearest)
        lines += (
            f"no interval is above 0: the most is {entry.row} with {most}, and on these texts and seeds a difference "
            f"below about {room:.3f} cannot be told from none"
        )
    else:
        return f"{lines}there is nothing to compare."
    lines += f"; it is below 0 for {', '.join(worse)}" if worse else ""
    return f"{lines}."


def _above(difference: Difference) -> bool:
    return difference.lo > 0


def _below(difference: Difference) -> bool:
    return difference.hi < 0


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Return the mean of several runs' curves, from where all have begun. A curve that has ended keeps its last value."""
    steps = [sorted(c[:-1], key=lambda point: point[0]) for c in curves if len(c) > 1]
    if not steps:
        return []
    first = max(s[0][0] for s in steps)
    at = sorted({calls for s in steps for calls, _ in s if calls >= first})
    return [(x, sum(max((c, n, y) for n, (c, y) in enumerate(s) if c <= x)[2] for s in steps) / len(steps)) for x in at]


def final_point(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the mean end of the curves: (LM calls, F1 on all of dev)."""
    ends = [c[-1] for c in curves if c]
    return sum(c for c, _ in ends) / len(ends), sum(y for _, y in ends) / len(ends)
