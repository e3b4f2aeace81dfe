"""From a program to annotators and back: its entities in Label Studio, doccano and Prodigy, accepted, read as a corpus."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.annotate import outputs
from experiments.annotate.documents import Annotated, annotate, line
from experiments.corpora import doccano, label_studio, prodigy
from experiments.errors import WriteError
from ner_programs import Document, Entity, open_lm
from ner_programs.privacy import PRIVATE
from tests import tiny
from tests.effort import often

WIDE = "\U0001f426\U0001f468\U0001f3fb\u200d\U0001f692 "  # five code points beyond ASCII and a blank, nine UTF-16 units
NAMES = {"label_studio": "o.label_studio.json", "doccano": "o.doccano.jsonl", "prodigy": "o.prodigy.jsonl"}
LOST = {"label_studio": ("provenances",), "doccano": ("provenances", "scores", "concepts"), "prodigy": ("provenances",)}
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def found() -> list[Document]:
    """What the stand-in finds in notes that begin with an emoji; one has none, one is of a group."""
    notes = [Document(d.id, WIDE + d.text, group="p1" if n == 1 else "") for n, d in enumerate(tiny.DEV)]
    done = list[Annotated]()
    with dspy.context(lm=open_lm("crf")):
        program = tiny.program(demos={"name": "tfidf", "k": 8})
        annotate(program, [*notes, Document("none", "Well.")], done.append, lambda: None)
    documents = [one.document for one in done]
    [entity, *rest] = documents[0].entities
    marked = replace(entity, attributes={"negated": "true", "polarity": "NEG"})
    documents[0] = replace(documents[0], entities=(marked, *rest))
    assert sum(len(d.entities) for d in documents) >= 6 and not documents[-1].entities
    assert any(e.score is not None for d in documents for e in d.entities)
    return documents


def written(found: list[Document], folder: Path, form: str) -> Path:
    done, out = folder / "done.jsonl", folder / NAMES[form]
    done.write_text("".join(line(Annotated(d)) for d in found), encoding="utf-8")
    assert outputs.form_of(out) == form
    lost = outputs.write(done, out, form, PRIVATE, by="bundle, crf")
    assert not [what for what in lost if not what.startswith(LOST[form])], lost
    assert out.stat().st_mode & 0o077 == 0
    return out


def tasks_accepted(rows: Rows) -> Rows:
    """What Label Studio exports when the predictions were submitted as they are."""
    return [
        {
            "id": number,
            "annotations": [{"id": number, "result": row["predictions"][0]["result"], "was_cancelled": False}],
            "predictions": row["predictions"], "data": row["data"], "meta": {},
        }
        for number, row in enumerate(rows, 100)
    ]  # fmt: skip


def docs_accepted(rows: Rows) -> Rows:
    """What doccano exports: an id of its own, and the columns that it does not know as they were."""
    return [{"id": number, "Comments": [], **row} for number, row in enumerate(rows, 1)]


def prodigy_accepted(rows: Rows) -> Rows:
    hashed = ({"_input_hash": number, "_task_hash": -number} for number in range(1, len(rows) + 1))
    return [{**row, **h, "_view_id": "ner_manual", "answer": "accept"} for row, h in zip(rows, hashed, strict=True)]


ACCEPTED: dict[str, tuple[Any, Callable[[Rows], Rows]]] = {
    "label_studio": (label_studio, tasks_accepted), "doccano": (doccano, docs_accepted), "prodigy": (prodigy, prodigy_accepted),
}  # fmt: skip


def rows_of(out: Path) -> Rows:
    text = out.read_text(encoding="utf-8")
    return json.loads(text) if out.suffix == ".json" else [json.loads(one) for one in text.splitlines()]


@pytest.mark.parametrize("form", NAMES)
def test_the_way_there_and_back(found: list[Document], tmp_path: Path, form: str) -> None:
    reader, accept = ACCEPTED[form]
    rows = accept(rows_of(written(found, tmp_path, form)))
    export = tmp_path / "train.json"
    export.write_text(json.dumps(rows) if form == "label_studio" else "".join(json.dumps(row) + "\n" for row in rows))
    corpus = reader.build(path=export, data=tmp_path)
    order = [d.text for d in found]
    again = sorted((d for _, d in corpus.parts()), key=lambda d: order.index(d.text))
    assert [(d.text, d.entities) for d in again] == [(d.text, d.entities) for d in found]
    assert all(d.text[e.start : e.end] == e.text for d in again for e in d.entities)
    assert [dict(e.attributes) for e in again[0].entities[:2]] == [{"negated": "true", "polarity": "NEG"}, {}]
    if form != "prodigy":  # which names a document after its hash, and groups by the id
        assert [(d.id, d.group) for d in again] == [(d.id, d.group) for d in found]


def test_label_studio_shows_what_the_program_is_sure_of(found: list[Document], tmp_path: Path) -> None:
    entity = Entity.of("So owl.", 3, 6, "Bird", score=0.75, concept="B:1")
    two = Document("two", "So owl.", (entity, Entity.of("So owl.", 0, 2, "Bird", score=0.25)))
    [first, second] = rows_of(written([two, found[-1]], tmp_path, "label_studio"))
    [prediction] = first["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("bundle, crf", 0.5)
    owl = prediction["result"][0]
    assert (owl["from_name"], owl["to_name"], owl["type"]) == ("label", "text", "labels")
    assert owl["value"] == {"start": 3, "end": 6, "text": "owl", "labels": ["Bird"]}
    assert (owl["score"], owl["meta"]) == (0.75, {"text": ["B:1"]})
    assert len({region["id"] for region in prediction["result"]}) == 2
    assert second["predictions"] == [{"model_version": "bundle, crf", "result": []}]


def test_label_studio_has_attributes_as_choices_of_the_region(tmp_path: Path) -> None:
    entity = Entity.of("No owl.", 3, 6, "Bird", attributes={"negated": "true", "a": "b=c"})
    [row] = rows_of(written([Document("d", "No owl.", (entity,))], tmp_path, "label_studio"))
    region, choices = row["predictions"][0]["result"]
    assert choices == {
        "id": region["id"], "from_name": "attributes", "to_name": "text", "type": "choices",
        "value": {"start": 3, "end": 6, "text": "owl", "choices": ["negated", "a=b=c"]},
    }  # fmt: skip
    [again] = label_studio.read(tmp_path / NAMES["label_studio"], predicted=True)
    assert again.entities[0].attributes == entity.attributes


def test_attributes_of_spans_that_were_removed_are_left_out(tmp_path: Path) -> None:
    entity = Entity.of(WIDE + "owl", 6, 9, "Bird", attributes={"negated": "true"})
    [row] = docs_accepted(rows_of(written([Document("d", WIDE + "owl", (entity,))], tmp_path, "doccano")))
    assert row["span_attributes"] == [[10, 13, "Bird", {"negated": "true"}]]
    row["label"] = [[10, 12, "Bird"]]
    (tmp_path / "train.jsonl").write_text(json.dumps(row))
    corpus = doccano.build(path=tmp_path / "train.jsonl", data=tmp_path)
    assert [(e.text, dict(e.attributes)) for _, d in corpus.parts() for e in d.entities] == [("ow", {})]
    assert "attributes of spans that are gone, ignored: 1" in corpus.remarks


def test_offsets_count_what_the_tool_counts(tmp_path: Path) -> None:
    """Label Studio and Prodigy count code points, doccano counts UTF-16 units."""
    text = WIDE + "owl"
    document = Document("d", text, (Entity.of(text, 6, 9, "Bird"),))
    units = len(text.encode("utf-16-le")) // 2
    [task] = rows_of(written([document], tmp_path, "label_studio"))
    value = task["predictions"][0]["result"][0]["value"]
    assert (value["start"], value["end"]) == (6, 9)
    assert rows_of(written([document], tmp_path, "doccano"))[0]["label"] == [[units - 3, units, "Bird"]]
    assert rows_of(written([document], tmp_path, "prodigy"))[0]["spans"] == [{"start": 6, "end": 9, "label": "Bird"}]


def test_an_older_label_studio_counts_utf_16_units(tmp_path: Path) -> None:
    text = WIDE + "owl"
    rows = tasks_accepted(
        rows_of(written([Document("d", text, (Entity.of(text, 6, 9, "Bird"),))], tmp_path, "label_studio"))
    )
    value = rows[0]["annotations"][0]["result"][0]["value"]
    value["start"], value["end"] = value["start"] + 4, value["end"] + 4
    (tmp_path / "train.json").write_text(json.dumps(rows))
    corpus = label_studio.build(path=tmp_path / "train.json", data=tmp_path, mismatch="repair")
    assert [e.text for _, d in corpus.parts() for e in d.entities] == ["owl"]


@settings(max_examples=often(25, 500), deadline=None)
@given(
    st.lists(st.sampled_from(["a", "é", "\U0001f426", "e\u0301", "\n", "\r\n", " ", "\u2028"]), min_size=1), st.data()
)
def test_any_text_and_any_spans_come_back(tmp_path_factory: Any, pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    ends = st.tuples(st.integers(0, len(text) - 1), st.integers(1, len(text))).filter(lambda span: span[0] < span[1])
    spans = data.draw(st.lists(ends, unique=True, max_size=4))
    documents = [Document("d", text, tuple(sorted(Entity.of(text, *span, "X") for span in spans))), Document("e", "e")]
    folder = tmp_path_factory.mktemp("any")
    assert not label_studio.write(documents, folder / "tasks.json")
    assert not doccano.write(documents, folder / "docs.jsonl")
    assert not prodigy.write(documents, folder / "lines.jsonl")
    assert [d.entities for d in doccano.read(folder / "docs.jsonl")] == [d.entities for d in documents]


@pytest.mark.parametrize("form", NAMES)
def test_pieces_are_refused(tmp_path: Path, form: str) -> None:
    pieces = Entity.of("a b c", 0, 5, "X", fragments=((0, 1), (4, 5)))
    with pytest.raises(WriteError, match="cannot carry the text and spans of document 'd'"):
        ACCEPTED[form][0].write([Document("d", "a b c", (pieces,))], tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_doccano_files_of_others_may_count_characters(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps({"text": WIDE + "owl", "label": [[6, 9, "Bird"]]}))
    corpus = doccano.build(path=tmp_path, data=tmp_path, offsets="characters")
    assert [e.text for e in corpus.train[0].entities] == ["owl"]
