"""Specs: what stands in them, what the command line changes, what makes two of them the same."""

import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from experiments.errors import SpecError
from experiments.grids.cells import load_grid
from experiments.spec import RunSpec, load

BASE = '[corpus]\nname = "jsonl"\npath = "notes.jsonl"\n'
SPECS = sorted(
    file
    for file in Path(str(resources.files("experiments") / "specs")).rglob("*.toml")
    if not file.stem.startswith("_")  # what others extend
)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str = BASE, name: str = "mine.toml") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_everything_but_the_corpus_has_a_default(write: Write) -> None:
    spec = load(write())
    assert (spec.name, spec.seed) == ("mine", 1)
    assert spec.corpus == {"name": "jsonl", "path": "notes.jsonl"}
    assert (spec.labels, spec.kb, spec.task.guidelines, spec.task.unit) == ({}, None, None, None)
    assert spec.program.format == {"name": "json_list"}
    assert (spec.program.demos, spec.program.retriever, spec.program.verify) == (None, None, None)
    assert spec.optimizer == {"name": "none"}
    assert (spec.lm.model, spec.lm.allow_hosts, spec.lm.concurrency) == ("crf", [], None)


def test_what_stands_there_counts(write: Write) -> None:
    spec = load(write('name = "a.b-c_1"\nseed = 7\n' + BASE + '[labels]\nx = "An x."\n[program]\nknowledge_size = 3\n'))
    assert (spec.name, spec.seed, spec.labels, spec.program.knowledge_size) == ("a.b-c_1", 7, {"x": "An x."}, 3)
    with pytest.raises(ValidationError, match="frozen"):
        spec.seed = 8  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "where", "value"),
    [
        ("seed=5", "seed", 5), (" seed = 5 ", "seed", 5),
        ("program.demos.k=32", "program.demos", {"name": "tfidf", "k": 32}),
        ("program.demos.name=random", "program.demos", {"name": "random", "k": 4}),
        ('program.demos.name="random"', "program.demos", {"name": "random", "k": 4}),
        ("program.demos={name='random'}", "program.demos", {"name": "random"}),
        ("program.format.name=tanl", "program.format", {"name": "tanl"}),
        ("optimizer.budget.calls=9", "optimizer", {"budget": {"calls": 9}}),
        ("corpus.private=false", "corpus", {"name": "jsonl", "path": "notes.jsonl", "private": False}),
        ("labels.new label=What it = is.", "labels", {"new label": "What it = is."}),
        ("lm.temperature=0.5", "lm.temperature", 0.5), ("lm.strong.model=openai/big", "lm.strong.model", "openai/big"),
        ("lm.model=openai/gpt-4.1-mini", "lm.model", "openai/gpt-4.1-mini"),
        ('lm.allow_hosts=["a.example"]', "lm.allow_hosts", ["a.example"]),
    ],
)  # fmt: skip
def test_set(write: Write, change: str, where: str, value: Any) -> None:
    found: Any = load(write(BASE + '[program]\ndemos = { name = "tfidf", k = 4 }\n'), [change])
    for name in where.split("."):
        found = getattr(found, name)
    assert found == value


def test_later_changes_win_and_lm_wins_over_all(write: Write) -> None:
    spec = load(write(), ["seed=2", "seed=3", "lm.model=replay", "lm.retries=1"], lm="openai/x")
    assert (spec.seed, spec.lm.model, spec.lm.retries) == (3, "openai/x", 1)


def test_roles_are_tables_of_lm(write: Write, tmp_path: Path) -> None:
    """`--lm` and [lm] are about the task's LM alone."""
    below = write(BASE + "[lm]\nmodel = 'openai/a'\n[lm.prompt]\nmodel = 'replay'\npath = 'p.jsonl'\n", "below.toml")
    spec = load(below, ["lm.strong={model='openai/c'}", "lm.strong.temperature=0.5"], lm="openai/b")
    assert (spec.lm.model, *(role.model for role in spec.lm.roles.values())) == ("openai/b", "replay", "openai/c")
    assert [*spec.lm.roles] == ["prompt", "strong"] and spec.lm.roles["prompt"].options == {
        "path": str(tmp_path / "p.jsonl")
    }
    assert spec.engine == "openai/b (prompt: replay, strong: openai/c)"
    assert dict(spec.flat())["lm.strong.temperature"] == "0.5"
    above = load(write("extends = 'below.toml'\n[lm]\nprompt = false\n"))
    assert above.lm.model == "openai/a" and not above.lm.roles and above.engine == "openai/a"
    assert load(write()).engine == "in-context CRF"


def test_paths_are_those_of_the_spec(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        BASE
        + '[task]\nguidelines = "rules.md"\n[lm]\nrecord = "tape.jsonl"\npath = "/abs/tape.jsonl"\n'
        + '[kb]\nsources = [{ name = "obo", path = "here.obo" }, { name = "obo", path = "elsewhere.obo" }]\n'
    )
    file = write(text)
    for name in ("notes.jsonl", "here.obo"):
        write("", name)
    (tmp_path / "other").mkdir()
    for folder, path in ((tmp_path, Path("mine.toml")), (tmp_path / "other", Path("../mine.toml")), (Path("/"), file)):
        monkeypatch.chdir(folder)
        spec = load(path)
        assert spec.task.guidelines is not None
        assert spec.task.guidelines.is_absolute()
        assert spec.task.guidelines.resolve() == tmp_path / "rules.md"
        assert spec.lm.record is not None
        assert spec.lm.record.resolve() == tmp_path / "tape.jsonl"
        assert spec.lm.options == {"path": "/abs/tape.jsonl"}
        assert Path(spec.corpus["path"]).resolve() == tmp_path / "notes.jsonl"
        assert spec.kb is not None
        assert Path(spec.kb.sources[0]["path"]).resolve() == tmp_path / "here.obo"
        assert spec.kb.sources[1]["path"] == "elsewhere.obo"  # for the data directory


def test_the_fingerprint_is_that_of_the_content(write: Write, tmp_path: Path) -> None:
    one = load(write('seed = 2\n[corpus]\npath = "notes.jsonl"\nname = "jsonl"\n'))
    two = load(write('# other order\n[corpus]\nname = "jsonl"\npath = "notes.jsonl"\n'), ["seed=2"])
    assert one.fingerprint() == two.fingerprint() == one.fingerprint()
    assert len(one.fingerprint()) == 16
    code = f"from experiments.spec import load; from pathlib import Path; print(load(Path({str(tmp_path / 'mine.toml')!r}), ['seed=2']).fingerprint())"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == one.fingerprint()


CHANGES = (
    "seed=2", "name=other", "corpus.private=false", "labels.x=An x.", "labels.x=Another x.", "task.unit=document",
    "program.knowledge_size=7", "program.demos={name='tfidf'}", "optimizer.name=labeled",
    "kb={sources=[{name='obo',path='x.obo'}]}", "lm.temperature=0.3", "lm.prompt={model='crf'}",
    "lm.strong={model='crf'}", "lm.strong={model='crf',allow_hosts=['a.example']}",
)  # fmt: skip


def test_the_fingerprint_tells_all_changes_apart(write: Write) -> None:
    file = write()
    prints = [load(file).fingerprint(), *(load(file, [change]).fingerprint() for change in CHANGES)]
    prints += [
        load(file).fingerprint("corpus"), load(file).fingerprint("corpus", "kb"), load(file).fingerprint("corpuskb"),
    ]  # fmt: skip
    assert len(set(prints)) == len(prints)


def test_other_guidelines_are_another_run(write: Write) -> None:
    file = write(BASE + '[task]\nguidelines = "rules.md"\n')
    prints = [load(file).fingerprint()]
    for text in ("", "one", "two"):
        write(text, "rules.md")
        prints.append(load(file).fingerprint())
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_flat(write: Write) -> None:
    text = BASE + (
        'split = { by = "patient", dev = 0.2 }\nprivate = true\n[labels]\nx = "An x."\n'
        '[kb]\nsources = [{ name = "obo", path = "a.obo" }, { name = "tsv", columns = { id = "i" } }]\n'
        '[optimizer]\nname = "random_search"\nsearch = { "demos.k" = [16, 64] }\n'
    )
    flat = load(write(text)).flat()
    assert flat["corpus.split.by"] == "patient"
    assert flat["corpus.split.dev"] == "0.2"
    assert flat["corpus.private"] == "true"
    assert flat["labels.x"] == "An x."
    assert flat["kb.sources.0.path"] == "a.obo"
    assert flat["kb.sources.1.columns.id"] == "i"
    assert flat["optimizer.search.demos.k"] == "[16, 64]"
    assert flat["seed"] == "1"
    assert all(isinstance(value, str) and value != "null" for value in flat.values())
    assert "program.demos" not in flat


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = = 1", r"mine\.toml: not TOML: .*line 1"),
        ('name = "x"', r"mine\.toml: corpus: Field required"),
        ("corpus = 3", r"corpus: Input should be a valid dictionary"),
        (
            BASE + "[corpora]\n",
            r"corpora: there is no such key; there are: name, seed, corpus, labels, task, kb, program",
        ),
        (BASE + "[task]\nguide = 1", r"task\.guide: there is no such key; there are: guidelines, unit"),
        (BASE + "[program]\nformats = 1", r"program\.formats: there is no such key; there are: format, demos"),
        (BASE + "[kb]\nsources = []", r"kb\.sources: List should have at least 1 item"),
        (BASE + "[kb]\nlabels = {}", r"kb\.sources: Field required"),
        ("task = 3\n" + BASE, r"task: Input should be"),
        ("lm = 'crf'\n" + BASE, r"lm: Input should be"),
        ("kb = 'x.obo'\n" + BASE, r"kb: Input should be"),
        ("seed = 'x'\n" + BASE, r"seed: Input should be a valid integer"),
        ("name = '../x'\n" + BASE, r"name: String should match"),
        ("name = '..'\n" + BASE, r"name: String should match"),
        ("name = ''\n" + BASE, r"name: String should"),
        (BASE + "[lm]\nconcurrency = 0", r"lm\.concurrency: Input should be greater than or equal to 1"),
        (BASE + "[labels]\nx = 3", r"labels\.x: Input should be a valid string"),
        (BASE + "[lm.prompt]\ntemperature = 1.0", r"lm\.prompt\.model: Field required"),
        (BASE + "[lm]\nstrong = 'openai/x'", r"lm\.strong: Input should be"),
    ],
)
def test_what_is_wrong_is_named(write: Write, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load(write(text))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seed", r"--set seed: write it as table\.key=value"),
        ("=3", r"--set =3: write it as"),
        ("program.=3", r"--set program\.=3: write it as"),
        ("corpus.name.x=3", r"--set corpus\.name\.x=3: name is no table"),
        ("programs.format=1", r"programs: there is no such key; there are: name"),
    ],
)
def test_what_is_wrong_with_a_change_is_named(write: Write, change: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load(write(), [change])


def test_files_that_are_none(write: Write, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.toml: cannot be read: No such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(SpecError, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    with pytest.raises(SpecError, match=r"latin\.toml: not TOML"):
        load(tmp_path / "latin.toml")


def test_there_are_specs_for_everything_that_the_readme_names() -> None:
    assert {"wardnotes", "ncbi"} <= {file.stem for file in SPECS}


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_every_spec_loads_and_what_it_names_is_there(file: Path, tmp_path: Path) -> None:
    from experiments import setup
    from ner_programs.components import module

    grid = load_grid(file)
    for spec in [cell.spec for cell in grid.cells] if grid else [load(file)]:
        assert spec.name == file.stem
        assert spec.task.guidelines is None or spec.task.guidelines.is_file()
        module("experiments.corpora", spec.corpus["name"])
        module("optimizers", spec.optimizer["name"])
        for source in spec.kb.sources if spec.kb else []:
            module("kb.sources", source["name"])
        for package, component in (
            ("ner_programs.demos", spec.program.demos),
            ("kb.retrievers", spec.program.retriever),
        ):
            if component:
                module(package, component["name"])
    if spec.corpus["name"] == "wardnotes":
        corpus, program, folder = setup.build(spec, tmp_path / "data", tmp_path / "mlruns")
        assert len(program.pool) > len(corpus.train) > 0
        assert program.kb is not None
        assert folder is not None
        assert program.spec.guidelines
        assert program.retrieve.lines(corpus.dev[0].text)


def test_a_spec_is_plain_data() -> None:
    assert RunSpec.model_validate(load(SPECS[0]).model_dump()) == load(SPECS[0])
