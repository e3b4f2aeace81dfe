"""What a user can mend is one line on stderr that names it, exit code 2, and nothing left behind."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments import errors
from experiments.errors import SpecError
from tests.experiments.conftest import POTIONS, Place

NERC = Path(sys.executable).with_name("nerc")
CORPUS = '[corpus]\nname = "jsonl"\npath = "notes.jsonl"\n'

SPECS: dict[str, tuple[str, str]] = {
    "bad TOML": ("a = = 1", r"x.toml: not TOML: "),
    "no corpus": ("", "x.toml: corpus: Field required"),
    "unknown table": (CORPUS + "[corpora]", "x.toml: corpora: there is no such key; there are: name, seed, corpus"),
    "unknown key": (CORPUS + "[task]\nguide = 1", "task.guide: there is no such key; there are: guidelines, unit"),
    "no corpus name": ('[corpus]\npath = "notes.jsonl"', "a component needs a name; there are: anatem, "),
    "unknown corpus": ('[corpus]\nname = "zz"', "has no 'zz'; it has: anatem, "),
    "no corpus path": ('[corpus]\nname = "jsonl"', "jsonl needs the option 'path'"),
    "missing corpus": (
        '[corpus]\nname = "jsonl"\npath = "zz.jsonl"',
        "there is no zz.jsonl, neither as it stands nor in ",
    ),
    "unknown corpus option": (CORPUS + "zz = 1", "jsonl has no option 'zz'; it has: path, private, split"),
    "wrong corpus option": (CORPUS + "split = { by = 'zz' }", "jsonl: option 'split.by': Input should be 'document'"),
    "private is no truth": (CORPUS + "private = 'false'", "corpus.private: true or false, not 'false'"),
    "missing data folder": ('[corpus]\nname = "ncbi_disease"', "say where the data lies with --data or NERC_DATA"),
    "no patients": (
        CORPUS + "split = { by = 'patient' }",
        'no document says which patient it belongs to; use by = "doc',
    ),
    "unknown label": (CORPUS + "[labels]\nzz = 'x'", "labels.zz: nothing is annotated so; there are: omen, potion"),
    "guidelines missing": (CORPUS + "[task]\nguidelines = 'zz.md'", "task.guidelines: "),
    "wrong unit": (CORPUS + "[task]\nunit = 'zz'", "unit: Input should be 'sentence', 'document' or 'window'"),
    "unknown format": (CORPUS + "[program]\nformat = { name = 'zz' }", "has no 'zz'; it has: dice, json_list, "),
    "unknown demos": (CORPUS + "[program]\ndemos = { name = 'zz' }", "has no 'zz'; it has: "),
    "wrong demos option": (CORPUS + "[program]\ndemos = { name = 'tfidf', k = 'many' }", "tfidf: option 'k': Input"),
    "unknown demos option": (CORPUS + "[program]\ndemos = { name = 'tfidf', n = 1 }", "has no option 'n'; it has: k"),
    "unknown verifier": (CORPUS + "[program]\nverify = { name = 'zz' }", "has no 'zz'; it has: "),
    "unknown retriever": (CORPUS + "[program]\nretriever = { name = 'zz' }", "has no 'zz'; it has: flat, none, walk"),
    "no knowledge": (CORPUS + "[program]\nretriever = { name = 'walk' }", "give the spec a [kb] table with `sources`"),
    "context in a spec": (CORPUS + "[program]\ndemos = { name = 'tfidf', pool = [] }", "has no option 'pool'"),
    "unknown optimizer": (CORPUS + "[optimizer]\nname = 'zz'", "optimizers has no 'zz'; it has: bootstrap, "),
    "no optimizer name": (CORPUS + "[optimizer]\nk = 1", "optimizers: a component needs a name"),
    "wrong optimizer option": (
        CORPUS + "[optimizer]\nname = 'labeled'\nk = 'x'",
        "labeled: option 'k': Input should be",
    ),
    "nothing to search": (CORPUS + "[optimizer]\nname = 'random_search'\nsearch = { zz = [1] }", "zz"),
    "nothing to search in a component": (
        CORPUS
        + "[program]\ndemos = { name = 'tfidf' }\n[optimizer]\nname = 'random_search'\nsearch = { 'demos.zz' = [1] }",
        "tfidf has no option 'zz'; it has: k",
    ),
    "no candidates": (CORPUS + "[optimizer]\nname = 'random_search'\ncandidates = 0", "candidates"),
    "fewer than no candidates": (CORPUS + "[optimizer]\nname = 'random_search'\ncandidates = -3", "candidates"),
    "fewer than no demonstrations": (CORPUS + "[program]\ndemos = { name = 'tfidf', k = -1 }", "tfidf: option 'k'"),
    "unknown limit": (
        CORPUS + "[optimizer]\nname = 'none'\nbudget = { zz = 1 }",
        "optimizer.budget.zz: there is no such",
    ),
    "wrong limit": (CORPUS + "[optimizer]\nname = 'none'\nbudget = { calls = 'x' }", "optimizer.budget.calls: "),
    "wrong budget": (CORPUS + "[optimizer]\nname = 'none'\nbudget = 3", "optimizer.budget is a table"),
    "unknown backend": (CORPUS + "[lm]\nmodel = 'zz'", "ner_programs.lms has no 'zz'; it has: api, crf, local, replay"),
    "no cassette": (CORPUS + "[lm]\nmodel = 'replay'", "replay needs the cassette to answer from: lm.path"),
    "host unnamed": (CORPUS + "[lm]\nmodel = 'openai/x'", "lm (openai/x) has no lm.api_base"),
    "host not allowed": (
        CORPUS + "[lm]\nmodel = 'openai/x'\napi_base = 'http://llm.example/v1'",
        "may not be sent to llm.example: allow it with lm.allow_hosts = ['llm.example']",
    ),
    "host of a role unnamed": (
        CORPUS + "[lm.prompt]\nmodel = 'openai/x'",
        "lm.prompt (openai/x) has no lm.prompt.api_base",
    ),
    "host of a role not allowed": (
        CORPUS + "[lm.strong]\nmodel = 'openai/x'\napi_base = 'http://llm.example/v1'",
        "may not be sent to llm.example: allow it with lm.strong.allow_hosts = ['llm.example']",
    ),
    "host of a role not its own": (
        CORPUS + "[lm]\nallow_hosts = ['llm.example']\n"
        "[lm.strong]\nmodel = 'openai/x'\napi_base = 'http://llm.example/v1'\nallow_hosts = []",
        "may not be sent to llm.example: allow it with lm.strong.allow_hosts",
    ),
    "unknown backend of a role": (CORPUS + "[lm.prompt]\nmodel = 'zz'", "ner_programs.lms has no 'zz'; it has: api,"),
    "unknown key of a role": (
        CORPUS + "[lm.prompt]\nmodel = 'crf'\nretries = 1",
        "lm.prompt: crf has no option 'retries'; it has: processes; of any model: temperature",
    ),
    "missing source": (
        CORPUS + "[kb]\nsources = [{ name = 'obo', path = 'zz.obo' }]",
        "kb.sources: there is no zz.obo, ",
    ),
    "unknown source": (
        CORPUS + "[kb]\nsources = [{ name = 'zz', path = 'brews.obo' }]",
        "has no 'zz'; it has: gazetteer, gene_info, mesh, obo,",
    ),
    "source without path": (CORPUS + "[kb]\nsources = [{ name = 'obo' }]", "obo needs the option 'path'"),
    "no such ontology": (CORPUS + "[kb]\nsources = [{ name = 'obo', path = 'notes.jsonl' }]", "no [Term] in it"),
    "type to no label": (
        CORPUS + "[kb]\nsources = [{ name = 'obo', path = 'brews.obo' }]\nlabels = { Potion = 'brew' }",
        "kb.labels.Potion: there is no label 'brew'; there are: omen, potion",
    ),
    "no such type": (
        CORPUS + "[kb]\nsources = [{ name = 'obo', path = 'brews.obo' }]\nlabels = { Drug = 'potion' }",
        "kb.labels: no concept is of type 'Drug'; there are: Omen, Potion",
    ),
}


@pytest.mark.parametrize("kind", SPECS)
def test_a_wrong_spec(bare: Place, kind: str) -> None:
    text, message = SPECS[kind]
    (bare.root / "x.toml").write_text(text)
    before = bare.files()
    if "host" in kind:
        assert message in bare.nerc("run", "x.toml", "--dry-run").error
    assert message in bare.nerc("run", "x.toml").error
    left = {path for path in bare.files() - before if not path.is_relative_to(bare.home / "kb")}
    assert left <= {bare.root / "cache", bare.home}  # a knowledge base that was built is whole, and kept
    assert not list(bare.home.rglob("*.partial"))


LINES = {
    "no JSON": ('{"text": "a"', "notes.jsonl:21: "),
    "no text": ('{"id": "x"}', "notes.jsonl:21: text: Field required"),
    "a span beyond the text": (
        '{"text": "abc", "entities": [{"start": 1, "end": 9, "label": "x"}]}',
        "notes.jsonl:21: 1..9 is no span",
    ),
    "an id twice": ('{"id": "v01_visit", "text": "abc"}', "document 'v01_visit' is in "),
}


@pytest.mark.parametrize("kind", LINES)
def test_a_broken_corpus_line(bare: Place, kind: str) -> None:
    line, message = LINES[kind]
    with (bare.root / "notes.jsonl").open("a") as notes:
        notes.write(line + "\n")
    before = bare.files()
    assert message in bare.nerc("run", "open.toml").error
    assert bare.files() - before <= {bare.root / "cache"}


COMMANDS: dict[str, tuple[tuple[str, ...], str]] = {
    "missing spec": (("run", "zz.toml"), "zz.toml: cannot be read: No such file or directory"),
    "no assignment": (("run", "open.toml", "--set", "zz"), "--set zz: write it as table.key=value"),
    "no table": (("run", "open.toml", "--set", "corpus.name.x=1"), "--set corpus.name.x=1: name is no table"),
    "unknown setting": (
        ("run", "open.toml", "--set", "program.zz=1"),
        "program.zz: there is no such key; there are: format",
    ),
    "unknown backend": (("run", "open.toml", "--lm", "zz"), "ner_programs.lms has no 'zz'"),
    "home is a file": (("run", "open.toml", "--home", "notes.jsonl"), "notes.jsonl"),
    "dry run of nothing": (("run", "zz.toml", "--dry-run", "--json"), "zz.toml: cannot be read"),
    "unknown kind": (("list", "zz"), "there is no kind 'zz'; there are: corpora, formats"),
    "nothing to compare": (("compare",), "compare wants either run ids or --experiment NAME"),
    "too much to compare": (("compare", "a", "--experiment", "b"), "compare wants either run ids or --experiment NAME"),
    "wrong part": (("compare", "a", "--part", "train"), "--part train: it is dev or test"),
    "unknown run": (("compare", "zz"), "no runs begin with 'zz'"),
    "unknown experiment": (("compare", "--experiment", "zz"), "there is no experiment 'zz'; there are: "),
    "unknown input": (("annotate", "BUNDLE", "zz.txt"), "zz.txt: there is no such file"),
    "a folder without notes": (("annotate", "BUNDLE", "mlruns/kb"), "no file in it has a suffix of these: .txt"),
    "a file of no form": (("annotate", "BUNDLE", "open.toml"), "open.toml: its suffix is none of .txt"),
    "input in Latin-1": (("annotate", "BUNDLE", "latin.txt"), "latin.txt: not UTF-8"),
    "JSON lines in Latin-1": (("annotate", "BUNDLE", "latin.jsonl"), "latin.jsonl:1: byte 14 of the line is not UTF-8"),
    "text as JSON lines": (("annotate", "BUNDLE", "guidelines.md", "--format", "jsonl"), "guidelines.md:1: "),
    "unknown input format": (
        ("annotate", "BUNDLE", "guidelines.md", "--format", "zz"),
        "--format zz: it is auto or one of ",
    ),
    "no bundle": (("annotate", "notes", "guidelines.md"), "notes/program.json: not part of a bundle"),
    "bundle of no run": (("annotate", "runs:/zz", "guidelines.md"), "no runs begin with 'zz'"),
    "bundle of no model": (
        ("annotate", "models:/zz@best", "guidelines.md"),
        "there is no models:/zz@best; write it as",
    ),
    "bundle of half a model": (("annotate", "models:/zz", "guidelines.md"), "there is no models:/zz; write it as"),
    "out in no folder": (("annotate", "BUNDLE", "guidelines.md", "--out", "zz/out.jsonl"), "--out zz/out.jsonl: "),
    "input and output": (
        ("annotate", "BUNDLE", "guidelines.md", "--html", "guidelines.md"),
        "guidelines.md: it is an output of this command",
    ),
    "out of no use": (
        ("annotate", "BUNDLE", "guidelines.md", "--out", "out.conll"),
        "guidelines.md: document 'guidelines' is not made of tokens with one blank between them, so --out cannot be conll",
    ),
    "out is a folder": (("annotate", "BUNDLE", "guidelines.md", "--out", "notes"), "--out notes: it is a folder"),
    "another setting": (
        ("annotate", "BUNDLE", "guidelines.md", "--set", "seed=1"),
        "here only lm.<option>=value can be set",
    ),
    "unknown LM setting": (
        ("annotate", "BUNDLE", "guidelines.md", "--set", "lm.zz=1"),
        "lm: crf has no option 'zz'; it has: processes; of any model: temperature",
    ),
    "wrong LM setting": (
        ("annotate", "BUNDLE", "guidelines.md", "--set", "lm.retries=-1"),
        "lm.retries: Input should be greater",
    ),
    "unknown setting of a role": (
        ("annotate", "BUNDLE", "guidelines.md", "--set", "lm.strong.model=crf", "--set", "lm.strong.zz=1"),
        "lm.strong: crf has no option 'zz'; it has: processes; of any model: temperature",
    ),
    "private text to a role's host": (
        ("annotate", "BUNDLE", "guidelines.md", "--set", "lm.strong.model=openai/x"),
        "lm.strong (openai/x) has no lm.strong.api_base",
    ),
    "private text to a host": (("annotate", "BUNDLE", "guidelines.md", "--lm", "openai/x"), "has no lm.api_base"),
    "nothing to evaluate": (("evaluate", "open.toml"), "evaluate wants BUNDLE CORPUS, or --predictions FILE CORPUS"),
    "no predictions": (("evaluate", "open.toml", "--predictions", "zz.jsonl"), "zz.jsonl: there is no such file"),
    "evaluate no bundle": (("evaluate", "zz", "open.toml"), "zz/program.json: not part of a bundle"),
    "evaluate no part": (("evaluate", "BUNDLE", "open.toml", "--part", "zz"), "--part zz: it is dev or test"),
    "evaluate no spec": (("evaluate", "BUNDLE", "zz.toml"), "zz.toml: cannot be read"),
    "export nowhere": (("export", "RUN"), "export wants --out FOLDER, --register NAME@ALIAS, or both"),
    "export nothing": (("export", "zz", "--out", "exported"), "no runs begin with 'zz'"),
    "export over something": (
        ("export", "RUN", "--out", "notes"),
        "notes exists and is not a bundle; it is left as it is",
    ),
    "no alias": (("export", "RUN", "--out", "exported", "--register", "x"), "--register x: write it as NAME@ALIAS"),
    "reserved alias": (("export", "RUN", "--register", "x@v1"), "x@v1 cannot be registered: "),
    "no model name": (("export", "RUN", "--register", "a/b@best"), "a/b@best cannot be registered: "),
    "no such answers": (("cache", "--remove", "zz"), "there are no recorded answers 'zz'; there are: notes-"),
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_wrong_command_line(place: Place, public: Any, kind: str) -> None:
    words, message = COMMANDS[kind]
    (place.root / "latin.txt").write_bytes(b"caf\xe9")
    (place.root / "latin.jsonl").write_bytes(b'{"text": "caf\xe9"}')
    before = place.files()
    given = [{"BUNDLE": public["bundle"], "RUN": public["run_id"]}.get(word, word) for word in words]
    assert message in place.nerc(*given).error
    assert place.files() == before
    assert place.made("list", "runs")["runs"]  # the store is whole


def test_a_refused_registration_leaves_no_model(place: Place, public: Any) -> None:
    assert "cannot be registered" in place.nerc("export", public["run_id"], "--register", "fresh@latest").error
    assert "there is no models:/fresh/1" in place.nerc("annotate", "models:/fresh/1", "guidelines.md").error


def test_faults_of_nerc_are_not_dressed_up() -> None:
    assert errors.one_line(ValueError("a bug")) is None
    assert errors.one_line(OSError("no file in it")) is None
    assert errors.one_line(SpecError("two\n lines")) == "two lines"
    assert errors.one_line(FileNotFoundError(2, "No such file", "x.txt")) == "x.txt: No such file"


def really(place: Place, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **place.environment, **more}
    return subprocess.run([NERC, *words], capture_output=True, text=True, cwd=place.root, env=environment, check=False)


def test_the_real_entry_point(bare: Place) -> None:
    (bare.root / "x.toml").write_text('[corpus]\nname = "zz"\n')
    before = bare.files()
    done = really(bare, "run", "x.toml")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("nerc: experiments.corpora has no 'zz'; it has: anatem, ")
    assert done.stderr.count("\n") == 1
    assert bare.files() - before <= {bare.root / "cache"}


def test_a_fault_of_nerc_says_where_but_not_what(place: Place, public: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.reports import report

    def broken(*_: object) -> None:
        raise KeyError(POTIONS[0])

    monkeypatch.setattr(report, "rendered", broken)
    said = place.nerc("report", public["run_id"])
    assert said.code == 1 and said.out == ""
    assert "KeyError" in said.err and "report.py" in said.err and POTIONS[0] not in said.err
