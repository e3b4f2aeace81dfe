"""The documents to annotate, read one at a time from files, folders and globs in the forms that notes come in.

>>> inputs = Inputs.of([Path("notes/"), Path("more.csv.gz")], column="report")        # doctest: +SKIP
>>> inputs.check().documents                                                          # doctest: +SKIP
1204

A suffix names the form (`FORMS`; `.gz` and `.zst` after it are unpacked), a `form` overrules it: text, jsonl, csv, tsv,
parquet, hf (a folder that `datasets` saved), or any reader of `experiments/corpora`. A text file is one document.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from glob import glob, has_magic
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from experiments.corpora import suffixes
from experiments.corpora.packed import bare, unpacked
from experiments.errors import ReadError, SpecError
from ner_programs.components import module, names
from ner_programs.types import Document

FORMS = {
    ".txt": "text", ".text": "text", ".md": "text", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    **suffixes.CORPORA,
}  # fmt: skip
TABLES = ("csv", "tsv", "parquet", "hf")
CORPORA = "experiments.corpora"
_ROWS = 256
_SAVED = ("state.json", "dataset_dict.json")  # what `datasets` puts into a folder
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """How many documents there are, a digest of their ids and texts, and ids that need their file's path before them."""

    documents: int
    digest: str
    shared: frozenset[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files with their forms; iterating reads the documents anew, one at a time."""

    files: tuple[tuple[Path, str], ...]
    column: str | None = None
    shared: frozenset[str] = field(default=frozenset(), repr=False)

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
        taken = [_place(place) for out in outputs for place in (out, out.with_name(f"{out.name}.work"))]
        files = tuple(dict.fromkeys(found for path in paths for found in _files(path, form, taken)))
        if column is not None and not any(kind in TABLES for _, kind in files):
            raise SpecError(f"--column {column}: none of the inputs is a table ({', '.join(TABLES)})")
        return cls(files, column)

    def check(self) -> Check:
        """Read everything once, so that what cannot be read is known before anything is asked.

        Ids that documents of several files have are `shared`. Raises ReadError where an id is twice in one file.
        """
        digest, number = hashlib.sha256(), 0
        before, here, shared, file = set[int](), set[int](), set[str](), None
        for path, document in self._found():
            number += 1
            digest.update(
                f"{len(document.id)} {len(document.text)} {document.id}{document.text}".encode("utf-8", "replace")
            )
            if path != file:
                before |= here
                here, file = set(), path
            short = _short(document.id)
            if short in here:
                raise ReadError(f"{path}: several documents have the id {document.id!r}: they could not be told apart")
            if short in before:
                shared.add(document.id)
            here.add(short)
        return Check(number, digest.hexdigest(), frozenset(shared))

    def __iter__(self) -> Iterator[Document]:
        for path, document in self._found():
            yield _qualified(path, document) if document.id in self.shared else document

    def _found(self) -> Iterator[tuple[Path, Document]]:
        for path, form in self.files:
            for document in _documents(path, form, self.column):
                yield path, document


def _files(path: Path, form: str, taken: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield the files that a path stands for, each with its form, but for those at or below a place that is `taken`."""
    if _below(_place(path), taken):
        raise SpecError(f"{path}: it is an output of this command, so it can be no input")
    if path.is_dir():
        saved = any((path / name).is_file() for name in _SAVED)
        if form in ("brat", "hf") or (form == "auto" and saved):
            yield path, "hf" if saved else form
            return
        inside = (f for f in _inside(path, taken) if f.is_file())
        found = [(f, kind if form == "auto" else form) for f in inside if (kind := _form(f))]
        if not found:
            raise ReadError(f"{path}: no file in it has a suffix of these: {', '.join(FORMS)}")
        yield from found
    elif path.is_file():
        kind = _form(path) if form == "auto" else form
        if kind is None:
            raise ReadError(f"{path}: its suffix is none of {', '.join(FORMS)} (or .gz, .zst after one); say --format")
        yield path, kind
    elif has_magic(str(path)) and (places := sorted(glob(str(path), recursive=True))):
        for place in map(Path, places):
            if not _below(_place(place), taken):
                yield from _files(place, form, taken)
    else:
        raise ReadError(f"{path}: there is no such file")


def _inside(folder: Path, taken: Sequence[Path]) -> Iterator[Path]:
    """Yield what lies in a folder and below, sorted, but for what is hidden or `taken`."""
    root = folder.resolve()
    taken = [place for place in taken if root in place.parents]
    for path in sorted(folder.rglob("*")):
        steps = path.relative_to(folder)
        if not any(step.startswith(".") for step in steps.parts) and not (taken and _below(root / steps, taken)):
            yield path


def _place(path: Path) -> Path:
    """Return where a file or folder lies, however that was typed; a link is a place of its own."""
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def _below(place: Path, taken: Iterable[Path]) -> bool:
    return any(place.is_relative_to(other) for other in taken)


def _form(path: Path) -> str | None:
    """Return the form that a file's suffix names."""
    return FORMS.get(bare(path).suffix.lower())


def _documents(path: Path, form: str, column: str | None) -> Iterator[Document]:
    if form == "text":
        with unpacked(path) as stream:
            try:
                yield Document(_stem(path), stream.read().decode("utf-8"))
            except UnicodeDecodeError:  # not chained: it carries the text
                raise ReadError(f"{path}: not UTF-8") from None
    elif form in TABLES:
        yield from _of_table(path, _TABLES[form](path), column)
    else:
        yield from module(CORPORA, form).read(path)


def _of_table(path: Path, rows: Iterable[tuple[int, Row]], column: str | None) -> Iterator[Document]:
    """Yield a document for each row: its text in `column`, its id in a column `id`, else its number."""
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
        yield Document(f"{_stem(path)}:{number}" if given in (None, "") else str(given), text)


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


def _stem(path: Path) -> str:
    return bare(path).stem


def _qualified(path: Path, document: Document) -> Document:
    name = str(path) if document.id == _stem(path) else f"{path}:{document.id}"
    return replace(document, id=name, group=name if document.group == document.id else document.group)


def _short(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest())
