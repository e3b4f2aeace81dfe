"""Reads and writes JSON lines: `{"id", "text", "entities": [{"start", "end", "label"}], "group"}`. It is nerc's own format.

`start` and `end` are character offsets, end exclusive. Only `text` is required. `spans` is an alias of `entities`, `patient`
of `group`. An entity may have an `id` (of a concept), a `text` (which is checked), `fragments`, `score`, `attributes`. Other
fields are ignored. A document without an id is named after its file and number: `train:1`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from experiments.corpora._mismatch import Claim, Found, Spans
from experiments.corpora._reader import Name, Options, corpus_from, found_at, reader, reads, rows
from experiments.corpora._write import grouped, write_lines
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError
from ner_programs.types import AnnotatedText, Entity


class _Whole(Claim):
    """A span whose `text` is everything from its start to its end, as nerc writes it."""

    def fits(self, text: str, spans: Spans) -> bool:
        """Return whether `text` is exactly that."""
        return self.surface is None or self.surface == text[spans[0][0] : spans[-1][1]]


class _Span(BaseModel):
    model_config = ConfigDict(strict=True)
    start: int
    end: int
    label: Name
    text: str | None = None
    fragments: list[tuple[int, int]] | None = None
    id: str | None = None
    score: float | None = None
    attributes: dict[str, str] = {}
    provenance: list[str] = []

    def claim(self, where: Callable[[str], ReadError]) -> Claim:
        """Return the claim of this span."""
        spans = self.fragments or [(self.start, self.end)]
        if (spans[0][0], spans[-1][1]) != (self.start, self.end):
            raise where("`fragments` do not begin at `start` and end at `end`")
        about = {"score": self.score, "attributes": self.attributes, "provenance": tuple(self.provenance)}
        return _Whole(where, spans, self.label, self.text, {"concept": self.id, **about}, "`text`")


class _Line(BaseModel):
    model_config = ConfigDict(strict=True)
    id: Name | int | None = None
    text: str
    entities: list[_Span] = Field(default=[], validation_alias=AliasChoices("entities", "spans"))
    group: Name | int | None = Field(default=None, validation_alias=AliasChoices("group", "patient"))
    related: list[str] = []


@reader
def build(*, path: Path, data: Path, options: Options) -> Corpus:
    """Read a file, a folder or a glob."""
    return corpus_from(find, path, data, options)


def find(path: Path, remarks: Counter[str]) -> Iterator[Found]:
    """Yield the documents of a file, without blank lines. Raises ReadError with file and line."""
    for number, row in rows(path, _Line):
        claims = [span.claim(partial(ReadError.at, path, number)) for span in row.entities]
        yield replace(found_at(path, number, row.id, row.text, claims, row.group), related=tuple(row.related))


read = reads(find)


def write(documents: Iterable[AnnotatedText], path: Path) -> tuple[str, ...]:
    """Write one file. The format expresses everything, so the result is empty. Raises WriteError for invalid Unicode."""
    return write_lines(documents, path, dump, read)


def dump(document: AnnotatedText) -> dict[str, Any]:
    """Return the document as a JSON object that `read` accepts, without empty and default fields."""
    row: dict[str, Any] = {
        "id": document.id,
        "text": document.text,
        "entities": [_dump(entity) for entity in document.entities],
    }
    row |= grouped(document)
    if document.related:
        row["related"] = list(document.related)
    return row


def _dump(entity: Entity) -> dict[str, Any]:
    row: dict[str, Any] = {"start": entity.start, "end": entity.end, "label": entity.label, "text": entity.text}
    rest = {
        "fragments": [list(f) for f in entity.fragments] if len(entity.fragments) > 1 else None,
        "id": entity.concept,
        "score": entity.score,
        "attributes": dict(entity.attributes),
        "provenance": list(entity.provenance),
    }
    return row | {key: value for key, value in rest.items() if value not in (None, {}, [])}
