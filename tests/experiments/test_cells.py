"""One spec built upon another, and one that is many."""

from pathlib import Path
from typing import Any

import pytest

from experiments import settings
from experiments.errors import SpecError
from experiments.grids.cells import Grid, load_grid, named
from experiments.spec import load

BASE = """
name = "base"
[corpus]
name = "wardnotes"
[task]
guidelines = "guide.md"
[program]
format = { name = "tanl" }
demos = { name = "tfidf", k = 16 }
verify = { name = "llm", mode = "reject" }
[optimizer]
name = "random_search"
candidates = 4
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "base.toml").write_text(BASE)
    return tmp_path


def write(folder: Path, text: str, name: str = "own.toml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def grid(folder: Path, text: str, *changes: str, lm: str | None = None) -> Grid:
    found = load_grid(write(folder, 'extends = "specs/base.toml"\n' + text), changes, lm)
    assert found is not None
    return found


def test_own_settings_win_and_another_component_replaces(folder: Path) -> None:
    own = """
extends = "specs/base.toml"
[program]
demos = { k = 4 }
verify = false
[optimizer]
name = "none"
"""
    spec = load(write(folder, own))
    assert spec.name == "own"  # the name is the file's, not the base's
    assert spec.program.demos == {"name": "tfidf", "k": 4}
    assert spec.program.verify is None
    assert spec.optimizer == {"name": "none"}  # not with the options of random_search
    assert spec.task.guidelines == folder / "specs" / "guide.md"  # as it stands in the file that says it
    assert spec.program.format == {"name": "tanl"}


def test_specs_extend_one_another_but_not_themselves(folder: Path) -> None:
    middle = write(folder, 'extends = "specs/base.toml"\nseed = 7\n', "middle.toml")
    assert load(write(folder, f'extends = "{middle.name}"\n')).seed == 7
    write(folder, 'extends = "b.toml"\n', "a.toml")
    with pytest.raises(SpecError, match=r"[ab].toml: extends itself"):
        load(write(folder, 'extends = "a.toml"\n', "b.toml"))
    with pytest.raises(SpecError, match=r"own.toml: extends: the path of a spec, not 3"):
        load(write(folder, "extends = 3\n"))


def test_a_block_is_a_product_and_blocks_are_united(folder: Path) -> None:
    found = grid(
        folder,
        """
[[grid]]
"program.demos" = [false]
[[grid]]
"program.demos" = [{ name = "random" }]
program.demos.k = [1, 4]
seed = [1, 2]
[[grid]]
"program.demos.k" = [4, 16, 4]
""",
    )
    assert [cell.name for cell in found.cells] == [
        "no demos", "random k=1 seed=1", "random k=1 seed=2", "random k=4 seed=1", "random k=4 seed=2", "k=4", "k=16",
    ]  # fmt: skip
    assert [cell.spec.program.demos for cell in found.cells] == [
        None, {"name": "random", "k": 1}, {"name": "random", "k": 1}, {"name": "random", "k": 4},
        {"name": "random", "k": 4}, {"name": "tfidf", "k": 4}, {"name": "tfidf", "k": 16},
    ]  # fmt: skip
    assert [cell.spec.seed for cell in found.cells] == [1, 1, 2, 1, 2, 1, 1]
    assert {cell.spec.name for cell in found.cells} == {"own"}


def test_a_base_may_be_an_axis(folder: Path) -> None:
    (folder / "specs" / "other.toml").write_text(BASE.replace("wardnotes", "ncbi_disease").replace("llm", "boundary"))
    text = '[grid]\nextends = ["specs/base.toml", "specs/other.toml"]\nseed = [1, 2]\n[program.demos]\nk = 2\n'
    file = write(folder, text)
    found = load_grid(file)
    assert found is not None
    assert [c.name for c in found.cells] == ["base seed=1", "base seed=2", "other seed=1", "other seed=2"]
    assert [c.spec.corpus["name"] for c in found.cells] == ["wardnotes"] * 2 + ["ncbi_disease"] * 2
    assert {str(c.spec.program.demos) for c in found.cells} == {"{'name': 'tfidf', 'k': 2}"}


def test_set_fixes_an_axis_and_lies_below_the_others(folder: Path) -> None:
    text = '[grid]\n"program.demos.k" = [1, 2]\n"corpus.sample" = [{ train = 5, seed = 1 }, { train = 5, seed = 2 }]\n'
    found = grid(folder, text, "program.demos.k=8", "corpus.sample={dev=3}", lm="x/y")
    assert len(found.cells) == 1 and found.cells[0].spec.corpus["sample"] == {"dev": 3}
    found = grid(folder, text, "corpus.sample.dev=3")
    assert [c.spec.corpus["sample"] for c in found.cells[:2]] == [
        {"dev": 3, "train": 5, "seed": 1},
        {"dev": 3, "train": 5, "seed": 2},
    ]
    assert [c.name for c in found.cells] == ["k=1 seed=1", "k=1 seed=2", "k=2 seed=1", "k=2 seed=2"]


def test_the_key_of_a_grid_is_that_of_what_stands_beside_it(folder: Path) -> None:
    key = grid(folder, "[grid]\nseed = [1]\n").key
    assert grid(folder, "[grid]\nseed = [1, 2]\n").key == key
    assert grid(folder, "[grid]\nseed = [1]\n[program]\noccurrences = 'ordered'\n").key != key
    assert grid(folder, "[grid]\nseed = [1]\n", lm="x/y").key != key
    other = load_grid(write(folder, 'extends = "specs/base.toml"\n[grid]\nseed = [1]\n', "other.toml"))
    assert other is not None and other.key != key  # two tables with the same settings beside their grids


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("grid = 3", 'grid: write settings and their values: "program.demos.k" = [4, 16]'),
        ("grid = []", 'grid: write settings and their values: "program.demos.k" = [4, 16]'),
        ("[grid]\nseed = 1", "grid.seed: a list of values, not 1"),
        ('[grid]\nname = ["a", "b"]', "grid.name: a grid is one experiment"),
        ("[grid]\nseed = []", "grid.seed: a list of values, not []"),
        ('[grid]\n"seed.x" = [1]\n', "grid.seed.x: seed is no table"),
        ("[grid]\nsead = [1]\n", "sead: there is no such key"),
        ("[grid]\nextends = [1]\n", "grid.extends: paths of specs, not 1"),
    ],
)
def test_what_is_wrong_with_a_grid_is_said(folder: Path, text: str, said: str) -> None:
    start = "seed = 1\n" if "seed.x" in text else ""
    with pytest.raises(SpecError) as caught:
        grid(folder, start + text)
    assert said in str(caught.value) and "own.toml" in str(caught.value)


def test_a_grid_is_no_single_spec(folder: Path) -> None:
    with pytest.raises(SpecError, match="a spec with a \\[grid\\] is many runs"):
        load(write(folder, BASE + "[grid]\nseed = [1]\n"))
    assert load_grid(write(folder, BASE)) is None


def test_names_that_would_be_equal_are_written_out() -> None:
    rows: list[dict[str, Any]] = [{"a.k": 1, "b.k": 2}, {"a.k": 2, "b.k": 2, "c": 1}, {"a.k": 2, "c.k": 1, "b.k": 2}]
    assert named(rows) == ["k=1", "k=2 c=1", "k=2 k=1"]
    assert named([{"a.k": 1}, {"b.k": 1}]) == ["a.k=1", "b.k=1"]
    assert named([{}]) == ["as it is"]
    assert named([{"x.retriever.name": "none"}, {"x.retriever.name": "walk"}]) == ["retriever none", "walk"]


def test_merging_leaves_its_arguments_alone() -> None:
    base: dict[str, Any] = {"a": {"b": [1]}}
    made = settings.merged(base, {"a": {"c": {"d": 1}}})
    made["a"]["b"].append(2)
    made["a"]["c"]["d"] = 2
    assert base == {"a": {"b": [1]}}
