"""F1 against labelled notes: which runs there are, and what is read from them."""

from __future__ import annotations

from pathlib import Path

from experiments.grids.annotation_curve import ALONE, CRF, FUSED, Point, curve_grid
from experiments.spec import load
from tests import warm
from tests.lab import Lab

SPEC = '[corpus]\nname = "jsonl"\npath = "notes"\nprivate = false\n[program]\ndemos = { name = "tfidf", k = 4 }\n'


def test_every_draw_is_two_runs_and_all_of_train_two_more(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(SPEC + '[optimizer]\nname = "random_search"\n')
    grid = curve_grid(load(path), path, [10, 20], draws=3)
    specs = [cell.spec for cell in grid.cells]
    assert len(specs) == 2 * (2 * 3 + 1)
    assert all(spec.optimizer == {"name": "none"} for spec in specs)
    assert [s.corpus.get("sample") for s in specs[:4]] == [{"train": 10, "seed": n} for n in (1, 1, 2, 2)]
    assert [s.program.verify for s in specs[:2]] == [None, {"name": "fuse"}] and "sample" not in specs[-1].corpus


def test_the_mean_over_draws_has_an_error() -> None:
    assert Point(10, FUSED, (0.5, 0.7)).as_dict() == {
        "notes": 10, "system": FUSED, "mean_f1": 0.6, "error": 0.196, "f1": [0.5, 0.7]
    }  # fmt: skip
    assert Point(None, FUSED, (0.5,)).error == 0


def test_a_curve_is_printed_and_drawn(tmp_path: Path) -> None:
    lab = Lab(tmp_path, SPEC, train=30, dev=12)
    asked = ("curve", "my.toml", "--size", "6", "--draws", "1", "--plot", "curve.svg", "--json")
    ran = lab.nerc(*asked)
    assert ran.code == 0, ran.stderr
    found = {(p["notes"], p["system"]): p["f1"] for p in ran.json["points"]}
    assert set(found) == {(notes, system) for notes in (6, None) for system in (ALONE, CRF, FUSED)}
    assert found[6, FUSED] == found[6, ALONE], "six notes are too few to learn from: what the program says stands"
    drawn = (tmp_path / "curve.svg").read_text()
    assert all(word in drawn for word in (ALONE, CRF, FUSED, "labelled notes"))
    again = lab.nerc(*asked).json
    assert again["points"] == ran.json["points"] and again["lm_calls"] == 0


def test_what_cannot_be_drawn_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(SPEC)
    ran = warm.shared().run("curve", "my.toml", "--plot", "curve.doc", cwd=tmp_path, env={})
    assert ran.code == 2 and "--plot curve.doc: a picture is .svg, .png or .pdf" in ran.stderr
