"""The paper's tables in small: the same layouts over the sample corpus and few cells."""

import csv
import re
from pathlib import Path

import pytest

from experiments.baselines.finetuning import Cost
from experiments.errors import SpecError
from experiments.paper import cost
from experiments.paper.layouts import LAYOUTS
from experiments.paper.read import BEST_CRF, TITLES, Table
from experiments.paper.tables import QUICK, SPECS, paper_grid, wanted
from tests import warm

EXTENDS = 'extends = ["{base}"]\n'
COMMON = """
parts = ["dev"]
[corpus]
sample = {{ dev = 4 }}
[optimizer]
name = "none"
[program]
demos = {{ name = "tfidf", k = 2 }}
retriever = {{ name = "none" }}
"""
SELECTORS = """
[[grid]]
extends = ["{base}"]
"program.demos" = [false]
[[grid]]
extends = ["{base}"]
"program.demos.name" = ["random"]
"program.demos.k" = [2, 4]
seed = [1, 2]
[[grid]]
extends = ["{base}"]
"program.demos.k" = [2, 4]
"""
DIRAG = """
[[grid]]
extends = ["{base}"]
"program.demos" = [false]
"program.retriever" = [{{ name = "none" }}, {{ name = "flat" }}, {{ name = "walk" }}]
"""
COST = '[grid]\nextends = ["{base}"]\n"program.demos.k" = [0, 2]\n'
ENGINE = """
[[grid]]
extends = ["{base}"]
"program.demos.k" = [64]
"program.retriever" = [{{ name = "walk" }}]
[[grid]]
extends = ["{base}"]
"program.demos.name" = ["random"]
"program.demos.k" = [16]
seed = [1, 2]
[[grid]]
extends = ["{base}"]
"program.demos.k" = [16]
[[grid]]
extends = ["{base}"]
"corpus.sample" = [{{ dev = 3, train = 5 }}]
"program.demos.k" = [16]
"""
ENGINE_POOLS = """
[[grid]]
extends = ["{base}"]
"program.demos.k" = [64]
"program.retriever" = [{{ name = "walk" }}]
"corpus.sample.train" = [5]
"corpus.sample.seed" = [1, 2]
"""
OPTIMIZERS = """
[[grid]]
extends = ["{base}"]
parts = [["dev", "test"]]
"corpus.sample" = [{{ train = 12, dev = 3, test = 3 }}]
"optimizer.name" = ["none"]
[[grid]]
extends = ["{base}"]
parts = [["dev", "test"]]
"corpus.sample" = [{{ train = 12, dev = 3, test = 3 }}]
"optimizer.name" = ["labeled"]
"optimizer.budget" = [{{ calls = 60 }}]
seed = [1, 2]
"""
SMALL = {
    "selectors": SELECTORS, "dirag": DIRAG, "engine": ENGINE, "engine_pools": ENGINE_POOLS,
    "cost": COST, "optimizers": OPTIMIZERS,
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, warm.Ran, warm.Ran]:
    """The tables, and what the command said the first and the second time."""
    root = tmp_path_factory.mktemp("paper")
    specs = root / "specs"
    specs.mkdir()
    base = SPECS.parent / "wardnotes.toml"
    for name, text in SMALL.items():
        (specs / f"{name}.toml").write_text(COMMON.format() + text.format(base=base))
    home = warm.fresh_home(root / "mlruns")
    env = {"NERC_HOME": str(home), "NERC_CACHE": str(root / "cache")}
    before = f"import pathlib, experiments.paper.tables as p; p.SPECS = pathlib.Path({str(specs)!r})"
    first = warm.shared().run("paper", "all", "--out", "one", "--json", cwd=root, env=env, before=before)
    again = warm.shared().run("paper", "all", "--out", "two", "--json", cwd=root, env=env, before=before)
    return root, first, again


def test_every_table_is_written_and_a_second_time_without_a_call(made: tuple[Path, warm.Ran, warm.Ran]) -> None:
    root, first, again = made
    assert first.code == 0, first.stderr
    assert first.json["tables"].keys() == set(SMALL)
    assert first.json["lm_calls"] > 0 == again.json["lm_calls"]
    files = sorted(p.name for p in (root / "one" / "paper").iterdir())
    assert files == sorted(f"{name}.{ending}" for name in SMALL for ending in ("md", "csv", "svg"))
    for file in files:
        assert (root / "one" / "paper" / file).read_bytes() == (root / "two" / "paper" / file).read_bytes(), file


def rows(root: Path, name: str) -> list[dict[str, str]]:
    with (root / "one" / "paper" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_selector_table_has_nearest_against_random(made: tuple[Path, warm.Ran, warm.Ran]) -> None:
    root = made[0]
    found = {(r["row"], r["column"]): r for r in rows(root, "selectors")}
    assert {("no demonstrations", "k=0"), ("random", "k=2"), ("tfidf", "k=4")} < set(found)
    assert found["random", "k=4"]["runs"] == "2" and found["random", "k=4"]["sd"]
    nearest = found["tfidf", "k=4"]
    low, high = float(nearest["difference_lo"]), float(nearest["difference_hi"])
    point = float(nearest["f1"]) - float(found["random", "k=4"]["f1"])
    assert nearest["reference"] == "random" and low <= point <= high
    assert float(nearest["difference"]) == pytest.approx(point, abs=2e-4) and 0 < float(nearest["p_holm"]) <= 1
    page = (root / "one" / "paper" / "selectors.md").read_text()
    assert "in-context CRF" in page and "not an LM" in page and "![" in page
    said = re.search(r"tfidf − random at k=4: wardnotes ([+-]\.?\d\.\d{3})", page)
    assert said is not None and float(said[1]) == pytest.approx(point, abs=1e-3)
    assert "Baselines, without a call: gazetteer " in page and "fixed sample of 4" in page


def test_the_knowledge_table_has_flat_and_graph_against_none(made: tuple[Path, warm.Ran, warm.Ran]) -> None:
    found = {r["row"]: r for r in rows(made[0], "dirag")}
    for row in ("dictionary, type", "graph"):
        assert found[row]["reference"] == "none" and float(found[row]["difference_lo"]) > 0
    assert found["baseline: crf"]["engine"] == "none" and found["graph"]["engine"] == "in-context CRF"


def test_the_engine_is_compared_with_the_better_of_the_crfs_fitted_once(made: tuple[Path, warm.Ran, warm.Ran]) -> None:
    found = {(r["corpus"], r["row"]): r for r in rows(made[0], "engine")}
    crfs = [found["wardnotes, 4 of dev", f"baseline: {name}"] for name in ("crf", "crf+hints")]
    best, ours = max(crfs, key=lambda r: float(r["f1"])), found["wardnotes, 4 of dev", "nearest k=64 + knowledge"]
    assert float(crfs[0]["f1"]) != float(crfs[1]["f1"]) and ours["reference"] == best["row"]
    gap = float(ours["f1"]) - float(best["f1"])
    assert float(ours["difference"]) == pytest.approx(gap, abs=2e-4)
    assert float(ours["difference_lo"]) <= gap <= float(ours["difference_hi"])
    assert not any(r["difference"] for (_, row), r in found.items() if row.startswith("baseline"))
    page = (made[0] / "one" / "paper" / "engine.md").read_text()
    said = re.search(
        r"nearest k=64 \+ knowledge − the higher of crf and crf\+hints: wardnotes, 4 of dev ([+-]\d\.\d{3})", page
    )
    assert said is not None and float(said[1]) == pytest.approx(gap, abs=1e-3)
    between = re.search(r"nearest k=16 − random k=16: wardnotes, 4 of dev ([+-]\d\.\d{3})", page)
    gap = float(found["wardnotes, 4 of dev", "nearest k=16"]["f1"]) - float(
        found["wardnotes, 4 of dev", "random k=16"]["f1"]
    )
    assert between is not None and float(between[1]) == pytest.approx(gap, abs=1e-3)


def test_other_texts_of_a_corpus_have_a_section_of_their_own(made: tuple[Path, warm.Ran, warm.Ran]) -> None:
    found = {(r["corpus"], r["row"]): r for r in rows(made[0], "engine")}
    assert ("wardnotes, 3 of dev", "nearest k=16") in found and ("wardnotes, 3 of dev", "baseline: crf") in found
    assert ("wardnotes, 3 of dev", "nearest k=64") not in found
    assert "## wardnotes, 3 of dev" in (made[0] / "one" / "paper" / "engine.md").read_text()


def test_a_small_pool_is_compared_with_the_crf_of_the_same_draws(made: tuple[Path, warm.Ran, warm.Ran]) -> None:
    found = {(r["row"], r["column"]): r for r in rows(made[0], "engine_pools")}
    ours, baselines = found["5", "k=64"], [found["5", f"baseline: {name}"] for name in ("crf", "crf+hints")]
    best = max(baselines, key=lambda r: float(r["f1"]))
    assert (ours["runs"], best["runs"], ours["reference"]) == ("2", "2", best["column"])
    assert float(ours["difference"]) == pytest.approx(float(ours["f1"]) - float(best["f1"]), abs=2e-4)
    assert "in the same row" in (made[0] / "one" / "paper" / "engine_pools.md").read_text()


def test_the_optimizers_page_has_dev_and_test_and_every_run_is_an_object(made: tuple[Path, warm.Ran, warm.Ran]) -> None:
    said = made[1].json["tables"]["optimizers"]["rows"]
    assert [(r["optimizer"], r["seed"]) for r in said] == [("none", 1), ("labeled", 1), ("labeled", 2)]
    assert said[0]["lm_calls"] == 0 < said[1]["lm_calls"] <= 60 and made[2].json["tables"]["optimizers"]["rows"] == said
    page = (made[0] / "one" / "paper" / "optimizers.md").read_text()
    for row in said[:1]:
        for part in ("dev", "test"):
            assert f"{row[f'{part}_f1']:.3f} (" in page
    both = [float(r["test_f1"]) - float(said[0]["test_f1"]) for r in said[1:]]
    gap = re.search(r"^\| labeled \(2 seeds\) \|(?:[^|]*\|){3} ([+-]\d\.\d{3}) ", page, re.MULTILINE)
    assert gap is not None and float(gap[1]) == pytest.approx(sum(both) / 2, abs=1.1e-3)


def test_cost_says_tokens_and_what_training_takes(made: tuple[Path, warm.Ran, warm.Ran]) -> None:
    page = (made[0] / "one" / "paper" / "cost.md").read_text()
    assert re.search(r"\| k = 2 \| 0\.\d{3}.*\| [\d,]+ / \d+ \| 0 \|", page)
    assert re.search(r"\| fine-tuned \| not measured \| [\d,]+ / \d+ \| [\d,]{5,} \|", page)
    assert "CRF fitted once on all of train" in page


def test_what_a_tuned_model_costs_is_not_made_up() -> None:
    grid = paper_grid("cost", ["lm.price={input=1.0, output=4.0}"], "openai/gpt-4.1-mini")
    both = [Cost("k = 4", 4, 1000, 10, 0), Cost("fine-tuned", 0, 500, 10, 9000)]
    lines = cost._rows("NCBI-disease", both, Table((), ()), (1.0, 0.001), grid)
    assert lines[-3].endswith("| 1,000 / 10 | 0 | 1.040 |") and lines[-2].endswith("| 9,000 | not known |")


@pytest.mark.parametrize("file", sorted(p.stem for p in SPECS.glob("*.toml") if not p.stem.startswith("_")))
def test_the_specs_of_the_paper_are_grids_with_a_layout(file: str) -> None:
    name = file.removesuffix(QUICK)
    grid, compiled = paper_grid(name, quick=file != name), name == "optimizers"
    layout = LAYOUTS[name]
    params = [cell.spec.flat() for cell in grid.cells]
    assert layout.reference == BEST_CRF or layout.reference in {layout.row(p) for p in params}
    assert len({cell.name for cell in grid.cells}) == len(grid.cells)
    assert compiled or {cell.spec.optimizer["name"] for cell in grid.cells} == {"none"}
    entries: dict[tuple[str, str, str], set[str]] = {}
    for p in params:
        rest = {k: v for k, v in p.items() if k not in ("seed", "corpus.sample.seed")}
        key = (p["corpus.name"] + layout.section(p), layout.row(p), layout.column(p))
        entries.setdefault(key, set()).add(str(sorted(rest.items())))
    assert all(len(settings) == 1 for settings in entries.values()), "a mean is over seeds and draws alone"
    assert len(entries) > 2 and {p["corpus.name"] for p in params} <= set(TITLES)
    parts = '["dev", "test"]' if compiled else '["dev"]' if name.startswith("engine") else '["test"]'
    assert {p["parts"] for p in params} == {parts}


def test_a_table_that_there_is_not_is_said() -> None:
    with pytest.raises(SpecError, match="there is no table 'figure1'; there are: headline, "):
        wanted(["figure1"])
