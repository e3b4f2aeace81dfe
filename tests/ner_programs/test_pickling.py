"""A program is pickled as its bundle's path and digest; whoever unpickles it checks the digest and runs nothing of it."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

import ner_programs
from kb import Concept, KnowledgeBase
from ner_programs import BundleError, NERProgram, Privacy
from ner_programs.bundle import folder as bundle
from ner_programs.bundle.state import identity, state_of
from tests import tiny

TEXTS = [d.text for d in tiny.DEV]


@pytest.fixture
def program(tmp_path: Path) -> NERProgram:
    made = tiny.program(demos={"name": "tfidf", "k": 4})
    ner_programs.save(made, tmp_path / "bundle")
    return made


def found(programs: Any) -> list[list[tuple[int, int, str]]]:
    return [[(e.start, e.end, e.label) for e in one.entities] for one in programs]


def test_what_is_pickled_is_a_path_and_a_digest(program: NERProgram, tmp_path: Path) -> None:
    for one in (program, ner_programs.load(tmp_path / "bundle")):
        data = pickle.dumps(one)
        assert len(data) < 1000 and str(tmp_path).encode() in data and TEXTS[0].encode() not in data
        again = pickle.loads(data)
        assert identity(again) == identity(program) and again.wants == program.wants and again.lm is None
        assert found(again.batch(TEXTS)) == found(program.batch(TEXTS)) != [[]] * len(TEXTS)
        assert pickle.dumps(again) == data


def test_multiprocessing_spawn(program: NERProgram) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert found(pool.map(program, TEXTS, chunksize=3)) == found(map(program, TEXTS))


def test_datasets_map(program: NERProgram) -> None:
    from datasets import Dataset
    from datasets.fingerprint import Hasher

    def annotate(rows: dict[str, list[str]]) -> dict[str, list[Any]]:
        return {"starts": [[e.start for e in one.entities] for one in program.batch(rows["text"])]}

    mapped = Dataset.from_dict({"text": TEXTS}).map(annotate, batched=True, batch_size=2, num_proc=2)
    assert mapped["starts"][:] == [[e.start for e in program(text).entities] for text in TEXTS]
    before, same = Hasher.hash(annotate), pickle.loads(pickle.dumps(program))
    program = same
    assert Hasher.hash(annotate) == before  # so `map` finds what it made before


def changed_state(program: NERProgram) -> None:
    program.extract.predict.demos = [dspy.Example(text="x", mentions=[])]


def changed_wants(program: NERProgram) -> None:
    program.wants = {"model": "openai/x"}


def with_lm(program: NERProgram) -> None:
    program.lm = ner_programs.open_lm()


def with_lm_inside(program: NERProgram) -> None:
    program.set_lm(ner_programs.open_lm())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed_state, "is not what .*bundle holds; save it first"),
        (changed_wants, "is not what .*bundle holds; save it first"),
        (with_lm, "a pickle holds no LM: set program.lm = None"),
        (with_lm_inside, "a pickle holds no LM"),
    ],
)
def test_a_program_that_is_no_longer_its_bundle(
    program: NERProgram, change: Callable[[NERProgram], None], message: str
) -> None:
    change(program)
    with pytest.raises(BundleError, match=message):
        pickle.dumps(program)


def test_a_program_without_a_bundle(program: NERProgram, tmp_path: Path) -> None:
    for one in (tiny.program(), program.with_settings(demos={"k": 2}), program.with_pool(program.pool)):
        with pytest.raises(BundleError, match="save it first"):
            pickle.dumps(one)
    shutil.rmtree(tmp_path / "bundle")
    with pytest.raises(BundleError, match="bundle no longer holds the program; save it first"):
        pickle.dumps(program)


def test_unpickling_checks_the_digest(program: NERProgram, tmp_path: Path) -> None:
    data, folder = pickle.dumps(program), tmp_path / "bundle"
    other = tiny.program(demos={"name": "tfidf", "k": 3})
    ner_programs.save(other, folder)
    bundle._last_opened.cache_clear()
    with pytest.raises(BundleError, match="bundle: it holds another program than the one that was pickled"):
        pickle.loads(data)
    pool = folder / "pool.jsonl"
    pool.write_text(pool.read_text().replace("a0", "a9"))
    data = pickle.dumps(other)
    with pytest.raises(BundleError, match=r"pool\.jsonl: it is not what was written"):
        pickle.loads(data)
    shutil.rmtree(folder)
    with pytest.raises(BundleError, match="bundle"):
        pickle.loads(data)


def test_a_bundle_that_names_code_of_others_is_not_run(program: NERProgram, tmp_path: Path) -> None:
    """Not even where the manifest was made to fit: the digest of the pickle is that of the manifest."""
    data, folder = pickle.dumps(program), tmp_path / "bundle"
    about = json.loads((folder / "program.json").read_text())
    about["spec"]["verify"] = {"name": "tests.ner_programs.drifting.never"}
    (folder / "program.json").write_text(json.dumps(about))
    (folder / "manifest.json").unlink()
    bundle.write_manifest(folder)
    bundle._last_opened.cache_clear()
    with pytest.raises(BundleError, match="another program"):
        pickle.loads(data)


def test_knowledge_that_a_bundle_only_refers_to_travels(tmp_path: Path) -> None:
    kb = KnowledgeBase.of([Concept("D:1", "aspirin", type="drug")])
    made = tiny.program().spec.changed({"retriever": {"name": "flat"}}).build(kb)
    ner_programs.save(made, tmp_path / "b", kb="reference")
    for one in (made, ner_programs.load(tmp_path / "b", kb=kb, privacy=Privacy(allow_hosts=("here",)))):
        again = pickle.loads(pickle.dumps(one))
        assert again.kb is not None and again.kb.fingerprint == kb.fingerprint
        assert again.pool.privacy == one.pool.privacy


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, NERProgram.deepcopy])
def test_a_copy_needs_no_bundle(copied: Callable[[NERProgram], NERProgram]) -> None:
    made = tiny.program(demos={"name": "tfidf", "k": 4})
    again = copied(made)
    assert again is not made and state_of(again) == state_of(made) and again.pool is made.pool
    if copied is not copy.copy:
        changed_state(again)
        assert state_of(again) != state_of(made)
    assert again.history == [] and again.callbacks == []


def test_copies_that_are_unpickled_share_nothing_that_changes(program: NERProgram) -> None:
    one, two = pickle.loads(pickle.dumps([program, 1]))[0], pickle.loads(pickle.dumps(program))
    changed_state(one)
    assert state_of(two) == state_of(program)
