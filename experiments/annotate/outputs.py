"""Annotations in the form that an output's name asks for: as documents, or as a table with one row for each entity."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from experiments.annotate.work import mark_of
from experiments.corpora import jsonl, suffixes
from experiments.corpora.closed import write_corpus
from experiments.errors import SpecError
from kb.files import draft_of
from ner_programs.attributes import names
from ner_programs.privacy import Privacy
from ner_programs.types import Document

FORMS = {
    **suffixes.CORPORA, ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".label_studio.json": "label_studio",
    ".doccano.jsonl": "doccano", ".prodigy.jsonl": "prodigy", ".spacy": "spacy", "": "brat",
}  # fmt: skip
COLUMNS = ("document", "start", "end", "label", "text", "score", "concept", "provenance", "attributes")
_ROWS = 10_000


def form_of(out: Path) -> str:
    """Return the form that the name of an output asks for. Raises SpecError for no form, or a place that is taken."""
    form = FORMS.get("".join(out.suffixes[-2:]).lower()) or FORMS.get(out.suffix.lower())
    if form is None:
        raise SpecError(
            f"--out {out}: its suffix must be one of {', '.join(filter(None, FORMS))}, or none for a BRAT folder"
        )
    if form == "spacy" and find_spec("spacy") is None:
        raise SpecError(f"--out {out}: it needs spaCy: pip install 'nerc[spacy]'")
    if not out.absolute().parent.is_dir():
        raise SpecError(f"--out {out}: there is no folder {out.absolute().parent}")
    if out.is_dir() and not (form == "brat" and _may_be_replaced(out)):
        raise SpecError(f"--out {out}: it is a folder; name a file, or for BRAT a folder that is new or empty")
    return form


def _may_be_replaced(folder: Path) -> bool:
    """Return whether a folder is empty, or as an annotation left it that is unfinished."""
    mark = mark_of(folder)
    return not any(folder.iterdir()) or (mark.is_file() and mark.read_text() == _stamp(folder))


def _stamp(folder: Path) -> str:
    """Return what changes if somebody changes a file of a folder, adds one, or removes one."""
    about = sorted((file.name, (s := file.stat()).st_size, s.st_mtime_ns) for file in folder.iterdir())
    return hashlib.sha256(repr(about).encode()).hexdigest()


def write(finished: Path, out: Path, form: str, privacy: Privacy, *, by: str = "nerc") -> tuple[str, ...]:
    """Write the documents of a file of JSON lines to `out`; return what the form does not carry. `by` names who found them.

    A table has character offsets, end exclusive, and no row for a document without entities. `privacy` says who can read
    it. Raises WriteError where a form cannot carry a text or a span.
    """
    if form in ("jsonl", "spacy", *_TABLES):
        with draft_of(out, privacy.file_mode) as draft:
            if form == "jsonl":
                shutil.copyfile(finished, draft)
            elif form == "spacy":
                _to_spacy(finished, draft)
            else:
                _TABLES[form](_rows(finished), draft)
        return ()
    more = {"by": by} if form == "label_studio" else {}
    replaces = out.is_dir() and _may_be_replaced(out)
    lost = write_corpus(form, _documents(finished), out, privacy, replaces=replaces, **more)
    if out.is_dir() and mark_of(out).parent.is_dir():
        with draft_of(mark_of(out), 0o600) as draft:
            draft.write_text(_stamp(out))
    return lost


def _documents(finished: Path) -> Iterator[Document]:
    return jsonl.read(finished)


def _to_spacy(finished: Path, to: Path) -> None:
    from experiments.annotate.spacy_pipe import write

    write(_documents(finished), to)


def _rows(finished: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each entity."""
    for document in _documents(finished):
        for e in document.entities:
            by, said = " ".join(e.provenance), " ".join(names(e.attributes))
            cells = (document.id, e.start, e.end, e.label, e.text, e.score, e.concept, by, said)
            yield dict(zip(COLUMNS, cells, strict=True))


def _to_csv(rows: Iterator[dict[str, Any]], to: Path, delimiter: str) -> None:
    with to.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def _to_parquet(rows: Iterator[dict[str, Any]], to: Path) -> None:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    kinds = {"start": pa.int64(), "end": pa.int64(), "score": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    with ParquetWriter(to, schema) as writer:
        while some := list(islice(rows, _ROWS)):
            writer.write_table(pa.Table.from_pylist(some, schema))


_TABLES: dict[str, Callable[[Iterator[dict[str, Any]], Path], None]] = {
    "csv": lambda rows, to: _to_csv(rows, to, ","), "tsv": lambda rows, to: _to_csv(rows, to, "\t"), "parquet": _to_parquet,
}  # fmt: skip
