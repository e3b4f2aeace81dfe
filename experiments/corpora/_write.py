"""Writes documents, reads them back, and reports what the format cannot express, so that nothing is lost silently."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.corpora.labels import listed
from experiments.errors import ReadError, WriteError
from ner_programs.types import AnnotatedText, Entity

_CARRIED = {"concept": "concepts", "score": "scores", "attributes": "attributes", "provenance": "provenances"}


def checked(
    path: Path,
    documents: Sequence[AnnotatedText],
    write: Callable[[Path], None],
    read: Callable[[Path], Iterable[AnnotatedText]],
) -> tuple[str, ...]:
    """Write a file or folder with `write`, check it with `read`, and move it to `path` if texts and spans are the same.

    Returns what is lost otherwise: `concepts, not carried: 3`. Raises WriteError, and writes nothing to `path`, if a text or a
    span is lost. A file is replaced; a folder must be new or empty. The checked copy has the same name, because the format
    may depend on it.
    """
    if path.is_dir() and any(path.iterdir()):
        raise WriteError(f"{path}: the folder is not empty")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        new = Path(folder) / path.name
        try:
            write(new)
        except UnicodeEncodeError:  # not chained: it carries the text
            raise WriteError(f"{path}: a text, a label or an id has characters that UTF-8 cannot write") from None
        lost = _lost(path, documents, read(new))
        os.replace(new, path)
    return listed(lost)


def write_lines(
    documents: Iterable[AnnotatedText],
    path: Path,
    dump: Callable[[AnnotatedText], dict[str, Any]],
    read: Callable[[Path], Iterable[AnnotatedText]],
    shown: Sequence[str] = (),
) -> tuple[str, ...]:
    """Write a JSON line for each document, and check the file as `checked` does.

    The fields of entities that are `shown` are in the file for people, and not read again.
    """
    known = list(documents)

    def write(new: Path) -> None:
        with new.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(json.dumps(dump(document), ensure_ascii=False) + "\n" for document in known)

    return checked(path, without(known, shown), write, read)


def grouped(document: AnnotatedText) -> dict[str, str]:
    """Return the field `group` of a document that is not alone in its group, as all JSON forms have it."""
    return {} if document.group == document.id else {"group": document.group}


def without(documents: Iterable[AnnotatedText], fields: Sequence[str]) -> list[AnnotatedText]:
    """Return the documents without these optional fields of their entities."""
    none = dict.fromkeys(fields)
    return [replace(d, entities=tuple(replace(e, **none) for e in d.entities)) for d in documents]  # type: ignore[arg-type]


def _lost(path: Path, documents: Sequence[AnnotatedText], again: Iterable[AnnotatedText]) -> Counter[str]:
    """Count the differences. Raises WriteError if a text or a span differs."""
    lost: Counter[str] = Counter()
    found = iter(again)
    for document in documents:
        try:
            other = next(found, None)
        except ReadError:  # not shown: it names the copy
            other = None
        if other is None or other.text != document.text or _spans(other) != _spans(document):
            raise WriteError(f"{path}: the form cannot carry the text and spans of document {document.id!r}")
        lost["ids, not carried"] += other.id != document.id
        lost["groups, not carried"] += _group(other) != _group(document)
        lost["related documents, not carried"] += other.related != document.related
        for one, two in zip(_sorted(document), _sorted(other), strict=True):
            for what, plural in _CARRIED.items():
                lost[f"{plural}, not carried"] += _plain(one, what) != _plain(two, what)
    if next(found, None) is not None:
        raise WriteError(f"{path}: the form does not keep its documents apart")
    return lost


def _sorted(document: AnnotatedText) -> list[Entity]:
    return sorted(document.entities)


def _spans(document: AnnotatedText) -> list[tuple[tuple[tuple[int, int], ...], str]]:
    return [(e.fragments, e.label) for e in _sorted(document)]


def _group(document: AnnotatedText) -> str:
    return "" if document.group == document.id else document.group


def _plain(entity: Entity, what: str) -> Any:
    value = getattr(entity, what)
    return dict(value) if what == "attributes" else value
