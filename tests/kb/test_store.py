"""The folder: same bytes for the same content, nothing half written, damage noticed."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb import Concept, KnowledgeBase, Relation, check_kb, open_kb, write_kb
from kb.errors import KnowledgeError
from kb.names.filter import Filter
from kb.store import folder as store
from kb.store.folder import DATA, HEADER

names = st.text(max_size=6)
concepts = st.builds(
    Concept, st.text(max_size=3), names, names, st.lists(names, max_size=3).map(tuple), names,
    st.lists(names).map(tuple),
)  # fmt: skip


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(st.lists(concepts, max_size=6), st.integers(1, 5))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, parts: list[Concept], shortest: int) -> None:
    ends = [concept.id for concept in parts]
    relations = [Relation(head, "is\ta", tail) for head, tail in pairwise(ends)]
    kb = KnowledgeBase.of([*parts, *relations], filter=Filter(shortest=shortest))
    folder = tmp_path_factory.mktemp("kb") / "one"
    again = open_kb(write_kb(kb, folder))
    for part in ("concepts", "relation_names", "filter", "report", "fingerprint"):
        assert getattr(again, part) == getattr(kb, part)
    assert again.pack.block[:] == kb.pack.block
    assert again.pack.places == kb.pack.places
    assert content(write_kb(again, folder.with_name("two"))) == content(folder)


def test_the_folder_is_a_header_and_a_file_of_arrays_and_alone(birds: KnowledgeBase, tmp_path: Path) -> None:
    files = content(write_kb(birds, tmp_path / "deep" / "kb"))
    assert os.listdir(tmp_path / "deep") == ["kb"]
    assert files.keys() == {HEADER, DATA}
    header = json.loads(files[HEADER])
    assert all(begin % 64 == 0 for _, _, begin, _ in header["sections"])
    assert hashlib.sha256(files[DATA]).hexdigest() == header["sha256"]


def test_the_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    code = """if True:
        import random, sys, kb
        rows = [kb.Concept(f"C:{n}", f"name {n % 7}", f"t{n % 3}", (f"AB{n}", "x y"), "", ("X:1",)) for n in range(40)]
        rows += [kb.Relation(f"C:{n}", f"r{n % 2}", f"C:{n // 2}") for n in range(40)]
        random.Random(int(sys.argv[2])).shuffle(rows)
        kb.write_kb(kb.KnowledgeBase.of(rows), sys.argv[1])"""
    for seed in "12":
        command = [sys.executable, "-c", code, str(tmp_path / seed), seed]
        subprocess.run(command, env=here(PYTHONHASHSEED=seed), check=True)
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_who_has_it_open_keeps_what_was_there(birds: KnowledgeBase, tmp_path: Path) -> None:
    opened = open_kb(write_kb(birds, tmp_path / "kb"))
    write_kb(KnowledgeBase.of([Concept("C:1", "other")]), tmp_path / "kb")
    assert opened.concepts == birds.concepts


def test_it_goes_to_other_processes(birds: KnowledgeBase, tmp_path: Path) -> None:
    sent = pickle.loads(pickle.dumps(open_kb(write_kb(birds, tmp_path / "kb"))))
    assert (sent.fingerprint, list(sent.relations())) == (birds.fingerprint, list(birds.relations()))
    assert sent.names.find("an owl") == birds.names.find("an owl")


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


def test_even_one_that_is_shot(birds: KnowledgeBase, tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys, kb
        from pathlib import Path
        def half(path, block):
            path.open("wb").write(block[:99])
            os.kill(os.getpid(), signal.SIGKILL)
        Path.write_bytes = half
        kb.write_kb(kb.KnowledgeBase.of([kb.Concept("C:1", "one")]), sys.argv[1])"""
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "kb")], env=here()).returncode < 0
    for folder in (tmp_path / "kb", *tmp_path.iterdir()):
        with pytest.raises(KnowledgeError, match="no knowledge base is here"):
            open_kb(folder)
    assert open_kb(write_kb(birds, tmp_path / "kb")).fingerprint == birds.fingerprint


def test_many_processes_read_it_at_once(birds: KnowledgeBase, tmp_path: Path) -> None:
    code = "import sys, kb; print([kb.open_kb(sys.argv[1]).names.find('an owl')[0].concepts for _ in range(50)][-1])"
    command = [sys.executable, "-c", code, str(write_kb(birds, tmp_path / "kb"))]
    running = [subprocess.Popen(command, env=here(), stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in running] == ["('B:5',)\n"] * 4


def here(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}


@pytest.mark.parametrize("file", [DATA, HEADER])
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


def test_a_file_is_read_throughout_once_and_then_remembered(
    birds: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    whole = store._verify
    monkeypatch.setattr(store, "_verify", lambda pack, header: (read.append(header.fingerprint), whole(pack, header)))
    folder = write_kb(birds, tmp_path / "kb")
    open_kb(folder)
    open_kb(folder)
    assert len(read) == 2, "the time of a file that was just written says too little"
    before = time.time_ns() - 10**10
    os.utime(folder / DATA, ns=(before, before))
    for _ in range(3):
        assert open_kb(folder).fingerprint == birds.fingerprint
    assert len(read) == 3
    check_kb(folder)
    assert len(read) == 4, "a check reads it whatever is remembered"
    shutil.copytree(folder, tmp_path / "linked", copy_function=os.link)
    open_kb(tmp_path / "linked")
    assert len(read) == 4, "a link is the same file"
    written = (folder / DATA).read_bytes()
    (folder / DATA).write_bytes(written.replace(b"blue", b"grey"))
    with pytest.raises(
        KnowledgeError, match=r"damaged knowledge base \(kb.bin is not what was written\); build it again"
    ):
        open_kb(folder)
    write_kb(birds, folder)  # a damaged one is replaced
    check_kb(folder)


def test_without_a_cache_it_opens_all_the_same(
    birds: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_kb(birds, tmp_path / "kb")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NERC_CACHE", str(tmp_path / "file"))
    os.utime(folder / DATA, (1, 1))
    assert open_kb(folder).fingerprint == birds.fingerprint


@pytest.mark.parametrize("change", [{"filter": None}, {"fingerprint": "0"}, {"report": 3}, {"filter": {"stop": []}}])
def test_a_header_that_lies_is_damage(birds: KnowledgeBase, tmp_path: Path, change: dict[str, object]) -> None:
    path = write_kb(birds, tmp_path / "kb") / HEADER
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(KnowledgeError, match="damaged"):
        open_kb(tmp_path / "kb")


def test_another_version_says_so(birds: KnowledgeBase, tmp_path: Path) -> None:
    path = write_kb(birds, tmp_path / "kb") / HEADER
    path.write_text(path.read_text().replace('"version": 3', '"version": 99'))
    with pytest.raises(KnowledgeError, match="of version 99, this nerc reads 3; build it again"):
        open_kb(tmp_path / "kb")
    with pytest.raises(KnowledgeError, match="no knowledge base is here"):
        open_kb(tmp_path / "nowhere")
    (path.parent / "names.jsonl").write_text("of an older version")
    assert open_kb(write_kb(birds, path.parent)).fingerprint == birds.fingerprint
    assert sorted(os.listdir(path.parent)) == sorted([DATA, HEADER])
