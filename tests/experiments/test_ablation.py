"""Each stage and option of a program switched off in turn."""

import json
from pathlib import Path

import pytest

from experiments import tracking
from experiments.grids.ablation import WHOLE, ablation_grid, ablations
from experiments.spec import load
from tests import tiny, warm

WHOLE_SPEC = """
name = "whole"
[corpus]
name = "jsonl"
path = "corpus"
private = false
[task]
guidelines = "guide.md"
unit = "sentence"
[kb]
merge = true
sources = [{ name = "obo", path = "drugs.obo" }]
[program]
format = { name = "tanl" }
demos = { name = "tfidf", k = 4 }
retriever = { name = "walk" }
seeds = "lm"
link = true
verify = { name = "llm" }
[optimizer]
name = "random_search"
search = { "demos.k" = [2, 4], "retriever.hops" = [1, 2], "occurrences" = ["all", "ordered"] }
"""
PLAIN = '[corpus]\nname = "jsonl"\npath = "corpus"\nprivate = false\n[program]\n'


def write(folder: Path, text: str) -> Path:
    (folder / "guide.md").write_text("Mark whole names.")
    (folder / "whole.toml").write_text(text)
    return folder / "whole.toml"


def test_everything_a_spec_uses_is_switched_off_once(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE_SPEC)
    grid = ablation_grid(load(path), path)
    cells = {cell.name: cell.spec for cell in grid.cells}
    assert list(cells) == [
        WHOLE, "no knowledge", "flat dictionary instead of the graph", "names looked up by the dictionary alone",
        "sources not merged", "no demonstrations, no random_search", "random demonstrations", "no verification",
        "no guidelines", "no linking",
        "no random_search", "the plain list format", "one document a prompt",
    ]  # fmt: skip
    whole = cells.pop(WHOLE)
    assert all(spec != whole for spec in cells.values())
    assert cells["no verification"].program.verify is None and cells["no guidelines"].task.guidelines is None
    assert cells["random demonstrations"].program.demos == {"name": "random", "k": 4}
    assert cells["no random_search"].optimizer == {"name": "none"}
    # an optimizer would put demonstrations of its own in, and what is off is not searched for either
    without = cells["no demonstrations, no random_search"]
    assert without.program.demos is None and without.optimizer == {"name": "none"}
    assert set(cells["no knowledge"].optimizer["search"]) == {"demos.k", "occurrences"}
    assert set(cells["no linking"].optimizer["search"]) == set(whole.optimizer["search"])


def test_what_a_spec_does_not_use_is_not_there(tmp_path: Path) -> None:
    assert list(ablations(load(write(tmp_path, PLAIN)))) == []


def test_a_stage_that_helps_is_seen_to(tmp_path: Path) -> None:
    home = warm.fresh_home(tmp_path / "mlruns")
    tiny.write_corpus(tmp_path / "corpus", train=30, dev=40)
    path = write(tmp_path, PLAIN + 'demos = { name = "tfidf", k = 8 }\nformat = { name = "tanl" }\n')
    env = {"NERC_HOME": str(home), "NERC_CACHE": str(tmp_path / "cache")}
    ran = warm.shared().run("ablate", path.name, "--json", cwd=tmp_path, env=env)
    assert ran.code == 0, ran.stderr
    rows = {row["name"]: row for row in ran.json["rows"]}
    assert list(rows) == [WHOLE, "no demonstrations", "random demonstrations", "the plain list format"]
    whole, without = rows[WHOLE], rows["no demonstrations"]
    assert whole["loss"] is None and whole["lm_calls"] == 40 and whole["prompt_tokens"] > without["prompt_tokens"] > 0
    assert without["loss"] == pytest.approx(whole["micro_f1"] - without["micro_f1"], abs=1e-3)
    lo, hi = without["loss_ci95"]
    assert 0 < lo <= without["loss"] <= hi and without["p_holm"] < 0.05 and without["verdict"] == "better"
    assert all(row["p_holm"] >= without["p_holm"] for row in list(rows.values())[1:])
    kept = tracking.read_file(tracking.open_store(home), ran.json["run_id"], "ablation.json")
    assert kept["rows"] == json.loads(json.dumps(ran.json["rows"]))
    again = warm.shared().run("ablate", path.name, "--json", cwd=tmp_path, env=env).json
    assert again["rows"] == ran.json["rows"] and again["lm_calls"] == 0
