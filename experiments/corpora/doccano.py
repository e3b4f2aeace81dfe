"""Reads and writes doccano's JSON lines: `text` (or `data`) with `label` or `labels` (`[[start, end, label]]`), or `entities`.

doccano's offsets count UTF-16 units, as JavaScript does: an emoji counts two (its issue 2290). `offsets = "characters"` reads
files of others. A document is named after its `document`, else its `id`, else its file and number. A split keeps documents of
one `group` or `patient` together. Relations are left out and counted. doccano has no attributes of spans, but keeps additional
columns: `span_attributes` (`[[start, end, label, {"negated": "true"}]]`) holds for the spans that are still there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from experiments.corpora._mismatch import Found
from experiments.corpora._passages import Unit, marks_of
from experiments.corpora._reader import Name, Options, Span, corpus_from, found_at, reader, reads, rows
from experiments.corpora._write import grouped, write_lines
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError
from ner_programs.types import AnnotatedText


class _Line(BaseModel):
    model_config = ConfigDict(strict=True)
    document: Name | None = None
    id: Name | int | None = None
    text: str = Field(validation_alias=AliasChoices("text", "data"))
    triples: list[tuple[int, int, Name]] | None = Field(default=None, validation_alias=AliasChoices("label", "labels"))
    entities: list[Span] | None = None
    relations: list[Any] = []
    span_attributes: list[tuple[int, int, Name, dict[str, str]]] = []
    group: Name | int | None = Field(default=None, validation_alias=AliasChoices("group", "patient"))


@reader
def build(*, path: Path, data: Path, options: Options, offsets: Unit = "utf-16") -> Corpus:
    """Read a file, a folder or a glob."""
    return corpus_from(partial(find, offsets=offsets), path, data, options)


def find(path: Path, remarks: Counter[str], *, offsets: Unit = "utf-16") -> Iterator[Found]:
    """Yield the documents of a file; `remarks` counts what is left out. ReadError names file and line."""
    for number, row in rows(path, _Line):
        if (row.triples is None) == (row.entities is None):
            raise ReadError.at(path, number, "expected one of `label`, `labels` and `entities`")
        if row.relations:
            remarks["relations, ignored"] += len(row.relations)
        said = {(start, end, label): attributes for start, end, label, attributes in row.span_attributes}
        remarks["attributes of spans that are gone, ignored"] += len(said.keys() - set(row.triples or []))
        triples = [Span(start=s, end=e, label=x, attributes=said.get((s, e, x), {})) for s, e, x in row.triples or []]
        where = partial(ReadError.at, path, number)
        claims = [span.claim(where) for span in [*triples, *(row.entities or [])]]
        name = row.id if row.document is None else row.document
        yield replace(found_at(path, number, name, row.text, claims, row.group), unit=offsets)


read = reads(find)


def write(documents: Iterable[AnnotatedText], path: Path) -> tuple[str, ...]:
    """Write one file to import into doccano. Return what it cannot express; raises WriteError for discontinuous entities."""
    return write_lines(documents, path, _dump, read)


def _dump(document: AnnotatedText) -> dict[str, Any]:
    at = marks_of(document.text, "utf-16")
    labels = [[at[e.start], at[e.end], e.label] for e in document.entities]
    said = [[*label, dict(e.attributes)] for label, e in zip(labels, document.entities, strict=True) if e.attributes]
    about = {"span_attributes": said} if said else {}
    return {"document": document.id, "text": document.text, "label": labels, **grouped(document), **about}
