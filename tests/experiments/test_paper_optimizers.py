"""The optimizers' page: what stands in it of runs that were made up, and that its specs are what they say."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.errors import SpecError
from experiments.paper import optimizers
from experiments.paper.layouts import LAYOUTS
from experiments.paper.plot import plot_curves
from experiments.paper.read import Ran, table
from experiments.paper.tables import SPECS, paper_grid
from experiments.scoring.curves import Curve, curve, incumbents
from ner_programs.scoring import Counts
from tests.effort import THOROUGH

LAYOUT = LAYOUTS["optimizers"]
DOCUMENTS = 60


def ran(name: str, f1: float, seed: int = 1, part: str = "test", **options: str) -> Ran:
    """A run that is right on so large a share of its documents, which have one mention each."""
    right = round(f1 * DOCUMENTS)
    rows = tuple(Counts(correct=int(i < right), predicted=1, gold=1) for i in range(DOCUMENTS))
    params = {"seed": str(seed), "optimizer.name": name, "optimizer.budget.calls": "2000"}
    params |= {f"optimizer.{key.replace('_', '.')}": value for key, value in options.items()}
    metrics = {f"{p}_f1{end}": f1 for p in ("dev", "test") for end in ("", "_lo", "_hi")}
    metrics |= {"compile_calls": 0 if name == "none" else 1900 + seed, "compile_seconds": 12.5}
    run_id = f"{name} {seed} {sorted(options.items())}"
    baselines = {"crf": rows}
    return Ran(run_id, "wardnotes", params, metrics, "in-context CRF", part, "document", 60, 120, rows, baselines)


def compilings(cells: Sequence[Ran]) -> optimizers.Compilings:
    made = [
        table([replace(c, part=part) for c in cells], LAYOUT.row, LAYOUT.column, LAYOUT.reference, LAYOUT.baselines)
        for part in ("dev", "test")
    ]
    curves: dict[str, Curve] = {
        c.run_id: [(100, 0.5), (900, 0.6), (1900, c.metrics["dev_f1"])] for c in cells if c.params["seed"] != "9"
    }
    return optimizers.Compilings(*made, curves | {c.run_id: [] for c in cells if c.run_id not in curves})


ALL = [
    ran("none", 0.5),
    *(ran("mipro", f1, seed) for seed, f1 in enumerate((0.5, 0.55, 0.5), 1)),
    *(ran("race", f1, seed) for seed, f1 in enumerate((0.8, 0.85, 0.8), 1)),
    *(ran("race", 0.6, seed, space='["instructions", "demonstrations"]') for seed in (1, 2, 3)),
    *(ran("race", 0.7, seed, budget_calls="666") for seed in (1, 2, 3)),
    *(ran("guidelines", 0.7, seed) for seed in (1, 2, 3)),
]


def test_a_row_has_dev_and_test_their_differences_and_what_compiling_took() -> None:
    page = optimizers.markdown(LAYOUT, compilings(ALL))
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in page.splitlines() if line.startswith("| ")}
    assert rows["none"][0].strip().startswith("0.500") and rows["none"][2:] == ["  ", "  ", " 0 ", " 12 "]
    cells = rows["**race** (3 seeds)"]
    assert all(cells[i].strip().startswith("0.817 ± 0.029 (") for i in (0, 1))
    assert all("+0.317" in cells[i] and "\\*" in cells[i] for i in (2, 3))
    assert [c.strip() for c in cells[4:]] == ["1,902", "12"]
    assert {"race, mipro's space (3 seeds)", "race, 666 calls (3 seeds)", "baseline: crf"} <= rows.keys()
    assert "in-context CRF" in page and "not a language model" in page


def test_what_was_to_be_compared_is_paired_by_texts_and_seeds() -> None:
    both = compilings(ALL)
    found = {c.pair: c for c in both.compared("test")}
    assert list(found) == list(optimizers.COMPARED)
    primary = found["race", "mipro"]
    assert primary.difference.delta == pytest.approx(0.3, abs=1e-9) and primary.significant
    loose = both.test.gap("wardnotes", "race", "mipro")
    assert loose is not None and loose.hi - loose.lo > primary.difference.hi - primary.difference.lo
    assert found["race", "race, mipro's space"].difference.delta == pytest.approx(0.2167, abs=1e-3)


def test_only_seeds_that_both_have_are_paired() -> None:
    some = [c for c in ALL if not (c.params["optimizer.name"] == "mipro" and c.params["seed"] == "2")]
    gap = compilings(some).test.seed_by_seed("wardnotes", "race", "mipro")
    assert gap is not None and gap.delta == pytest.approx(0.3)
    assert compilings(ALL[:1]).test.seed_by_seed("wardnotes", "race", "mipro") is None


def test_the_sentences_say_who_was_above_and_if_nobody_why() -> None:
    said = " ".join(optimizers.shows(compilings(ALL)))
    assert "Primary: race − mipro on test: wardnotes +0.300" in said and "above 0 on 1 of 1" in said
    assert "With a third of the calls: race, 666 calls − mipro on test: wardnotes +0.183" in said
    assert "guidelines − none on dev: wardnotes +0.200" in said
    assert (
        "the interval of the difference is above 0 for race, race, mipro's space, race, 666 calls, guidelines" in said
    )
    nobody = " ".join(optimizers.shows(compilings([ran("none", 0.5), ran("mipro", 0.517)])))
    assert "no interval is above 0: the most is mipro with +0.017" in nobody and "cannot be told from none" in nobody
    worse = " ".join(optimizers.shows(compilings([ran("none", 0.8), ran("mipro", 0.3)])))
    assert "it is below 0 for mipro" in worse


def test_every_run_is_an_object() -> None:
    rows = optimizers.runs(LAYOUT, compilings(ALL))
    assert len(rows) == len(ALL)
    assert {"corpus", "optimizer", "seed", "dev_f1", "test_f1", "ci95", "lm_calls", "seconds"} <= rows[0].keys()
    assert [(r["optimizer"], r["seed"], r["lm_calls"]) for r in rows[:3]] == [
        ("none", 1, 0), ("mipro", 1, 1901), ("mipro", 2, 1902),
    ]  # fmt: skip
    lines = optimizers.csv_text(rows).splitlines()
    assert len(lines) == 1 + len(ALL) and "run_id" not in lines[0]


def test_the_curves_are_drawn_also_where_a_run_has_none(tmp_path: Path) -> None:
    plot_curves(LAYOUT, compilings([*ALL, ran("gepa", 0.6, 9)]), tmp_path / "a.svg")
    svg = (tmp_path / "a.svg").read_text()
    assert all(f">{name}<" in svg for name in ("none", "mipro", "race, 666 calls", "LM calls", "F1 on dev"))
    assert ">gepa<" not in svg


def test_who_saw_more_documents_leads() -> None:
    assert incumbents([(10, 0.9, "a"), (10, 0.8, "b"), (20, 0.7, "c"), (10, 0.95, "d"), (20, 0.75, "e")]) == [
        *("a", "a", "c", "c", "e")
    ]
    assert incumbents([]) == []


def test_a_curve_is_read_from_the_steps_of_a_run() -> None:
    history = {"trial_f1": [0.6, 0.5, 0.55], "trial_lm_calls": [10, 30, 50], "trial_documents": [5, 9, 9]}

    def steps(run_id: str, metric: str) -> list[Any]:
        return [SimpleNamespace(step=n, value=v) for n, v in enumerate(history[metric], 1)]

    def run(**metrics: float) -> Any:
        return SimpleNamespace(info=SimpleNamespace(run_id="r"), data=SimpleNamespace(metrics=metrics))

    client = SimpleNamespace(get_metric_history=steps)
    whole = run(trial_f1=0.55, compile_calls=60, dev_f1=0.54)
    assert curve(client, whole) == [(10, 0.6), (30, 0.5), (50, 0.55), (60, 0.54)]
    assert curve(client, run(dev_f1=0.5)) == []


def test_a_mean_curve_begins_where_all_have_begun() -> None:
    mean = optimizers.mean_curve([[(10, 0.4), (30, 0.6), (40, 0.5)], [(20, 0.6), (40, 0.7)], []])
    assert mean == [(20, pytest.approx(0.5)), (30, pytest.approx(0.6))]
    assert optimizers.mean_curve([[(10, 0.8), (10, 0.7), (40, 0.7)]]) == [(10, 0.7)]  # the later one saw more documents
    assert optimizers.final_point([[(10, 0.4), (40, 0.5)], [(20, 0.7)], []]) == (30, pytest.approx(0.6))


@pytest.mark.parametrize(("quick", "cells"), [(True, 28), *([(False, 186)] if THOROUGH else [])])
def test_all_start_from_one_program_with_one_budget(quick: bool, cells: int) -> None:
    grid = paper_grid("optimizers", lm="openai/x", quick=quick)
    assert len(grid.cells) == cells == len({c.name for c in grid.cells})
    starts = {c.spec.program.model_dump_json() for c in grid.cells}
    assert len(starts) == 1 and '"k":16' in starts.pop()
    budgets: dict[str, set[int]] = {}
    seeds: dict[tuple[str, str], list[int]] = {}
    samples: dict[str, set[str]] = {}
    for spec in (c.spec for c in grid.cells):
        row, corpus = LAYOUT.row(spec.flat()), spec.corpus["name"]
        budgets.setdefault(row, set()).add(spec.optimizer.get("budget", {}).get("calls", 0))
        seeds.setdefault((corpus, row), []).append(spec.seed)
        samples.setdefault(corpus, set()).add(str(spec.corpus.get("sample")))
        assert "seed" not in spec.corpus.get("sample", {}) and spec.parts == ["dev", "test"]
        assert (spec.task.guidelines is not None) == (corpus == "wardnotes") and spec.kb is not None
    assert (
        budgets.pop("none") == {0}
        and budgets.pop("race, 666 calls") == {666}
        and set(map(str, budgets.values())) == {"{2000}"}
    )
    assert len(budgets) == 12 and all(len(s) == 1 for s in samples.values())
    drawn = {corpus: {len(s) for (c, row), s in seeds.items() if c == corpus and row != "none"} for corpus, _ in seeds}
    if quick:
        assert drawn == {"ncbi_disease": {1}, "wardnotes": {1}}
    else:
        assert drawn == {"ncbi_disease": {5}, "bc5cdr_chemical": {3}, "bc2gm": {3}, "wardnotes": {3}}
        assert all(sorted(s) == list(range(1, len(s) + 1)) for s in seeds.values())


def test_the_table_is_of_dev_and_test() -> None:
    with pytest.raises(SpecError, match="parts: the table optimizers needs both dev and test"):
        paper_grid("optimizers", ['parts=["test"]'], quick=True)


def test_not_every_table_has_a_quick_form() -> None:
    with pytest.raises(SpecError, match="there is no quick form of headline; there is one of: optimizers"):
        paper_grid("headline", quick=True)
    assert (SPECS / "optimizers_quick.toml").is_file()
