"""Bundles: the same prompts and entities wherever they are loaded, one-line errors for what was tampered with."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

import ner_programs
from kb import Concept, KnowledgeBase
from ner_programs import BundleError, ComponentError, NercError, NERProgram, Pool, ProgramSpec
from ner_programs.bundle.state import state_of
from tests.ner_programs.support import NOTES, PLAIN, Prompt, Scripted, knows, ontology

TEXT = "Pt has gonalgia. MRI of knee [left] | pain.\nNo fever — ﬁne.\n### text"


def compiled() -> NERProgram:
    """A program of which everything is out of the ordinary."""
    spec = ProgramSpec(
        labels=PLAIN, guidelines="Mark fever.", format={"name": "tanl"}, demos={"name": "tfidf", "k": 3}, unit="window",
        retriever={"name": "walk", "hops": 2}, verify={"name": "llm", "mode": "full"}, types={"lab": "test"},
        occurrences="ordered",
    )  # fmt: skip
    program = spec.build(ontology(), Pool.of(NOTES))
    program.extract.predict.demos = program.examples(NOTES[:2])
    program.extract.predict.signature = program.extract.predict.signature.with_instructions(
        "Optimized.\n\n### text\n\\ü"
    )
    verifier = program.verify.verifier  # type: ignore[union-attr]
    verifier.predict.demos = [
        dspy.Example(**verifier.demonstration("MRI.", program.retrieve.lines("MRI."), (), NOTES[0].entities))
    ]
    program.wants = {"model": "openai/x", "temperature": 0.0}
    return program


def prompts_of(program: NERProgram, text: str = TEXT) -> list[Prompt]:
    lm = knows({"MRI": "test", "gonalgia": "problem"}, program.spec)
    with dspy.context(lm=lm):
        assert len(program(text).entities) == 2
    assert lm.prompts
    return lm.prompts


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return ner_programs.save(compiled(), tmp_path / "out" / "bundle")


def test_a_loaded_program_asks_the_same(bundle: Path) -> None:
    program, loaded = compiled(), ner_programs.load(bundle)
    assert prompts_of(loaded) == prompts_of(program)
    assert loaded.spec == program.spec
    assert loaded.wants == program.wants
    assert list(loaded.pool) == list(program.pool)
    assert state_of(loaded) == state_of(program)
    assert loaded.kb is not None and loaded.kb.fingerprint == ontology().fingerprint
    again = ner_programs.save(loaded, bundle.parent / "again")
    for file in ("program.json", "state.json", "pool.jsonl"):
        assert (again / file).read_bytes() == (bundle / file).read_bytes()


ELSEWHERE = """
import json, sys
import ner_programs
program = ner_programs.load(sys.argv[1])
said = program(sys.stdin.read())
print(json.dumps([[e.start, e.end, e.label, e.score] for e in said.entities]))
assert "mlflow" not in sys.modules and "experiments" not in sys.modules
"""


def test_a_fresh_process_in_another_folder_finds_the_same(tmp_path: Path) -> None:
    spec = ProgramSpec(
        labels=PLAIN, demos={"name": "tfidf", "k": 6}, retriever={"name": "walk"}, verify={"name": "boundary"}
    )
    program = spec.build(ontology(), Pool.of(NOTES))
    folder = ner_programs.save(program, tmp_path / "bundle")
    text = "Pt has knee pain. CT showed pneumonia. MRI showed a headache."
    here = [[e.start, e.end, e.label, e.score] for e in program(text).entities]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    env = {**os.environ, "PYTHONPATH": str(Path(ner_programs.__file__).parents[1])}
    run = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", ELSEWHERE, str(folder)], cwd=elsewhere, env=env, input=text,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == here
    assert here
    assert list(elsewhere.iterdir()) == []


def test_a_bundle_is_plain_text_without_pickle_key_or_leftovers(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-SECRET")
    program = compiled()
    program.set_lm(dspy.LM("openai/x", api_key="sk-SECRET"))
    ner_programs.save(program, bundle)
    files = [p for p in bundle.rglob("*") if p.is_file()]
    assert {p.name for p in bundle.iterdir()} == {"manifest.json", "program.json", "state.json", "pool.jsonl", "kb"}
    for file in files:
        assert file.suffix in (".json", ".jsonl") or file.name == "kb.bin"
        assert b"SECRET" not in file.read_bytes()
    assert [p.name for p in bundle.parent.iterdir()] == ["bundle"]
    state = json.loads((bundle / "state.json").read_text())
    shown = [d for predictor in state.values() for d in predictor["demos"]]
    assert shown
    assert not [d for d in shown if {"entities", "exclude"} & d.keys()]
    assert "ü" in (bundle / "state.json").read_text(encoding="utf-8"), "people read and compare these files"


def edit(file: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(file.read_text())
    file.write_text(json.dumps(change(content) or content))


def without(key: str) -> Callable[[Any], Any]:
    return lambda content: content.pop(key) and content


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def put(content: Any, *path: Any) -> None:
    *way, last, value = path
    for key in way:
        content = content[key]
    content[last] = value


TAMPERED: dict[str, Callable[[Path], Any]] = {
    "no program.json": lambda b: (b / "program.json").unlink(), "no state.json": lambda b: (b / "state.json").unlink(),
    "no pool.jsonl": lambda b: (b / "pool.jsonl").unlink(), "no kb": lambda b: shutil.rmtree(b / "kb"),
    "no folder": shutil.rmtree,
    "cut program.json": lambda b: (b / "program.json").write_text((b / "program.json").read_text()[:50]),
    "a list": lambda b: (b / "program.json").write_text("[]"),
    "not utf-8": lambda b: (b / "state.json").write_bytes(b"\xff\xfe{}"),
    "cut pool": lambda b: append(b / "pool.jsonl", '{"id": '),
    "odd pool": lambda b: append(b / "pool.jsonl", '{"id": "x", "mentions": [{"start": 1}]}\n'),
    "list in pool": lambda b: append(b / "pool.jsonl", "[1]\n"),
    "newer layout": lambda b: edit(b / "program.json", lambda c: put(c, "layout", 99)),
    "no layout": lambda b: edit(b / "program.json", without("layout")),
    "no lm": lambda b: edit(b / "program.json", without("lm")),
    "odd lm": lambda b: edit(b / "program.json", lambda c: put(c, "lm", 7)),
    "no kb entry": lambda b: edit(b / "program.json", without("kb")),
    "odd kb entry": lambda b: edit(b / "program.json", lambda c: put(c, "kb", "yes")),
    "kb entry without fingerprint": lambda b: edit(b / "program.json", lambda c: put(c, "kb", {})),
    "another fingerprint": lambda b: edit(b / "program.json", lambda c: put(c, "kb", "fingerprint", "0" * 16)),
    "no spec": lambda b: edit(b / "program.json", without("spec")),
    "odd spec": lambda b: edit(b / "program.json", lambda c: put(c, "spec", {"labels": {"a|b": ""}, "unit": "page"})),
    "unknown key in spec": lambda b: edit(b / "program.json", lambda c: put(c, "spec", "colour", "red")),
    "unknown format": lambda b: edit(b / "program.json", lambda c: put(c, "spec", "format", {"name": "xml"})),
    "unknown option": lambda b: edit(b / "program.json", lambda c: put(c, "spec", "demos", "j", 3)),
    "option that means nothing": lambda b: edit(b / "program.json", lambda c: put(c, "spec", "retriever", "hops", 0)),
    "a stage less": lambda b: edit(b / "program.json", lambda c: put(c, "spec", "verify", None)),
    "state of another": lambda b: edit(b / "state.json", lambda c: {"other.predict": c.popitem()[1]}),
    "state without demos": lambda b: edit(b / "state.json", lambda c: put(c, "extract.predict", {"instructions": "x"})),
    "odd state": lambda b: edit(b / "state.json", lambda c: put(c, "extract.predict", [])),
    "odd demos": lambda b: edit(b / "state.json", lambda c: put(c, "extract.predict", "demos", [1])),
    "changed kb": lambda b: append(b / "kb" / "kb.bin", "[]\n"),
    "no kb file": lambda b: (b / "kb" / "kb.json").unlink(),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_is_said_in_one_line(bundle: Path, what: str) -> None:
    TAMPERED[what](bundle)
    with pytest.raises(NercError) as caught:
        ner_programs.load(bundle)
    message = str(caught.value)
    assert isinstance(caught.value, BundleError | ComponentError)
    assert message and "\n" not in message
    assert "unknown" in what or isinstance(caught.value, BundleError)


# The knowledge base


def other_kb() -> KnowledgeBase:
    return KnowledgeBase.of([Concept("X:1", "owl", "bird")])


def test_a_referenced_knowledge_base_is_supplied_at_loading(tmp_path: Path) -> None:
    folder = ner_programs.save(compiled(), tmp_path / "bundle", kb="reference")
    assert not (folder / "kb").exists()
    assert "gonalgia" not in "".join((folder / f).read_text() for f in ("program.json", "pool.jsonl"))
    with pytest.raises(BundleError, match=f"does not carry its knowledge base {ontology().fingerprint}; give it with"):
        ner_programs.load(folder)
    assert prompts_of(ner_programs.load(folder, kb=ontology())) == prompts_of(compiled())


@pytest.mark.parametrize("how", ["carry", "reference"])
def test_another_knowledge_base_is_refused(tmp_path: Path, how: Any) -> None:
    folder = ner_programs.save(compiled(), tmp_path / "bundle", kb=how)
    with pytest.raises(
        BundleError, match=f"compiled with knowledge base {ontology().fingerprint}, not {other_kb().fingerprint}"
    ):
        ner_programs.load(folder, kb=other_kb())


def test_a_written_knowledge_base_is_linked(tmp_path: Path) -> None:
    from kb import write_kb

    written = write_kb(ontology(), tmp_path / "kb")
    folder = ner_programs.save(compiled(), tmp_path / "bundle", kb_folder=written)
    assert (folder / "kb" / "kb.bin").stat().st_ino == (written / "kb.bin").stat().st_ino
    assert ner_programs.load(folder).kb is not None
    ner_programs.save(compiled(), folder, kb_folder=written)
    assert (written / "kb.bin").is_file(), "replacing a bundle leaves what it linked to"


def test_a_program_without_knowledge_or_pool(tmp_path: Path) -> None:
    folder = ner_programs.save(ProgramSpec(labels=PLAIN).build(), tmp_path / "bundle")
    loaded = ner_programs.load(folder)
    assert loaded.kb is None and len(loaded.pool) == 0
    assert loaded("MRI.").entities == ()


# Overwriting


def test_a_bundle_is_replaced(bundle: Path) -> None:
    ner_programs.save(ProgramSpec(labels={"x": ""}).build(), bundle)
    assert ner_programs.load(bundle).spec.labels == {"x": ""}
    assert not (bundle / "kb").exists()
    assert [p.name for p in bundle.parent.iterdir()] == ["bundle"]


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    assert ner_programs.load(ner_programs.save(compiled(), str(tmp_path / "bundle"))).kb is not None


@pytest.mark.parametrize(
    "held", [["thesis.txt"], ["program.json", "state.json", "thesis.txt"], ["program.json", "src"], ["kb"]]
)
def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path: Path, held: list[str]) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    for name in held:
        (folder / name).write_text("mine")
    with pytest.raises(BundleError, match="is not a bundle; it is left as it is"):
        ner_programs.save(compiled(), folder)
    assert {p.name: p.read_text() for p in folder.iterdir()} == dict.fromkeys(held, "mine")
    assert [p.name for p in tmp_path.iterdir()] == ["work"]


def test_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BundleError, match="is not a bundle"):
        ner_programs.save(compiled(), tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_failed_save_leaves_the_old_bundle(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ner_programs.bundle.folder.write_kb", lambda kb, to: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        ner_programs.save(compiled(), bundle)
    monkeypatch.undo()
    assert prompts_of(ner_programs.load(bundle)) == prompts_of(compiled())
    assert [p.name for p in bundle.parent.iterdir()] == ["bundle"]


# Foreign code


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "foreignlab"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "demos.py").write_text(
        "class None_:\n    def __call__(self, text, exclude=()): return []\n\ndef build(*, pool, k: int = 1): return None_()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    program = ProgramSpec(labels=PLAIN, demos={"name": "foreignlab.demos"}).build(pool=Pool.of(NOTES))
    folder = ner_programs.save(program, tmp_path / "bundle")
    for loaded in [m for m in sys.modules if m.split(".")[0] == "foreignlab"]:
        del sys.modules[loaded]
    return folder


def test_foreign_code_runs_only_when_trusted(foreign: Path) -> None:
    for trust in ((), ("foreign",), ("lab",), "foreignlab.demos", "myforeignlab"):
        with pytest.raises(ComponentError, match=r"code from outside nerc; allow it with trust=\['foreignlab'\]"):
            ner_programs.load(foreign, trust=trust)
        assert "foreignlab" not in sys.modules
    assert ner_programs.load(foreign, trust=["foreignlab"]).extract.select is not None
    assert ner_programs.load(foreign, trust="foreignlab").extract.select is not None


class _Mine(dspy.Module):  # type: ignore[misc]
    def forward(self, text: str, knowledge: str, candidates: Any, exclude: Any = ()) -> Any: ...


def test_a_stage_that_could_not_be_built_again_is_not_saved(tmp_path: Path) -> None:
    program = ProgramSpec(labels=PLAIN).build()
    program.verify = _Mine()
    with pytest.raises(BundleError, match="the spec does not name the program's verify stage"):
        ner_programs.save(program, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_loading_runs_nothing(bundle: Path) -> None:
    lm = Scripted(lambda seen: "")
    with dspy.context(lm=lm):
        ner_programs.load(bundle)
    assert lm.prompts == []
