"""The JSON-lines reader takes back what is written, reads what people write, and names the line of a fault."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.corpora import jsonl
from experiments.corpora._files import lines
from experiments.corpora._split import Split
from experiments.corpora.corpus import Corpus, held_out
from experiments.errors import ReadError, WriteError
from ner_programs.types import Document
from tests.experiments.documents import documents, told


def write(folder: Path, **files: str | bytes) -> Path:
    """Write files `part_ending="content"` as part.ending."""
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name.replace("_", ".")).write_bytes(data)
    return folder


def spans(document: Document) -> list[tuple[int, int, str, str]]:
    return [(e.start, e.end, e.label, e.text) for e in document.entities]


@given(st.lists(documents(), max_size=4))
def test_all_that_a_document_holds_comes_back(written: list[Document]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.jsonl"
        assert jsonl.write(written, path) == ()
        again = list(jsonl.read(path))
        path.write_text("".join(json.dumps(jsonl.dump(d)) + "\n" for d in written))  # in ASCII, as others write it
        assert list(jsonl.read(path)) == again
    assert [told(d) for d in again] == [told(d) for d in written]


def test_all_parts_of_a_corpus_can_be_written(tmp_path: Path) -> None:
    corpus = Corpus("c", train=(Document("a", "x"),), test=held_out([Document("b", "y", group="p")]))
    assert jsonl.write([d for _, d in corpus.parts()], tmp_path / "deeper" / "all.jsonl") == ()
    assert [(d.id, d.group) for d in jsonl.read(tmp_path / "deeper" / "all.jsonl")] == [("a", "a"), ("b", "p")]


def test_jsonl_refuses_what_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"notes\.jsonl: .* UTF-8 cannot write"):
        jsonl.write([Document("a", "secret \ud800")], tmp_path / "notes.jsonl")
    assert not list(tmp_path.iterdir())


def test_jsonl_reads_what_people_write(tmp_path: Path) -> None:
    rows = """
        {"text": "no rash", "spans": [{"start": 3, "end": 7, "label": "D", "color": "red"}], "patient": 7, "date": 1}

        {"id": 12, "text": "\u00e9\U0001f600x", "entities": [{"start": 2, "end": 3, "label": "D", "text": "x"}], "group": "p"}
    """.strip()
    corpus = jsonl.build(path=write(tmp_path, train_jsonl=rows, dev_jsonl='{"text": "a"}'), data=tmp_path)
    first, second = corpus.train
    assert (first.id, first.group, spans(first)) == ("train:1", "7", [(3, 7, "D", "rash")])
    assert (second.id, second.group, spans(second)) == ("12", "p", [(2, 3, "D", "x")])
    assert (corpus.dev[0].id, corpus.privacy.private, corpus.unit, corpus.resampling) == (
        "dev:1",
        True,
        "sentence",
        "document",
    )


def test_jsonl_one_file_is_split_by_patient(tmp_path: Path) -> None:
    rows = "\n".join(json.dumps({"text": f"t{i}", "patient": f"p{i % 5}"}) for i in range(20))
    path = write(tmp_path, notes_jsonl=rows) / "notes.jsonl"
    corpus = jsonl.build(path=path, data=tmp_path, split=Split(by="patient"))
    assert corpus.name == "notes" and corpus.train and corpus.dev and corpus.test
    assert not {d.group for d in corpus.train} & {d.group for d in corpus.test}
    with pytest.raises(ReadError, match="already say the split"):
        jsonl.build(path=write(tmp_path, train_jsonl=rows), data=tmp_path, split=Split())


def test_jsonl_keeps_patients_together_where_the_lines_name_them(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", **({"patient": f"p{i % 9}"} if i > 3 else {})} for i in range(60)]
    path = write(tmp_path, notes_jsonl="\n".join(map(json.dumps, rows))) / "notes.jsonl"
    for split in (None, Split(dev=0.3, test=0.3)):
        corpus = jsonl.build(path=path, data=tmp_path, split=split)
        parts = [{d.group for d in part} for part in (corpus.train, corpus.dev, corpus.test)]
        assert all(parts) and not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    by_document = jsonl.build(path=path, data=tmp_path, split=Split(by="document"))
    assert {d.group for d in by_document.train} & {d.group for d in by_document.test}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": "secret"', "Invalid JSON"),
        ('["secret"]', "the line: Input should be an object"),
        ('{"id": "a"}', "text: Field required"),
        ('{"text": 5}', "text: Input should be a valid string"),
        ('{"text": "secret", "entities": [{"start": 0, "end": 99, "label": "D"}]}', r"0\.\.99 is no span"),
        ('{"text": "secret", "entities": [{"start": 2, "end": 2, "label": "D"}]}', r"2\.\.2 is no span"),
        ('{"text": "secret", "entities": [{"start": "0", "end": 2, "label": "D"}]}', r"entities\.0\.start: .*integer"),
        ('{"text": "secret", "entities": [{"start": 0, "end": 2}]}', r"entities\.0\.label: Field required"),
        ('{"text": "secret", "spans": [{"start": 0, "end": 2, "label": ""}]}', r"spans\.0\.label: .*at least 1"),
        ('{"text": "secret", "spans": [{"start": 0, "end": 2, "label": "D", "text": "secr"}]}', "`text` is not what"),
        (
            '{"text": "secret", "spans": [{"start": 0, "end": 6, "label": "D", "fragments": [[0, 2], [3, 5]]}]}',
            "`fragments` do not begin",
        ),
    ],
)
def test_jsonl_names_the_line_and_never_the_text(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(ReadError, match=message) as caught:
        jsonl.build(path=write(tmp_path, train_jsonl='{"text": "fine"}\n' + row), data=tmp_path)
    assert "train.jsonl:2: " in str(caught.value) and "secr" not in str(caught.value).replace("`text`", "")
    assert caught.value.__suppress_context__


def test_lines_are_only_what_a_newline_ends(tmp_path: Path) -> None:
    path = write(tmp_path, x_txt="\ufeffa\u2028b\x0bc\r\n\ufeffd") / "x.txt"
    assert list(lines(path)) == [(1, "a\u2028b\x0bc"), (2, "\ufeffd")]
