"""The command line: help is quick, lists list, stdout is one JSON object."""

import os
from typing import Any
from unittest.mock import patch

import pytest

from tests.experiments.conftest import Place

KINDS = {
    "corpora": {"brat", "jsonl", "wardnotes", "ncbi_disease"}, "formats": {"json_list", "tanl", "dice", "tagged"},
    "demos": {"random", "tfidf"}, "retrievers": {"none", "flat", "walk"}, "sources": {"obo", "tsv"},
    "verifiers": {"llm"}, "optimizers": {"none", "labeled", "bootstrap", "random_search"},
    "lms": {"api", "crf", "replay"},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_lists(bare: Place, kind: str) -> None:
    said = bare.nerc("list", kind)
    names = said.out.split()
    assert (said.code, said.err) == (0, "")
    assert KINDS[kind] <= set(names)
    assert names == sorted(names)
    assert not [name for name in names if name.startswith("_")]
    assert bare.made("list", kind) == {kind: names}


def test_every_kind_is_in_the_help(bare: Place) -> None:
    with patch.dict(os.environ, {"COLUMNS": "200"}):
        out = bare.nerc("list", "--help").out
    assert all(kind in out for kind in [*KINDS, "runs"])


def test_the_runs_are_listed_newest_first(place: Place, private: Any, public: Any) -> None:
    runs = place.made("list", "runs")["runs"]
    there = [run["run_id"] for run in runs]
    assert {private["run_id"], public["run_id"]} <= set(there)
    assert runs[0].keys() == {"run_id", "experiment", "name", "dev_f1"}
    lines = place.nerc("list", "runs").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [run_id[:8] for run_id in there]


def test_no_runs_are_listed_where_there_are_none(bare: Place) -> None:
    assert bare.made("list", "runs") == {"runs": []}
    assert not bare.home.exists()


def test_the_doctor_prints_no_secret(bare: Place) -> None:
    with patch.dict(os.environ, {"OPENAI_API_KEY": "sk-very-secret"}):
        said = bare.nerc("doctor", "--json")
    assert said.code == 0
    checks = {row["what"]: row for row in said.json["checks"]}
    assert checks["OPENAI_API_KEY"]["found"] == "set"
    assert checks["dspy"]["ok"]
    assert checks["data directory"] == {
        "what": "data directory", "found": f"{bare.root / 'data'} (not there; only the sample runs)", "ok": False,
        "needed": False,
    }  # fmt: skip
    assert "sk-very-secret" not in said.out + said.err


def test_the_cache_is_shown_and_removed(bare: Place) -> None:
    folder = bare.root / "cache" / "answers" / "notes-0123"
    folder.mkdir(parents=True)
    (folder / "answers.db").write_bytes(bytes(1000))
    assert bare.made("cache")["bytes"] == {"notes-0123": 1000}
    assert "notes-0123\t0.0 MB" in bare.nerc("cache").out
    assert "there are: notes-0123" in bare.nerc("cache", "--remove", "notes").error
    assert folder.is_dir()
    assert bare.made("cache", "--remove", "notes-0123")["bytes"] == {}
    assert not folder.exists()
