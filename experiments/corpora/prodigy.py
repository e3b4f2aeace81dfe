"""Reads and writes Prodigy's JSON lines (`prodigy db-out`): `text`, `spans`, `answer`. Only the answer "accept" counts.

A document is named after its `_input_hash`, else its `meta.id`, else its file and number. A split keeps documents of one
`meta.group` or `meta.patient` together, or of one `meta.id` if there is a hash. The first of several answers to a text is used.
Answers about one suggestion (the view "ner") do not cover the whole text and are left out. Everything left out is counted.
A span keeps its `attributes` (`{"negated": "true"}`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from experiments.corpora._mismatch import Found
from experiments.corpora._reader import Name, Options, Span, corpus_from, found_at, reader, reads, rows
from experiments.corpora._write import grouped, write_lines
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError
from ner_programs.types import AnnotatedText


class _Meta(BaseModel):
    model_config = ConfigDict(strict=True)
    id: Name | int | None = None
    group: Name | int | None = Field(default=None, validation_alias=AliasChoices("group", "patient"))


class _Line(BaseModel):
    model_config = ConfigDict(strict=True)
    text: str
    spans: list[Span] | None = None
    answer: Literal["accept", "reject", "ignore"] = "accept"
    meta: _Meta = _Meta()
    hashed: int | None = Field(default=None, alias="_input_hash")
    view: str | None = Field(default=None, alias="_view_id")
    relations: list[Any] | None = None


@reader
def build(*, path: Path, data: Path, options: Options) -> Corpus:
    """Read a file, a folder or a glob."""
    return corpus_from(find, path, data, options)


def find(path: Path, remarks: Counter[str]) -> Iterator[Found]:
    """Yield the accepted texts of a file; `remarks` counts what is left out. ReadError names file and line."""
    seen: dict[int, str] = {}
    for number, row in rows(path, _Line):
        if row.answer != "accept":
            remarks[f"lines with the answer {row.answer}, ignored"] += 1
            continue
        if row.view == "ner":
            remarks["answers about one suggestion, ignored"] += 1
            continue
        if row.hashed is not None:
            if row.hashed in seen and seen[row.hashed] != row.text:
                raise ReadError.at(path, number, "another text had the same _input_hash")
            if row.hashed in seen:
                remarks["further answers to a text, ignored"] += 1
                continue
            seen[row.hashed] = row.text
        yield _document(path, number, row, remarks)


read = reads(find)


def write(documents: Iterable[AnnotatedText], path: Path) -> tuple[str, ...]:
    """Write texts with spans, to correct with `prodigy ner.manual`. Return what the form cannot express.

    Raises WriteError for discontinuous entities.
    """
    return write_lines(documents, path, _dump, read, shown=("score",))


def _dump(document: AnnotatedText) -> dict[str, Any]:
    spans = [
        {"start": e.start, "end": e.end, "label": e.label}
        | ({} if e.score is None else {"score": e.score})
        | ({"attributes": dict(e.attributes)} if e.attributes else {})
        for e in document.entities
    ]
    return {"text": document.text, "spans": spans, "meta": {"id": document.id, **grouped(document)}}


def _document(path: Path, number: int, row: _Line, remarks: Counter[str]) -> Found:
    if row.relations:
        remarks["relations, ignored"] += len(row.relations)
    claims = [span.claim(partial(ReadError.at, path, number)) for span in row.spans or []]
    name = row.meta.id if row.hashed is None else row.hashed
    group = row.meta.group if row.meta.group is not None or row.hashed is None else row.meta.id
    return found_at(path, number, name, row.text, claims, group)
