"""What the README shows is run, and what it lists is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import ner_programs
from experiments import setup
from experiments.spec import RunSpec, load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_reuse_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, program, _ = setup.build(load(ROOT / "experiments/specs/wardnotes.toml"), tmp_path, tmp_path / "mlruns")
    ner_programs.save(program, tmp_path / "bundles" / "wardnotes")
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python")
    assert len(example.strip().splitlines()) <= 11
    exec(compile(example, "README.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert any(re.search(r" treatment lasix 0\.\d+$", line) for line in said)
    assert ner_programs.load("bundles/wardnotes-small").spec.demos == {"name": "tfidf", "k": 8}


def test_the_example_spec_is_a_spec() -> None:
    (example,) = blocks("toml")
    spec = RunSpec.model_validate({"name": "my", **tomllib.loads(example)})
    assert set(spec.labels) == {"medication", "adverse_event"}


def test_the_tree_names_every_module() -> None:
    tree = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    modules = {f for p in ("kb", "ner_programs", "optimizers", "experiments") for f in (ROOT / p).rglob("*.py")}
    modules = {
        f for f in modules if not (f.parent / "__init__.py").is_file() or f.parent.parent == ROOT
    }  # not components
    missing = {f.name for f in modules if f.name != "__init__.py"} - set(
        re.findall(r"^ +(\S+\.py) ", tree, re.MULTILINE)
    )
    assert not missing


def test_the_figures_are_those_of_the_results() -> None:
    for corpus in ("wardnotes", "ncbi"):
        rows = (ROOT / "docs" / "results" / f"{corpus}.md").read_text(encoding="utf-8").split("## test")[0]
        for row in ("compiled (random_search)", "zero-shot, knowledge", "nearest, knowledge", "baseline: crf+hints"):
            (figure,) = re.findall(rf"\| {re.escape(row)} \| \*\*0(\.\d+)\*\* ", rows)
            assert figure in README, (corpus, row)
