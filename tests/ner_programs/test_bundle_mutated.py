"""Bundles that were damaged, or made to harm: refused in one line, or a program that answers like the original."""

import json
import os
import random
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import dspy
import numpy as np
import pytest

import ner_programs
from kb import KnowledgeBase
from ner_programs import NercError, NERProgram, Pool, ProgramSpec
from ner_programs.bundle.files import MANIFEST, write_manifest
from ner_programs.bundle.folder import LAYOUT
from tests.effort import often
from tests.kb.test_store_mutated import change, in_a_section, put_right
from tests.ner_programs.support import NOTES, PLAIN, knows, ontology
from tests.ner_programs.test_bundle import TEXT, compiled

CASES = often(40, 1000)
JSON = ("program.json", "state.json", "pool.jsonl", MANIFEST)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = compiled()
    return ner_programs.save(program, tmp_path_factory.mktemp("bundle") / "bundle")


def answers(program: NERProgram) -> Any:
    """Every prompt that is sent, and what comes of the answers."""
    lm = knows({"MRI": "test", "gonalgia": "problem"}, program.spec)
    with dspy.context(lm=lm):
        said = program(TEXT)
    return lm.prompts, said.entities


@cache
def expected(original: Path) -> Any:
    return answers(ner_programs.load(original))


def read(folder: Path, name: str) -> Any:
    text = (folder / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if name == "pool.jsonl" else json.loads(text)


def write(folder: Path, name: str, content: Any) -> None:
    rows = content if name == "pool.jsonl" and isinstance(content, list) else [content]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / name).write_text(text.replace('"@deep@"', "[" * 9000 + "]" * 9000))


def in_json(folder: Path, rng: random.Random) -> None:
    name = rng.choice(JSON)
    content = read(folder, name)
    change(content, rng)
    write(folder, name, content)


def in_the_knowledge(folder: Path, rng: random.Random) -> None:
    in_a_section(folder / "kb", rng)
    with_right_digests_inside(folder)


def with_right_digests_inside(folder: Path) -> None:
    put_right(folder / "kb")
    about = read(folder, "program.json")
    about["kb"]["fingerprint"] = json.loads((folder / "kb" / "kb.json").read_text())["fingerprint"]
    write(folder, "program.json", about)


def in_the_bytes(folder: Path, rng: random.Random) -> None:
    file = folder / rng.choice([*JSON, *JSON, "kb/kb.json", "kb/kb.bin"])
    content = bytearray(file.read_bytes())
    how, at = rng.choice(["flip", "cut", "more", "empty"]), rng.randrange(len(content))
    if how == "flip":
        content[at] ^= 1 << rng.randrange(8)
    else:
        content[at:] = {"cut": b"", "more": content[at:] + rng.randbytes(9), "empty": b""}[how]
    file.write_bytes(b"" if how == "empty" else content)


def among_the_files(folder: Path, rng: random.Random) -> None:
    one, two = (folder / name for name in rng.sample([*JSON, "kb/kb.json", "kb/kb.bin"], 2))
    how = rng.choice(["swap", "copy", "remove", "link", "pipe", "folder", "more"])
    if how == "swap":
        a, b = one.read_bytes(), two.read_bytes()
        one.write_bytes(b)
        two.write_bytes(a)
    elif how == "copy":
        shutil.copyfile(one, two)
    elif how == "more":
        (folder / "index").mkdir()
        np.save(folder / "index" / f"{rng.choice(['a b', 'x', '..'])}.npy", np.zeros((len(NOTES), 2), np.float32))
        (folder / "run.py").write_text("raise SystemExit")
    else:
        one.rename(folder.parent / "elsewhere")
        made = {"link": lambda: one.symlink_to(folder.parent / "elsewhere"), "pipe": lambda: os.mkfifo(one)}
        made.get(how, one.mkdir if how == "folder" else lambda: None)()


KINDS: tuple[Callable[[Path, random.Random], None], ...] = (
    in_json, in_json, in_json, in_the_knowledge, in_the_bytes, among_the_files,
)  # fmt: skip


@pytest.mark.parametrize("seed", range(CASES))
def test_a_changed_bundle_is_refused_or_is_a_program(original: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    folder = Path(shutil.copytree(original, tmp_path / "bundle"))
    KINDS[seed // 2 % len(KINDS)](folder, rng)
    fixed = seed % 2 == 0
    if fixed:
        relisted(folder)
    try:
        said = answers(ner_programs.load(folder))
    except NercError as error:
        assert str(error) and len(str(error).splitlines()) == 1 and len(str(error)) < 1000, error
        return
    assert fixed or said == expected(original), "nobody put the digests right, and it answers otherwise"


def relisted(folder: Path) -> None:
    """Make the manifest anew, as somebody would who means harm; some folders cannot be listed."""
    kept = (folder / MANIFEST).read_bytes() if (folder / MANIFEST).is_file() else None
    (folder / MANIFEST).unlink() if kept is not None else None
    try:
        write_manifest(folder)
    except (ValueError, OSError):
        if kept is not None:
            (folder / MANIFEST).write_bytes(kept)


def put(name: str, *path: Any) -> Callable[[Path], None]:
    *way, last, value = path

    def over(folder: Path) -> None:
        content = inner = read(folder, name)
        for key in way:
            inner = inner[key]
        inner[last] = value
        write(folder, name, content)

    return over


DEMO = ("state.json", "extract.predict", "demos", 0)
SPEC = ("program.json", "spec")
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "instructions that are a list": (put("state.json", "extract.predict", "instructions", ["a"]), "instructions"),
    "a signature key with dunders": (put(*DEMO, "__class__", "x"), "no field '__class__'"),
    "a field of no signature": (put(*DEMO, "base", [1]), "no field 'base'"),
    "a predictor that is none": (put("state.json", "__init__", {"instructions": "", "demos": []}), "state is for predictors"),
    "a demonstration's text as a number": (put(*DEMO, "text", 7), "demos.0.text"),
    "mentions that are text": (put(*DEMO, "mentions", "MRI"), "demos.0.mentions"),
    "a mention outside its text": (put(*DEMO, "mentions", 0, "start", 400), "does not stand in the text"),
    "a mention before its text": (put(*DEMO, "mentions", 0, "start", -1), "mentions.0.start"),
    "a score of NaN": (put(*DEMO, "mentions", 0, "score", float("nan")), "state.json"),
    "a score of two": (put(*DEMO, "mentions", 0, "score", 2), "mentions.0.score"),
    "a label that the task does not have": (put(*DEMO, "mentions", 0, "label", "x\ny"), "no such label"),
    "deep nesting in a demonstration": (put(*DEMO, "text", "@deep@"), "state.json"),
    "a verdict of no kind": (
        put("state.json", "verify.verifier.predict", "demos", 0, "verdicts", 0, "kind", "eval"), "verdicts.0.kind"),
    "deep nesting in a verdict": (
        put("state.json", "verify.verifier.predict", "demos", 0, "verdicts", 0, "text", "@deep@"), "state.json"),
    "a pool mention elsewhere": (put("pool.jsonl", 0, "mentions", 0, "start", 1), "pool.jsonl:1: not a demonstration"),
    "a pool mention in no text": (put("pool.jsonl", 1, "mentions", 0, {"text": "absent", "label": "test"}), "pool.jsonl:2"),
    "a pool label that the task does not have": (put("pool.jsonl", 0, "mentions", 0, "label", "drug"), "no such label"),
    "a pool text that is a list": (put("pool.jsonl", 2, "text", ["a"]), "pool.jsonl:3"),
    "deep nesting in the pool": (put("pool.jsonl", 2, "text", "@deep@"), "pool.jsonl:3"),
    "a key more in the pool": (put("pool.jsonl", 0, "__dict__", {}), "__dict__"),
    "too many hops": (put(*SPEC, "retriever", "hops", 10**9), "'hops'"),
    "no hops": (put(*SPEC, "retriever", "hops", 0), "'hops'"),
    "hops of NaN": (put(*SPEC, "retriever", "hops", float("nan")), "program.json"),
    "a limit without end": (put(*SPEC, "retriever", "limit", 10**9), "'limit'"),
    "a huge number": (put(*SPEC, "retriever", "facts", 10**40), "spec.retriever"),
    "too many demonstrations": (put(*SPEC, "demos", "k", 10**9), "'k'"),
    "a k for the verifier": (put(*SPEC, "verify", "k", 10**9), "'k'"),
    "a window of 1": (put(*SPEC, "window", 1), "spec.window"),
    "a window without end": (put(*SPEC, "window", 10**12), "spec.window"),
    "a window in words": (put(*SPEC, "window", "2000"), "spec.window"),
    "knowledge without end": (put(*SPEC, "knowledge_size", 10**12), "spec.knowledge_size"),
    "a type of no label": (put(*SPEC, "types", "lab", "drug"), "no label 'drug'"),
    "a cascade of cascades": (
        put(*SPEC, "verify", json.loads('{"name": "cascade", "of": ' * 50 + '{"name": "llm"}' + "}" * 50)), "deeper than"),
    "deep nesting in the spec": (put(*SPEC, "retriever", "name", "@deep@"), "program.json"),
    "a long name": (put(*SPEC, "format", "name", "x" * 10**6), "needs a name"),
    "a line break in a label": (put(*SPEC, "labels", {"a\nb": "", "problem": ""}), "a label is at most"),
    "a fingerprint that is a path": (put("program.json", "kb", "fingerprint", "../../../etc"), "kb.fingerprint"),
    "an lm that is a list": (put("program.json", "lm", ["crf"]), "program.json"),
    "an lm with a table of tables": (put("program.json", "lm", "strong", {"model": "x", "a": {"b": 1}}), "lm.strong"),
    "an lm at NaN": (put("program.json", "lm", "temperature", float("nan")), "program.json"),
    "private as a word": (put("program.json", "private", "no"), "private"),
    "a layout in words": (put("program.json", "layout", "two"), "layout"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_what_cannot_be_is_refused_though_every_digest_is_right(original: Path, tmp_path: Path, what: str) -> None:
    over, where = HOSTILE[what]
    folder = Path(shutil.copytree(original, tmp_path / "bundle"))
    over(folder)
    relisted(folder)
    with pytest.raises(NercError) as caught:
        ner_programs.load(folder)
    assert where in str(caught.value), caught.value
    assert len(str(caught.value).splitlines()) == 1 and len(str(caught.value)) < 1000


LISTED: dict[str, tuple[str, str]] = {
    "a path out of the bundle": ("../secret.npy", "manifest.json"),
    "an absolute path": ("/etc/passwd", "manifest.json"),
    "another file": ("run.py", "manifest.json"),
    "a file that is missing": ("index/x.npy", "index/x.npy: it is missing"),
}


@pytest.mark.parametrize("what", LISTED)
def test_the_manifest_lists_nothing_but_parts_of_a_bundle(original: Path, tmp_path: Path, what: str) -> None:
    name, where = LISTED[what]
    folder = Path(shutil.copytree(original, tmp_path / "bundle"))
    put(MANIFEST, "files", name, "0" * 64)(folder)
    with pytest.raises(NercError, match=where):
        ner_programs.load(folder)


@pytest.mark.parametrize("name", ["program.json", "state.json", "pool.jsonl", "kb/kb.json"])
def test_one_changed_byte_is_damage_and_names_its_file(original: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "bundle"))
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(NercError, match=f"{name}: it is not what was written"):
        ner_programs.load(folder)


def test_what_the_manifest_does_not_list_is_not_read(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "bundle"))
    (folder / "index").mkdir()
    (folder / "index" / "x.npy").write_bytes(b"no array")
    (folder / "README.md").write_text("mine")
    assert answers(ner_programs.load(folder)) == expected(original)


def test_a_linked_folder_is_not_followed(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "bundle"))
    (folder / "kb").rename(tmp_path / "elsewhere")
    (folder / "kb").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NercError, match="bundle/kb: it is a symbolic link"):
        ner_programs.load(folder)


def test_an_older_layout_is_said(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "bundle"))
    put("program.json", "layout", LAYOUT - 1)(folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(NercError, match=f"written by nerc .* in layout {LAYOUT - 1}, not {LAYOUT}"):
        ner_programs.load(folder)


def with_vectors(folder: Path) -> Path:
    program = ProgramSpec(labels=PLAIN, demos={"name": "embedding", "model": "stub", "k": 2}).build(pool=Pool.of(NOTES))
    answers(program)
    return ner_programs.save(program, folder)


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


ARRAYS: dict[str, Callable[[Path], Any]] = {
    "objects": lambda f: np.save(f, np.array([{}] * len(NOTES)), allow_pickle=True),
    "NaN": lambda f: np.save(f, np.full((len(NOTES) * 2, 4), np.nan, np.float32)),
    "too few rows": lambda f: np.save(f, np.zeros((1, 4), np.float32)),
    "no columns": lambda f: np.save(f, np.zeros((len(Pool.of(NOTES)), 0), np.float32)),
    "three dimensions": lambda f: np.save(f, np.zeros((len(Pool.of(NOTES)), 4, 4), np.float32)),
    "doubles": lambda f: np.save(f, np.zeros((len(Pool.of(NOTES)), 4))),
    "a huge shape": lambda f: f.write_bytes(
        header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(Pool.of(NOTES))}, {10**12})}}")
    ),
    "too many columns": lambda f: np.save(f, np.zeros((len(Pool.of(NOTES)), (1 << 15) + 1), np.float32)),
    "deep nesting": lambda f: f.write_bytes(header("(" * 3000)),
    "code": lambda f: f.write_bytes(header("__import__('os').abort()")),
    "nothing": lambda f: f.write_bytes(b""),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_vectors_that_cannot_be_are_refused(tmp_path: Path, what: str) -> None:
    folder = with_vectors(tmp_path / "bundle")
    (array,) = (folder / "index").iterdir()
    array.unlink()
    ARRAYS[what](array)
    relisted(folder)
    with pytest.raises(NercError, match=r"\.npy: not the vectors of this pool"):
        ner_programs.load(folder)


def test_a_bundle_that_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    program = compiled()
    program.extract.predict.demos[0]["mentions"][0]["label"] = "colour"
    with pytest.raises(
        NercError, match=r"state.json: predictors.extract.predict.demos.0.mentions.0.label: .*no such label"
    ):
        ner_programs.save(program, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_a_model_said_wrongly_is_left_out(tmp_path: Path) -> None:
    program = ProgramSpec(labels=PLAIN, format={"name": "tanl"}).build()
    said = [{"text": "MRI", "label": "test", "start": 9}, {"text": "fever", "label": "problem", "start": 400}]
    program.extract.predict.demos = [dspy.Example(text="MRI, fever.", mentions=said)]
    loaded = ner_programs.load(ner_programs.save(program, tmp_path / "bundle"))
    assert [m.get("start") for m in loaded.extract.predict.demos[0].mentions] == [None, None]
    assert answers(loaded) == answers(program)


def test_a_given_knowledge_base_makes_the_carried_one_unread(original: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(original, tmp_path / "bundle"))
    (folder / "kb" / "kb.bin").write_bytes(b"")
    kb: KnowledgeBase = ontology()
    assert answers(ner_programs.load(folder, kb=kb)) == expected(original)
