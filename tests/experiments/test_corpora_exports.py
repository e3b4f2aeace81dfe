"""What annotation tools export: Label Studio, Prodigy, doccano. What is left out is counted, errors quote nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.corpora import doccano, label_studio, prodigy
from experiments.corpora._split import Split
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError

Row = dict[str, Any]


def json_lines(file: Path, *rows: Row | str) -> Path:
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return file


def spans(corpus: Corpus) -> list[tuple[str, list[tuple[int, int, str, str]]]]:
    return [(d.id, [(e.start, e.end, e.label, e.text) for e in d.entities]) for d in corpus.train]


def region(start: int, end: int, *labels: str, text: str | None = None) -> Row:
    said = {} if text is None else {"text": text}
    return {
        "id": "r", "type": "labels", "to_name": "text",
        "value": {"start": start, "end": end, "labels": [*labels], **said},
    }  # fmt: skip


def task(number: int, text: str, *annotations: Row, **data: Any) -> Row:
    return {"id": number, "data": {"text": text, **data}, "annotations": [*annotations], "meta": {}}


def by(*results: Row, **rest: Any) -> Row:
    return {"completed_by": 3, "result": [*results], "was_cancelled": False, **rest}


def label_studio_file(folder: Path, *tasks: Row) -> Path:
    (folder / "train.json").write_text(json.dumps(tasks))
    return folder


def test_label_studio(tmp_path: Path) -> None:
    first, gold = by(region(0, 2, "Article")), by(region(3, 6, "Bird", "Animal", text="owl"), ground_truth=True)
    other = {"type": "relation", "from_id": "r", "to_id": "r"}
    tasks = [
        task(7, "An owl", first, gold, patient="p1") | {"predictions": [by(region(0, 1, "X"))]},
        task(8, "An oak", by(region(0, 6, "X"), was_cancelled=True), by(region(3, 6), other)),
        task(9, "An elm"),
    ]
    corpus = label_studio.build(path=label_studio_file(tmp_path, *tasks), data=tmp_path)
    assert spans(corpus) == [("7", [(3, 6, "Bird", "owl"), (3, 6, "Animal", "owl")]), ("8", [])]
    assert [d.group for d in corpus.train] == ["p1", "8"] and corpus.privacy.private
    assert set(corpus.remarks) == {
        "cancelled annotations, ignored: 1", "annotations of a task after the one taken, ignored: 1",
        "predictions, ignored: 1", "regions without a label, ignored: 1", "results of the type 'relation', ignored: 1",
        "tasks without an annotation, ignored: 1",
    }  # fmt: skip
    renamed = label_studio.build(path=tmp_path, data=tmp_path, types={"Bird": "B"})
    assert spans(renamed)[0] == ("7", [(3, 6, "B", "owl")])


def test_label_studio_choices_of_a_region_are_its_attributes(tmp_path: Path) -> None:
    def chosen(control: str, *choices: str, **rest: Any) -> Row:
        return {"type": "choices", "from_name": control, "value": {"choices": list(choices)}, "id": "r1", **rest}

    about = (chosen("assertion", "absent"), chosen("more", "family", "grade=2"), chosen("attributes", "negated"))
    result = by(region(3, 6, "Bird") | {"id": "r1"}, *about, chosen("whole", "good", id="r2"), region(0, 2, "X"))
    corpus = label_studio.build(path=label_studio_file(tmp_path, task(1, "An owl", result)), data=tmp_path)
    owl, other = sorted(corpus.train[0].entities, reverse=True)
    assert dict(owl.attributes) == {"assertion": "absent", "family": "true", "grade": "2", "negated": "true"}
    assert not other.attributes and corpus.remarks == ("results of the type 'choices', ignored: 1",)


def test_label_studio_offsets_in_utf_16_units(tmp_path: Path) -> None:
    text = "\U0001d6fd-globin in \U0001f426"
    moved = by(region(2, 9, "P", text="-globin"), region(13, 15, "B", text="\U0001f426"))
    other = by(region(0, 2, "G", text="\U0001d6fd"))
    path = label_studio_file(tmp_path, task(1, text, moved), task(2, text, other))
    with pytest.raises(ReadError, match=r"task 1: .*2\.\.9 .*as UTF-16 units: mismatch = \"repair\" moves them"):
        label_studio.build(path=path, data=tmp_path)
    corpus = label_studio.build(path=path, data=tmp_path, mismatch="repair")
    assert spans(corpus) == [
        ("1", [(1, 8, "P", "-globin"), (12, 13, "B", "\U0001f426")]),
        ("2", [(0, 1, "G", "\U0001d6fd")]),
    ]
    assert corpus.remarks == ("mentions whose offsets count UTF-16 units, moved: 3",)
    with pytest.raises(ReadError, match=r"train\.json: task 1: its text is not what lies at 3\.\.10"):
        label_studio.build(
            path=label_studio_file(tmp_path, task(1, text, by(region(3, 10, "P", text="-globin")))), data=tmp_path
        )


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (task(2, "secret", by(region(0, 99, "X"))), r"task 2: 0\.\.99 is no span"),
        (task(2, "secret", by(region(0, 3, "X", text="secr"))), r"task 2: its text is not what lies at 0\.\.3"),
        (task(2, "secret", by({"type": "labels", "value": {"start": "0"}})), "task 2: region 1: start: .*integer"),
        (
            task(
                2,
                "secret",
                by(region(0, 3, "X") | {"id": "r"}, {"type": "choices", "id": "r", "value": {"choices": "secret"}}),
            ),
            r"task 2: region 2: choices: ",
        ),
        ({"data": {"text": "secret"}}, "task 2: annotations: Field required"),
        ({"data": {"note": "secret"}, "annotations": []}, "task 2: data.text: Field required"),
    ],
)
def test_label_studio_names_the_task(tmp_path: Path, bad: Row, message: str) -> None:
    with pytest.raises(ReadError, match=r"train\.json: " + message) as caught:
        label_studio.build(path=label_studio_file(tmp_path, task(1, "fine", by()), bad), data=tmp_path)
    assert "secr" not in str(caught.value)


def test_label_studio_wants_the_json_export(tmp_path: Path) -> None:
    for content in (b'{"secret": 1}', b"[", b"\xff[]", b""):
        (tmp_path / "train.json").write_bytes(content)
        with pytest.raises(ReadError, match=r"train\.json: ") as caught:
            label_studio.build(path=tmp_path, data=tmp_path)
        assert "secret" not in str(caught.value)


def test_prodigy(tmp_path: Path) -> None:
    owl = {"start": 3, "end": 6, "label": "Bird", "token_start": 1, "token_end": 1, "source": "manual"}
    same = {"text": "An owl", "_input_hash": -5, "meta": {"id": "note 1", "source": "x"}}
    file = json_lines(
        tmp_path / "train.jsonl",
        {**same, "spans": [owl], "answer": "accept", "_view_id": "ner_manual", "relations": []},
        {**same, "spans": [], "answer": "accept", "_annotator_id": "b"},
        {"text": "An oak", "_input_hash": 6, "meta": {"id": 1, "patient": "p"}, "spans": None},
        {"text": "An elm", "meta": {"id": "note 2"}, "answer": "accept", "relations": [{"head": 0}]},
        {"text": "An ash", "meta": {"score": 0.5}},
        {"text": "An owl", "_input_hash": 7, "spans": [owl], "answer": "accept", "_view_id": "ner"},
        {"text": "An owl", "_input_hash": 8, "answer": "reject"},
        {"text": "An owl", "_input_hash": 8, "answer": "ignore"},
    )
    corpus = prodigy.build(path=tmp_path, data=tmp_path)
    assert spans(corpus) == [("-5", [(3, 6, "Bird", "owl")]), ("6", []), ("note 2", []), ("train:5", [])]
    assert [d.group for d in corpus.train] == ["note 1", "p", "note 2", "train:5"]
    assert set(corpus.remarks) == {
        "further answers to a text, ignored: 1", "relations, ignored: 1", "answers about one suggestion, ignored: 1",
        "lines with the answer reject, ignored: 1", "lines with the answer ignore, ignored: 1",
    }  # fmt: skip
    json_lines(file, {"text": "An owl", "_input_hash": 1}, {"text": "secret", "_input_hash": 1})
    with pytest.raises(ReadError, match=r"train\.jsonl:2: another text had the same _input_hash"):
        prodigy.build(path=tmp_path, data=tmp_path)


def test_doccano(tmp_path: Path) -> None:
    json_lines(
        tmp_path / "train.jsonl",
        {"id": 4, "text": "An owl", "label": [[3, 6, "Bird"]], "Comments": []},
        {"id": 5, "data": "An owl", "labels": [[3, 6, "Bird"]], "patient": 12},
        {
            "text": "\U0001f426 owl",
            "entities": [{"id": 9, "label": "Bird", "start_offset": 3, "end_offset": 6}],
            "relations": [{"id": 1, "from_id": 9, "to_id": 9}],
        },
    )
    corpus = doccano.build(path=tmp_path, data=tmp_path)
    owl = [(3, 6, "Bird", "owl")]
    assert spans(corpus) == [("4", owl), ("5", owl), ("train:3", [(2, 5, "Bird", "owl")])]
    assert [d.group for d in corpus.train] == ["4", "12", "train:3"] and corpus.remarks == ("relations, ignored: 1",)


@pytest.mark.parametrize(
    ("reader", "bad", "message"),
    [
        (doccano, {"text": "secret", "label": [[0, 99, "X"]]}, r"0\.\.99 is no span"),
        (doccano, {"text": "secret", "label": ["X"]}, r"label\.0: "),
        (doccano, {"text": "secret"}, "expected one of `label`, `labels` and `entities`"),
        (doccano, {"text": "secret", "label": [], "entities": []}, "expected one of"),
        (doccano, {"label": []}, "text: Field required"), (doccano, '{"text": "secret', "Invalid JSON"),
        (prodigy, {"text": "secret", "spans": [{"start": 0, "end": 1}]}, r"spans\.0\.label: Field required"),
        (prodigy, {"text": "secret", "spans": [{"start": 4, "end": 1, "label": "X"}]}, r"4\.\.1 is no span"),
        (prodigy, {"text": "secret", "spans": [{"start": 0, "end": 1, "label": "X", "text": "e"}]}, "its text is not"),
        (prodigy, {"text": "secret", "answer": "perhaps"}, "answer: "), (prodigy, '["secret"]', "object"),
    ],
)  # fmt: skip
def test_json_lines_name_the_line_and_never_the_text(tmp_path: Path, reader: Any, bad: Row | str, message: str) -> None:
    fine = {"text": "fine", "label": []} if reader is doccano else {"text": "fine"}
    json_lines(tmp_path / "train.jsonl", fine, bad)
    with pytest.raises(ReadError, match=message) as caught:
        reader.build(path=tmp_path, data=tmp_path)
    assert "train.jsonl:2: " in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("reader", [doccano, prodigy, label_studio])
def test_one_file_is_split_and_groups_stay_together(tmp_path: Path, reader: Any) -> None:
    file = tmp_path / "all.json"
    if reader is label_studio:
        file.write_text(json.dumps([task(i, f"t{i}", by(), patient=f"p{i % 6}") for i in range(30)]))
    else:
        json_lines(
            file,
            *(
                {"text": f"t{i}", "label": [], "patient": f"p{i % 6}", "meta": {"patient": f"p{i % 6}"}}
                for i in range(30)
            ),
        )
    corpus = reader.build(path=file, data=tmp_path, split=Split(by="patient"))
    groups = [{d.group for d in corpus.part(part)} for part in ("train", "dev", "test")]
    assert all(groups) and sum(map(len, groups)) == 6 and corpus.name == "all"
