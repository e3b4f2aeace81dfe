"""Grids as they are run: nested in MLflow, shared, resumed, with failures kept."""

import signal
from pathlib import Path
from typing import Any

import pytest

from experiments import tracking
from experiments.runs.run_list import list_runs
from tests import warm
from tests.lab import Lab

SPEC = """
name = "tiny"
[corpus]
name = "jsonl"
path = "notes"
private = false
[program]
demos = { name = "tfidf", k = 2 }
[[grid]]
"program.demos" = [false]
[[grid]]
"program.demos.name" = ["random"]
seed = [1, 2]
[[grid]]
"program.demos.k" = [1, 4]
"""
NAMES = ["no demos", "random seed=1", "random seed=2", "k=1", "k=4"]


class Grid(Lab):
    """A lab with a grid."""

    def run(self, *words: str, before: str = "") -> warm.Ran:
        return self.nerc("run", "my.toml", *words, "--json", before=before)

    def children(self, run_id: str) -> list[Any]:
        return tracking.children(tracking.open_store(self.home), run_id)


@pytest.fixture
def lab(tmp_path: Path) -> Grid:
    return Grid(tmp_path / "lab", SPEC)


def test_a_grid_is_a_run_with_nested_runs_and_is_not_run_twice(lab: Grid) -> None:
    first = lab.run()
    assert first.code == 0, first.stderr
    said = first.json
    assert [cell["name"] for cell in said["cells"]] == NAMES
    assert {cell["status"] for cell in said["cells"]} == {"finished"} and said["failed"] == 0
    assert said["lm_calls"] == sum(cell["lm_calls"] for cell in said["cells"]) == 5 * 10
    best = said["cells"][-1]
    lo, hi = best["test"]["ci95"]
    assert 0 < lo <= best["test"]["micro_f1"] <= hi and best["dev"]["micro_f1"] > 0
    runs = lab.children(said["run_id"])
    assert [r.info.run_name for r in runs] == NAMES
    assert {r.info.status for r in runs} == {"FINISHED"}
    assert [r.data.params["seed"] for r in runs] == ["1", "1", "2", "1", "1"]
    client = tracking.open_store(lab.home)
    parent = client.get_run(said["run_id"])
    assert parent.info.status == "FINISHED" and parent.data.metrics["cells"] == 5
    kept = tracking.read_file(client, said["run_id"], "cells.json")
    assert [row["run_id"] for row in kept] == [r.info.run_id for r in runs]
    assert not list((lab.home / "bundles").glob("*"))  # nothing was compiled
    # what compares runs sees the cells, not their parent
    assert [r.info.run_name for r in tracking.find_runs(client, "tiny")] == NAMES
    assert len(list_runs(lab.home)) == 5

    again = lab.run()
    assert again.code == 0 and again.json["lm_calls"] == 0 and again.json["run_id"] == said["run_id"]
    assert all(cell["kept"] for cell in again.json["cells"])
    assert [{**c, "kept": False} for c in again.json["cells"]] == said["cells"]
    assert len(lab.children(said["run_id"])) == 5

    lab.write(SPEC.replace("[1, 4]", "[1, 4, 6]"))  # one cell more: the others are as they were
    more = lab.run().json
    assert [c["kept"] for c in more["cells"]] == [True] * 5 + [False] and more["run_id"] == said["run_id"]


KILL = """
import os, signal
import experiments.runs.scores as r
evaluate, seen = r.evaluate, []
def counted(*a, **k):
    seen.append(1)
    if len(seen) == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return evaluate(*a, **k)
r.evaluate = counted
"""


def test_a_killed_grid_goes_on(lab: Grid) -> None:
    assert lab.run(before=KILL.format(at=6)).code == -signal.SIGKILL  # scoring test of the third cell
    ran = lab.run()
    assert ran.code == 0, ran.stderr
    assert [cell["kept"] for cell in ran.json["cells"]] == [True, True, False, False, False]
    runs = lab.children(ran.json["run_id"])
    assert [(r.info.run_name, r.info.status) for r in runs] == [(name, "FINISHED") for name in NAMES]


FAIL = """
import experiments.runs.scores as r
score = r.score
def broken(program, *a, **k):
    if program.spec.demos and program.spec.demos.get("seed") == 2:
        raise {error}
    return score(program, *a, **k)
r.score = broken
"""


def test_a_failed_cell_is_kept_with_its_reason_and_tried_again(lab: Grid) -> None:
    broken = FAIL.format(error="KeyError('a line of a note')")
    ran = lab.run(before=broken)
    assert ran.code == 1
    failed = ran.json["cells"][2]
    assert ran.json["failed"] == 1 and failed["status"] == "failed" and failed["test"] is None
    assert failed["reason"].startswith("KeyError at ") and "a line of a note" not in ran.stdout + ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("failed: random seed=2: KeyError at ")
    (run,) = (r for r in lab.children(ran.json["run_id"]) if r.info.status == "FAILED")
    assert run.info.run_id == failed["run_id"] and run.data.tags["nerc.reason"] == failed["reason"]
    again = lab.run(before=broken)
    assert again.code == 1 and again.json["cells"][2]["run_id"] == failed["run_id"]
    tracking.open_store(lab.home).delete_run(failed["run_id"])  # as a user may in MLflow: then it is made again
    whole = lab.run()
    assert whole.code == 0 and [c["kept"] for c in whole.json["cells"]] == [True, True, False, True, True]
    assert whole.json["cells"][2]["run_id"] != failed["run_id"]


def test_a_cell_that_cannot_begin_fails_alone_and_parts_say_what_is_scored(lab: Grid) -> None:
    lab.write(SPEC.replace("[1, 4]", "[1, -1]"))
    only_test = ("--set", 'parts=["test"]')
    ran = lab.run(*only_test)
    *finished, failed = ran.json["cells"]
    assert ran.code == 1 and [c["status"] for c in finished] == ["finished"] * 4 and failed["status"] == "failed"
    assert "tfidf: option 'k'" in failed["reason"]
    assert all(c["dev"] is None and c["test"]["micro_f1"] >= 0 and c["lm_calls"] == 4 for c in finished)
    assert lab.run(*only_test).json["cells"][4]["run_id"] == failed["run_id"]  # it is not kept twice
    assert len(lab.children(ran.json["run_id"])) == 5


def test_the_estimate_of_a_grid_is_that_of_its_cells(lab: Grid) -> None:
    plan = lab.run("--dry-run").json
    assert plan["calls"] == sum(cell["calls"] for cell in plan["cells"]) == 5 * 10 and plan["seconds"] > 0
    assert [cell["name"] for cell in plan["cells"]] == NAMES
    assert not (lab.home / "work").exists()


def test_train_is_drawn_by_seed(lab: Grid) -> None:
    from experiments.setup import open_corpus
    from experiments.spec import load

    def train(sample: str) -> list[str]:
        (lab.folder / "one.toml").write_text('[corpus]\nname = "jsonl"\npath = "notes"\n')
        spec = load(lab.folder / "one.toml", [f"corpus.sample={sample}"])
        return [d.id for d in open_corpus(spec, lab.folder).train]

    small, large = train("{train=3, seed=1}"), train("{train=6, seed=1}")
    assert len(small) == 3 and set(small) < set(large)
    assert len({tuple(train(f"{{train=3, seed={n}}}")) for n in range(1, 9)}) > 4
    assert train("{train=3, seed=1}") == small
