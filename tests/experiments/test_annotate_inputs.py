"""Which documents `nerc annotate` reads from files of every form, and what it refuses before anything is asked."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.annotate.inputs import Inputs
from experiments.annotate.sources import FORMS
from experiments.annotate.work import Work
from experiments.corpora import bioc, brat, jsonl, pubtator
from experiments.errors import ReadError, SpecError, WriteError
from ner_programs import Document, Entity
from tests.experiments.conftest import Place

CSV = 'id,report,age\n1,"a ""quoted"" note, of\ntwo lines",70\n,other,\n'


def found(*paths: Path, form: str = "auto", column: str | None = None) -> list[tuple[str, str]]:
    inputs = Inputs.of(paths, form, column)
    return [(d.id, d.text) for d in replace(inputs, shared=inputs.check().shared)]


def packed(path: Path, content: bytes) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content))
    else:
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(content)
    return path


def test_a_folder_is_what_lies_in_it_and_below(tmp_path: Path) -> None:
    (tmp_path / "ward").mkdir()
    (tmp_path / "b.txt").write_text("é\r\n", newline="")
    packed(tmp_path / "ward" / "a.txt.gz", b"packed")
    packed(tmp_path / "ward" / "c.jsonl.zst", b'{"text": "one"}\n{"id": "x", "text": "two"}\n')
    (tmp_path / "b.ann").write_text("T1\tx 0 1\te\n")
    (tmp_path / ".hidden.txt").write_text("hidden")
    expected = [("b", "é\r\n"), ("a", "packed"), ("c:1", "one"), ("x", "two")]
    assert found(tmp_path) == expected
    assert found(tmp_path / "**" / "*.txt*") == expected[:2]


def test_rows_of_tables_are_documents(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("\ufeff" + CSV)
    (tmp_path / "notes.tsv").write_text(CSV.replace(",", "\t"))
    expected = [("1", 'a "quoted" note, of\ntwo lines'), ("notes:4", "other")]
    assert found(tmp_path / "notes.csv", column="report") == expected
    assert found(tmp_path / "notes.tsv", column="report")[1] == expected[1]
    pq.write_table(pa.table({"text": ["p", "q"], "n": [1, 2]}), tmp_path / "t.parquet")
    assert found(tmp_path / "t.parquet") == [("t:1", "p"), ("t:2", "q")]
    with pytest.raises(ReadError, match="--column; it has 'id', 'report', 'age'"):
        found(tmp_path / "notes.csv")
    with pytest.raises(ReadError, match="there is no column 'note'"):
        found(tmp_path / "notes.csv", column="note")
    with pytest.raises(ReadError, match=r"t.parquet:1: column 'n' holds no text"):
        found(tmp_path / "t.parquet", column="n")


def test_a_folder_that_datasets_saved(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    part = datasets.Dataset.from_dict({"text": ["one", "two"]})
    datasets.DatasetDict({"train": part, "test": part.select([1])}).save_to_disk(str(tmp_path / "saved"))
    assert [text for _, text in found(tmp_path / "saved")] == ["one", "two", "two"]


def test_corpora_are_inputs_too(tmp_path: Path) -> None:
    document = Document("d1", "Fever and cough.", (Entity.of("Fever and cough.", 0, 5, "x"),))
    pubtator.write([document], tmp_path / "c.pubtator")
    bioc.write([document], tmp_path / "c.xml")
    brat.write([document], tmp_path / "c")
    for path, form in ((tmp_path / "c.pubtator", "auto"), (tmp_path / "c.xml", "auto"), (tmp_path / "c", "brat")):
        assert found(path, form=form) == [("d1", document.text)]


def test_ids_of_several_files_are_told_apart_by_the_path(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "note.txt").write_text(folder)
    (tmp_path / "b" / "c.jsonl").write_text('{"id": "note", "text": "line"}\n{"text": "own"}\n')
    assert [id for id, _ in found(tmp_path)] == [
        "a/note.txt", "b/c.jsonl:note", "c:2", "b/note.txt",
    ]  # fmt: skip
    (tmp_path / "twice.jsonl").write_text('{"id": "x", "text": "1"}\n{"id": "x", "text": "2"}\n')
    with pytest.raises(ReadError, match=r"twice.jsonl: several documents have the id 'x'"):
        found(tmp_path / "twice.jsonl")


def ids(*paths: str) -> tuple[list[str], str]:
    inputs = Inputs.of([Path(path) for path in paths])
    checked = inputs.check()
    return [d.id for d in replace(inputs, shared=checked.shared)], checked.digest


def test_ids_do_not_depend_on_how_a_path_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("s/a", "s/b", "t/s/a"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.txt").write_text(folder)
    (tmp_path / "s" / "t.csv").write_text("text\n1\n")
    (tmp_path / "s" / "a" / "t.csv").write_text("text\n1\n")
    monkeypatch.chdir(tmp_path)
    below = ids("s")
    assert below[0] == ["a/t.csv:t:2", "a/x.txt", "b/x.txt", "t.csv:t:2"]
    for typed in ("./s/../s/", str(tmp_path / "s"), "s/**/*.*", "s/**", "s/*", f"{tmp_path}/t/../s/**/*.*"):
        assert ids(typed) == below
    assert ids("s/*/x.txt")[0] == ids("s/a/x.txt", "s/b")[0] == ["a/x.txt", "b/x.txt"]
    assert ids("s", "s/a/x.txt", "s/../s/b/x.txt") == below
    several = ids("s/a", "t/s/a", "s/b")
    assert several[0] == ["t:2", f"{tmp_path.name}/s/a/x.txt", "t/s/a/x.txt", "b/x.txt"]
    monkeypatch.chdir(tmp_path / "s")
    assert ids(".") == ids("../s") == below
    assert ids("a", "../t/s/a", "b") == several


def test_the_digest_is_of_ids_as_they_are_written(tmp_path: Path) -> None:
    for name in ("a/x.txt", "b/x.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("text")
    before = ids(str(tmp_path))
    (tmp_path / "b").rename(tmp_path / "c")
    after = ids(str(tmp_path))
    assert (before[0][1], after[0][1]) == ("b/x.txt", "c/x.txt") and before[1] != after[1]


@pytest.mark.parametrize("line", ['{"id": "a/x.txt", "text": "1"}', '{"id": "b/x.txt", "text": "1"}'])
@pytest.mark.parametrize("first", [True, False])
def test_an_id_as_it_is_written_is_the_id_of_one_document(tmp_path: Path, line: str, first: bool) -> None:
    for name in ("a/x.txt", "b/x.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("text")
    (tmp_path / f"{'0' if first else 'z'}.jsonl").write_text(line + "\n")
    with pytest.raises(ReadError, match=r"several documents have the id '[ab]/x.txt'"):
        found(tmp_path)


def test_what_the_output_cannot_carry_is_known_before_anything_is_asked(tmp_path: Path) -> None:
    for name in ("a/x.txt", "b/x.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("two\nlines")
    Inputs.of([tmp_path]).check("csv")
    Inputs.of([tmp_path / "a"]).check("brat")
    with pytest.raises(WriteError, match=r"a/x.txt: 'a/x.txt' can be no file name, so --out cannot be brat"):
        Inputs.of([tmp_path]).check("brat")
    with pytest.raises(
        WriteError, match=r"a/x.txt: document 'x' has line ends in its text, so --out cannot be pubtator"
    ):
        Inputs.of([tmp_path]).check("pubtator")


def test_the_digest_is_of_ids_and_texts(tmp_path: Path) -> None:
    def digest(line: str) -> str:
        (tmp_path / "x.jsonl").write_text(line + "\n")
        return Inputs.of([tmp_path / "x.jsonl"]).check().digest

    assert (
        len(
            {
                digest('{"id": "a", "text": "bc"}'),
                digest('{"id": "ab", "text": "c"}'),
                digest('{"id": "a", "text": "b"}'),
            }
        )
        == 3
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", b"%PDF", "its suffix is none of " + re.escape(", ".join(FORMS))),
        ("a.txt", b"\xff\xfe", "not UTF-8"),
        ("a.csv", b"text,n\na\n", r"a.csv:2: 1 cells under a header of 2"),
        ("a.csv", b'text\n"open', r"unexpected end of data"),
        ("a.csv", b"text\n\xff\n", "not UTF-8"),
        ("a.csv", b"text,text\na,b\n", "two columns have the same name"),
        ("a.parquet", b"PAR1", "no Parquet file"),
        ("a.txt.gz", gzip.compress(b"text" * 99, mtime=0)[:-9], "cannot be unpacked"),
        ("a.jsonl.zst", b"not packed", "cannot be unpacked"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReadError, match=message) as raised:
        found(tmp_path / name)
    assert "\n" not in str(raised.value) and name in str(raised.value)


def test_options_that_fit_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match="--format word: it is auto or one of"):
        found(tmp_path / "a.txt", form="word")
    with pytest.raises(SpecError, match="--column c: none of the inputs is a table"):
        found(tmp_path / "a.txt", column="c")
    with pytest.raises(ReadError, match="no file in it has a suffix of these"):
        found(tmp_path / "empty")
    with pytest.raises(ReadError, match="there is no such file"):
        found(tmp_path / "nothing.txt")


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1")
    (tmp_path / "b.txt").write_text("2")
    assert found(tmp_path / "a.txt", tmp_path, tmp_path / "a.txt") == [("a", "1"), ("b", "2")]


def test_what_is_written_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("notes/found.jsonl")
    for name in ("a.txt", "found.jsonl", "found.jsonl.work/failed.jsonl", ".cache/c.txt", "review.md", "brat/a.txt"):
        (tmp_path / "notes" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "notes" / name).write_text("a")
    outputs = (out, Path("notes/../notes/review.md"), tmp_path / "notes" / "brat")
    for given in ("notes", "./notes/../notes", ".", "notes/*", "**/*", str(tmp_path)):
        assert [f.name for f, _, _ in Inputs.of([Path(given)], outputs=outputs).files] == ["a.txt"]
    for named in (out, tmp_path / "notes" / ".." / out, Path("notes/found.jsonl.work"), Path("notes/brat/a.txt")):
        with pytest.raises(SpecError, match="it is an output of this command"):
            Inputs.of([Path("notes"), named], outputs=outputs)
    assert Inputs.of([Path("notes")], "brat", outputs=[out])
    with pytest.raises(SpecError, match=r"one BRAT corpus, so .*brat cannot lie there"):
        Inputs.of([Path("notes")], "brat", outputs=[Path("notes/brat")])


def test_an_output_among_its_inputs(place: Place, public: Any) -> None:
    for name in ("a", "b"):
        (place.root / "mixed" / name).mkdir(parents=True)
        (place.root / "mixed" / name / "x.txt").write_text("Wenda took zorvexan.", encoding="utf-8")
    with patch.object(Work, "finish", side_effect=RuntimeError("power cut")):
        assert place.nerc("annotate", public["bundle"], "mixed", "--out", "mixed/found.jsonl").code == 1
    for typed in (
        ("mixed/../mixed", "mixed/found.jsonl"),
        (place.root / "mixed", place.root / "mixed" / "found.jsonl"),
    ):
        assert place.nerc("annotate", public["bundle"], typed[0], "--out", typed[1]).code == 0
        assert [d.id for d in jsonl.read(place.root / "mixed" / "found.jsonl")] == ["a/x.txt", "b/x.txt"]
