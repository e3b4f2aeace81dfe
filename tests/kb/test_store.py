"""The folder: same bytes for the same content, nothing half written, damage noticed."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb import Concept, KnowledgeBase, Relation, open_kb, write_kb
from kb._errors import KnowledgeError
from kb.names import Filter
from kb.store import HEADER

names = st.text(max_size=6)
concepts = st.builds(
    Concept,
    st.text(max_size=3),
    names,
    names,
    st.lists(names, max_size=3).map(tuple),
    names,
    st.lists(names).map(tuple),
)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@settings(deadline=None, max_examples=50)
@given(st.lists(concepts, max_size=6), st.integers(1, 5))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, parts: list[Concept], shortest: int) -> None:
    ends = [concept.id for concept in parts]
    relations = [Relation(head, "is\ta", tail) for head, tail in pairwise(ends)]
    kb = KnowledgeBase.of([*parts, *relations], filter=Filter(shortest=shortest))
    folder = tmp_path_factory.mktemp("kb") / "one"
    again = open_kb(write_kb(kb, folder))
    for part in ("concepts", "relation_names", "filter", "report", "fingerprint", "_out", "_in", "_number"):
        assert getattr(again, part) == getattr(kb, part)
    for part in ("free", "own_case", "unsought", "_longest"):
        assert getattr(again.names, part) == getattr(kb.names, part)
    assert content(write_kb(again, folder.with_name("two"))) == content(folder)


def test_the_folder_is_plain_text_and_alone(birds: KnowledgeBase, tmp_path: Path) -> None:
    write_kb(birds, tmp_path / "deep" / "kb")
    assert os.listdir(tmp_path / "deep") == ["kb"]
    assert all(file.decode() for file in content(tmp_path / "deep" / "kb").values())


def test_an_equal_folder_is_left_and_another_replaced(birds: KnowledgeBase, tmp_path: Path) -> None:
    folder = write_kb(birds, tmp_path / "kb")
    before = (folder / HEADER).stat()
    write_kb(birds, folder)
    assert (folder / HEADER).stat() == before
    write_kb(KnowledgeBase.of([Concept("C:1", "other")]), folder)
    assert open_kb(folder).concepts[0].name == "other"
    assert os.listdir(tmp_path) == ["kb"]


def test_many_may_write_the_same_at_once(birds: KnowledgeBase, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for round in range(5):
            folders = list(pool.map(lambda _, name=f"kb{round}": write_kb(birds, tmp_path / name), range(8)))
            assert open_kb(folders[0]).fingerprint == birds.fingerprint
    assert sorted(os.listdir(tmp_path)) == [f"kb{round}" for round in range(5)]


def test_other_folders_are_left_alone(birds: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(KnowledgeError, match="something other than a knowledge base"):
            write_kb(birds, place)
    assert content(tmp_path) == {"notes.txt": b"mine"}


def test_a_build_that_is_killed_leaves_nothing_that_opens(
    birds: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        write_kb(birds, tmp_path / "kb")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("file", ["concepts.jsonl", "relations.jsonl", "names.jsonl", "kb.json"])
@pytest.mark.parametrize("how", ["missing", "cut", "changed", "empty"])
def test_damage_is_one_clear_error(birds: KnowledgeBase, tmp_path: Path, file: str, how: str) -> None:
    path = write_kb(birds, tmp_path / "kb") / file
    text = path.read_bytes()
    path.write_bytes({"cut": text[:-9], "changed": text.replace(b"B:", b"C:").replace(b"e", b"\xff")}.get(how, b""))
    if how == "missing":
        path.unlink()
    with pytest.raises(KnowledgeError, match=r"/kb: (damaged knowledge base|no knowledge base)") as error:
        open_kb(tmp_path / "kb")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("change", [{"filter": None}, {"fingerprint": "0"}, {"report": 3}, {"filter": {"stop": []}}])
def test_a_header_that_lies_is_damage(birds: KnowledgeBase, tmp_path: Path, change: dict[str, object]) -> None:
    path = write_kb(birds, tmp_path / "kb") / HEADER
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(KnowledgeError, match="damaged"):
        open_kb(tmp_path / "kb")


def test_another_version_says_so(birds: KnowledgeBase, tmp_path: Path) -> None:
    path = write_kb(birds, tmp_path / "kb") / HEADER
    path.write_text(path.read_text().replace('"version": 1', '"version": 99'))
    with pytest.raises(KnowledgeError, match="of version 99, this nerc reads 1; build it again"):
        open_kb(tmp_path / "kb")
    with pytest.raises(KnowledgeError, match="no knowledge base is here"):
        open_kb(tmp_path / "nowhere")
