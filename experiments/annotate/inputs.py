"""The documents to annotate, read one at a time from files, folders and globs in the forms that notes come in.

>>> inputs = Inputs.of([Path("notes/"), Path("more.csv.gz")], column="report")        # doctest: +SKIP
>>> inputs.check().documents                                                          # doctest: +SKIP
1204

A suffix names the form (`sources.FORMS`; `.gz` and `.zst` after it are unpacked), a `form` overrules it: text, jsonl, csv, tsv,
parquet, hf (a folder that `datasets` saved), or any reader of `experiments/corpora`. A text file is one document.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from experiments.annotate.sources import FORMS, Source, find
from experiments.corpora.packed import unpacked
from experiments.errors import ReadError, SpecError, WriteError
from ner_programs.components import module, names
from ner_programs.types import Document

TABLES = ("csv", "tsv", "parquet", "hf")
CORPORA = "experiments.corpora"
_CHOOSY = ("brat", "pubtator", "conll", "bioc")  # forms of outputs that cannot carry every id and text
_ROWS = 256
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """How many documents there are, a digest of their ids and texts, and the ids that need their file's name before them.

    These are eight bytes of a hash each, so that a million take little memory.
    """

    documents: int
    digest: str
    shared: frozenset[int] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files with their forms; iterating reads the documents anew, one at a time."""

    files: tuple[Source, ...]
    column: str | None = None
    shared: frozenset[int] = field(default=frozenset(), repr=False)

    @classmethod
    def of(
        cls, paths: Sequence[Path], form: str = "auto", column: str | None = None, outputs: Iterable[Path] = ()
    ) -> Inputs:
        """Find the files, each once. What is written to `outputs` is left out of folders and globs.

        Raises ReadError for no file or a suffix without a form, SpecError for a wrong option or an output that is named.
        """
        known = sorted({*FORMS.values(), *TABLES, *names(CORPORA)})
        if form not in ("auto", *known):
            raise SpecError(f"--format {form}: it is auto or one of {', '.join(known)}")
        files = find(paths, form, outputs)
        if column is not None and not any(file.form in TABLES for file in files):
            raise SpecError(f"--column {column}: none of the inputs is a table ({', '.join(TABLES)})")
        return cls(files, column)

    def check(self, form: str = "jsonl") -> Check:
        """Read everything once, so that what cannot be read is known before anything is asked.

        Ids that documents of several files have are `shared`; then everything is read again, with ids as they are written.
        Raises ReadError where an id is twice in one file, or twice among all ids as they are written, WriteError where the
        output's `form` cannot carry an id or a text.
        """
        refused = module(CORPORA, form).refused if form in _CHOOSY else lambda document: None
        found = self._checked(form, refused)
        return replace(self, shared=found.shared)._checked(form, refused) if found.shared else found

    def __iter__(self) -> Iterator[Document]:
        return (document for _, document in self._found())

    def _checked(self, form: str, refused: Callable[[Document], str | None]) -> Check:
        digest, number = hashlib.sha256(), 0
        before, here, shared, file = set[int](), set[int](), set[int](), None
        for source, document in self._found():
            number += 1
            digest.update(
                f"{len(document.id)} {len(document.text)} {document.id}{document.text}".encode("utf-8", "replace")
            )
            if source != file and not self.shared:
                before |= here
                here, file = set(), source
            if why := refused(document):
                raise WriteError(f"{source.path}: {why}, so --out cannot be {form}")
            short = _short(document.id)
            if short in here:
                why = f"several documents have the id {document.id!r}: they could not be told apart"
                raise ReadError(f"{source.path}: {why}")
            if short in before:
                shared.add(short)
            here.add(short)
        return Check(number, digest.hexdigest(), self.shared or frozenset(shared))

    def _found(self) -> Iterator[tuple[Source, Document]]:
        """Yield the documents with their ids as they are written."""
        for source in self.files:
            stem = source.stem
            for document in _documents(source, self.column):
                qualified = self.shared and _short(document.id) in self.shared
                yield source, _qualified(source.name, stem, document) if qualified else document


def _documents(source: Source, column: str | None) -> Iterator[Document]:
    path, form, _ = source
    if form == "text":
        with unpacked(path) as stream:
            try:
                yield Document(source.stem, stream.read().decode("utf-8"))
            except UnicodeDecodeError:  # not chained: it carries the text
                raise ReadError(f"{path}: not UTF-8") from None
    elif form in TABLES:
        yield from _of_table(source, _TABLES[form](path), column)
    else:
        yield from module(CORPORA, form).read(path)


def _of_table(source: Source, rows: Iterable[tuple[int, Row]], column: str | None) -> Iterator[Document]:
    """Yield a document for each row: its text in `column`, its id in a column `id`, else its number."""
    path, stem = source.path, source.stem
    for number, row in rows:
        if column is None:
            column = "text" if "text" in row else next(iter(row)) if len(row) == 1 else None
        if column is None or column not in row:
            wanted = (
                "say which column holds the text with --column" if column is None else f"there is no column {column!r}"
            )
            raise ReadError(f"{path}: {wanted}; it has {', '.join(map(repr, row))}")
        text, given = row[column], row.get("id")
        if not isinstance(text, str):
            raise ReadError.at(path, number, f"column {column!r} holds no text")
        yield Document(f"{stem}:{number}" if given in (None, "") else str(given), text)


def _of_csv(path: Path, delimiter: str) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a CSV file with a header, each with the number of its line."""
    csv.field_size_limit(2**31 - 1)
    with unpacked(path) as stream:
        reader = csv.reader(TextIOWrapper(stream, "utf-8-sig", newline=""), delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            if len(set(header)) < len(header):
                raise ReadError.at(path, 1, "two columns have the same name")
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise ReadError.at(path, reader.line_num, f"{len(cells)} cells under a header of {len(header)}")
                yield reader.line_num, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise ReadError.at(path, reader.line_num, str(error)) from None
        except UnicodeDecodeError:  # not chained: it carries the text
            raise ReadError.at(path, reader.line_num + 1, "not UTF-8") from None


def _of_parquet(path: Path) -> Iterator[tuple[int, Row]]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (ArrowException, OSError):
        raise ReadError(f"{path}: it is no Parquet file, or a damaged one") from None


def _of_saved(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a folder that `datasets` saved, those of all its splits."""
    from datasets import DatasetDict, load_from_disk

    found = load_from_disk(str(path))
    parts = found.values() if isinstance(found, DatasetDict) else (found,)
    yield from enumerate((row for part in parts for row in part), 1)


_TABLES: dict[str, Callable[[Path], Iterator[tuple[int, Row]]]] = {
    "csv": lambda path: _of_csv(path, ","), "tsv": lambda path: _of_csv(path, "\t"), "parquet": _of_parquet, "hf": _of_saved,
}  # fmt: skip


def _qualified(name: str, stem: str, document: Document) -> Document:
    whole = name if document.id == stem else f"{name}:{document.id}"
    return replace(document, id=whole, group=whole if document.group == document.id else document.group)


def _short(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest())
