"""Reads doccano's JSON lines: `text` (or `data`) with `label` or `labels` (`[[start, end, label]]`), or with `entities`.

Offsets are characters, end exclusive. A document is named after its `id`, else its file and number. A split keeps documents of
one `group` or `patient` together (doccano keeps additional columns). Relations are left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from experiments.corpora._mismatch import Found
from experiments.corpora._reader import Name, Options, Span, corpus_from, found_at, reader, reads, rows
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError


class _Line(BaseModel):
    model_config = ConfigDict(strict=True)
    id: Name | int | None = None
    text: str = Field(validation_alias=AliasChoices("text", "data"))
    triples: list[tuple[int, int, Name]] | None = Field(default=None, validation_alias=AliasChoices("label", "labels"))
    entities: list[Span] | None = None
    relations: list[Any] = []
    group: Name | int | None = Field(default=None, validation_alias=AliasChoices("group", "patient"))


@reader
def build(*, path: Path, data: Path, options: Options) -> Corpus:
    """Read a file, a folder or a glob."""
    return corpus_from(find, path, data, options)


def find(path: Path, remarks: Counter[str]) -> Iterator[Found]:
    """Yield the documents of a file; `remarks` counts what is left out. ReadError names file and line."""
    for number, row in rows(path, _Line):
        if (row.triples is None) == (row.entities is None):
            raise ReadError.at(path, number, "expected one of `label`, `labels` and `entities`")
        if row.relations:
            remarks["relations, ignored"] += len(row.relations)
        triples = [Span(start=start, end=end, label=label) for start, end, label in row.triples or []]
        where = partial(ReadError.at, path, number)
        claims = [span.claim(where) for span in [*triples, *(row.entities or [])]]
        yield found_at(path, number, row.id, row.text, claims, row.group)


read = reads(find)
