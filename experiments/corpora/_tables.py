"""Converts table rows to documents: tokens with tags, a text with spans, or BigBio's passages with entities.

The names of the columns, or the option `columns`, determine the kind of rows. Tokens are joined by one blank, as for CoNLL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import ConfigDict, ValidationError
from pydantic_core import from_json

from experiments.corpora._mismatch import Found
from experiments.corpora._reader import problem
from experiments.corpora._table_rows import AnyRow, Passaged, Spanned, Tagged
from experiments.corpora._tags import NEIGHBOURS, NO_TAG, prefix_and_label, scheme_of, spans_of
from experiments.corpora.corpus import entity_from
from experiments.errors import ReadError
from ner_programs.types import Document

R = TypeVar("R", bound=AnyRow)

Kind = Literal["tokens", "passages", "text"]
NEEDED: dict[Kind, tuple[str, str]] = {
    "tokens": ("tokens", "tags"),
    "passages": ("passages", "entities"),
    "text": ("text", "entities"),
}
IGNORED = ("relations", "events", "coreferences")
_USUAL = {
    "id": ("id", "document_id"),
    "group": ("group", "patient", "document_id"),
    "text": ("text",),
    "tokens": ("tokens", "words"),
    "tags": ("ner_tags", "tags", "labels"),
    "entities": ("entities", "spans"),
    "passages": ("passages",),
}


@dataclass(frozen=True)
class Columns:
    """The option `columns = { tokens = "words", tags = "bio", names = ["O", "B-Drug", "I-Drug"] }`.

    It names the columns that do not have the usual names. `names` are the tags for the numbers in `tags`, from 0.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: str | None = None
    group: str | None = None
    text: str | None = None
    tokens: str | None = None
    tags: str | None = None
    entities: str | None = None
    passages: str | None = None
    names: tuple[str, ...] = ()

    @property
    def wanted(self) -> frozenset[str]:
        """The names of all columns that may be used."""
        mine = (getattr(self, what) for what in _USUAL)
        return frozenset((*IGNORED, *(name for usual in _USUAL.values() for name in usual), *filter(None, mine)))


class Row(NamedTuple):
    """A row with its location: its file (or dataset and split) and its number or line there, from 1."""

    where: Path
    number: int
    values: Mapping[str, Any]

    def wrong(self, message: str) -> ReadError:
        """Return an error for this row."""
        return ReadError.at(self.where, self.number, message)


class Layout(NamedTuple):
    """The kind of rows, and the column of each field."""

    kind: Kind
    columns: dict[str, str]  # field -> column
    names: Sequence[str] = ()  # tags for the numbers in `tags`

    @classmethod
    def of(cls, where: Path, names: Iterable[str], given: Columns) -> Layout:
        """Find the layout from the names of the columns. Raises ReadError with their list if there is none."""
        there = list(names)
        found: dict[str, str] = {}
        for what, usual in _USUAL.items():
            named = getattr(given, what)
            if named is not None and named not in there:
                raise ReadError(f"{where}: there is no column {named!r}; there are {', '.join(there)}")
            if column := named or next((name for name in usual if name in there), None):
                found[what] = column
        for kind, (first, second) in NEEDED.items():
            if first in found and second in found:
                if given.id is None and "document_id" in there:
                    found["id"] = {"passages": "document_id", "tokens": ""}.get(kind, found["id"])
                return cls(kind, {what: column for what, column in found.items() if column}, given.names)
        raise ReadError(
            f"{where}: the columns {', '.join(there)} are not understood; `columns` can name those of tokens and tags, "
            "or of text and entities"
        )


def find(rows: Iterable[Row], layout: Layout, part: str, remarks: Counter[str]) -> Iterator[Found | Document]:
    """Yield the documents of a split; `remarks` counts what is ignored. Raises ReadError with the row."""
    if layout.kind == "tokens":
        yield from _sentences(rows, layout, part, remarks)
        return
    model: type[Spanned] | type[Passaged] = Spanned if layout.kind == "text" else Passaged
    for i, row in enumerate(rows, 1):
        for what in IGNORED:
            if dropped := row.values.get(what):
                remarks[f"{what}, ignored"] += len(dropped)
        found = _checked(row, layout, model)
        try:
            pieces = tuple(found.pieces)
        except ValueError as error:
            raise row.wrong(str(error)) from None
        claims = tuple(item.claim(row.wrong) for item in found.entities or [])
        yield Found(f"{part}:{i}" if found.id is None else str(found.id), pieces, claims, _string(found.group))


def _sentences(rows: Iterable[Row], layout: Layout, part: str, remarks: Counter[str]) -> Iterator[Document]:
    """Yield documents of token rows. Their ids have the prefix `part`, because ids often restart in each split."""
    found = [(row, _checked(row, layout, Tagged)) for row in rows]
    tags = [_tags(row, sentence, layout.names) for row, sentence in found]
    scheme = scheme_of([tag for sentence in tags for tag in (NO_TAG, *sentence, NO_TAG)])
    ids = [f"{part}:{i if sentence.id is None else sentence.id}" for i, (_, sentence) in enumerate(found, 1)]
    for i, (row, sentence) in enumerate(found):
        tokens = [(row.number, token, *tag) for token, tag in zip(sentence.tokens, tags[i], strict=True)]
        spans = spans_of(tokens, scheme, remarks, partial(ReadError.at, row.where))
        text = " ".join(sentence.tokens)
        try:
            entities = tuple(entity_from(text, [(start, end)], label) for start, end, label in spans)
        except ValueError as error:
            raise row.wrong(str(error)) from None
        near = (*ids[max(0, i - NEIGHBOURS) : i], *ids[i + 1 : i + 1 + NEIGHBOURS])
        yield Document(ids[i], text, entities, _string(sentence.group), near if sentence.group is None else ())


def _tags(row: Row, sentence: Tagged, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return prefix and label of each tag; numbers are looked up in `names`."""
    if len(sentence.tokens) != len(sentence.tags):
        raise row.wrong(f"there are {len(sentence.tokens)} tokens, but {len(sentence.tags)} tags")
    found: list[tuple[str, str]] = []
    for tag in sentence.tags:
        if isinstance(tag, int) and not 0 <= tag < len(names):
            raise row.wrong("a tag is a number without a name; say what they mean: columns = { names = [...] }")
        found.append(prefix_and_label(names[tag] if isinstance(tag, int) else tag))
        if found[-1] == NO_TAG:
            raise row.wrong("a tag is none of O, B-<label>, I-<label>, E-<label>, S-<label>")
    return found


def _checked(row: Row, layout: Layout, model: type[R]) -> R:
    values = {what: row.values.get(column) for what, column in layout.columns.items()}
    try:
        for what in ("tokens", "tags", "entities", "passages"):  # in CSV a list is a string
            written = values.get(what)
            values |= {what: from_json(written)} if isinstance(written, str) else {}
        items = values.get("entities")
        if isinstance(items, dict):  # a list of structures may be stored as a structure of lists
            values["entities"] = [dict(zip(items, item, strict=True)) for item in zip(*items.values(), strict=True)]
        return model.model_validate(values)
    except ValidationError as error:  # not chained: it quotes the row
        raise row.wrong(problem(error)) from None
    except (ValueError, TypeError):
        raise row.wrong("a list is written in a way that is not understood") from None


def _string(group: str | int | None) -> str:
    return "" if group is None else str(group)
