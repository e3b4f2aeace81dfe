"""BRAT folders: a text in x.txt, its annotation in x.ann.

Offsets are characters of the file as it lies there: line ends are not translated, and a BOM counts as a character (as
in BRAT) unless only without it the offsets fit. Entities may be discontinuous, overlap, and stand in any order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from experiments._errors import ReadError
from experiments.corpora._base import PARTS, Corpus, entity_from, in_order
from experiments.corpora._files import lines, locate
from experiments.corpora._split import Split
from experiments.corpora._types import concept_id, listed
from ner_programs.types import Document, Entity

Fragments = tuple[tuple[int, int], ...]
_IGNORED = {"E": "events", "R": "relations", "A": "attributes", "M": "attributes", "*": "relations", "#": "notes"}


class _Span(NamedTuple):
    line: int
    id: str
    label: str
    fragments: Fragments
    text: str


def build(*, path: Path, data: Path, private: bool = True, split: Split | None = None) -> Corpus:
    """Read a folder with sub-folders train, dev and test, or a flat one that `split` cuts up.

    With `by = "patient"` the patient is the file name before its first "_" or "-": p17 of p17_discharge.txt. Without it
    each document is on its own.
    """
    path = locate(path, data)
    remarks: Counter[str] = Counter()
    folders = {part: path / part for part in PARTS if (path / part).is_dir()}
    if folders and split:
        raise ReadError(f"{path}: the sub-folders already say the split; leave `split` away")
    if folders:
        parts = {part: tuple(read(folder, remarks)) for part, folder in folders.items()}
    else:
        split = split or Split()
        parts = split.parts(tuple(read(path, remarks, by_patient=split.by in ("group", "patient"))))
    return Corpus(path.name, *in_order(parts), private=private, remarks=listed(remarks))


def read(folder: Path, remarks: Counter[str], *, by_patient: bool = False) -> Iterator[Document]:
    """Yield the documents of a folder by name; `remarks` counts what is ignored. ReadError names file and line."""
    texts, annotations = ({file.stem: file for file in folder.glob(f"*.{end}")} for end in ("txt", "ann"))
    for name in sorted(texts.keys() ^ annotations.keys()):
        file, lacking = (texts[name], "ann") if name in texts else (annotations[name], "txt")
        raise ReadError(f"{file}: there is no {name}.{lacking} beside it")
    if not texts:
        raise ReadError(f"{folder}: there is no .txt file, and no sub-folder train, dev or test")
    for name in sorted(texts):
        group = re.split("[_-]", name, maxsplit=1)[0] if by_patient else ""
        yield _document(texts[name], annotations[name], group, remarks)


def _document(file: Path, annotation: Path, group: str, remarks: Counter[str]) -> Document:
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:  # not chained: it carries the text
        line = error.object[: error.start].count(b"\n") + 1
        raise ReadError.at(file, line, "not UTF-8") from None
    spans, concepts = _annotation(annotation, remarks)
    if text.startswith("\ufeff") and not all(_fits(text, s) for s in spans) and all(_fits(text[1:], s) for s in spans):
        text = text[1:]
    entities = tuple(_entity(annotation, text, span, concepts.get(span.id)) for span in spans)
    return Document(file.stem, text, entities, group)


def _annotation(path: Path, remarks: Counter[str]) -> tuple[list[_Span], dict[str, str]]:
    """Return the T lines, and the concepts that N lines (`N1  Reference T1 MeSH:D1`) give by id of the T line."""
    spans: list[_Span] = []
    concepts: dict[str, list[str]] = {}
    for number, line in lines(path):
        kind = line[:1]
        if kind == "T":
            spans.append(_span(path, number, line))
        elif kind == "N":
            reference = line.partition("\t")[2].partition("\t")[0].split()
            if len(reference) != 3:
                raise ReadError.at(path, number, "expected `N<n>`, a tab, `Reference T<n> <concept>`")
            concepts.setdefault(reference[1], []).append(reference[2])
        elif kind in _IGNORED:
            remarks[f"{_IGNORED[kind]}, ignored"] += 1
        elif line.strip():
            raise ReadError.at(path, number, "the line begins with none of T, N, E, R, A, M, * and #")
    known = {name: concept_id("|".join(ids)) for name, ids in concepts.items()}
    return spans, {name: concept for name, concept in known.items() if concept}


def _span(path: Path, number: int, line: str) -> _Span:
    name, _, rest = line.partition("\t")
    place, tab, text = rest.partition("\t")
    label, _, offsets = place.strip().partition(" ")
    if not tab or not re.fullmatch(r"\d+ +\d+(;\d+ +\d+)*", offsets):
        raise ReadError.at(path, number, "expected `T<n>`, a tab, `<label> <start> <end>[;<start> <end>]`, a tab, text")
    pieces = [piece.split() for piece in offsets.split(";")]
    return _Span(number, name, label, tuple((int(start), int(end)) for start, end in pieces), text)


def _fits(text: str, span: _Span) -> bool:
    """Whether the pieces of the text, joined by a blank, are what the line says; line ends in it may be blanks there.

    BRAT may add a tab and more text after the annotated one.
    """
    found = " ".join(text[start:end] for start, end in span.fragments)
    if span.text == found or span.text.startswith(found + "\t"):
        return span.fragments[-1][1] <= len(text)
    return re.search("[\r\n]", found) is not None and span.text.split() == found.split()


def _entity(path: Path, text: str, span: _Span, concept: str | None) -> Entity:
    """Build the entity; pieces that only blanks part are one, for so BRAT writes a span over a line end."""
    if not _fits(text, span):
        raise ReadError.at(path, span.line, f"the text of {span.id} is not what lies at its offsets")
    pieces = [span.fragments[0]]
    for (_, before), (start, end) in pairwise(span.fragments):
        joined = before <= start and not text[before:start].strip()
        pieces[-1:] = [(pieces[-1][0], end)] if joined else [pieces[-1], (start, end)]
    try:
        return entity_from(text, pieces, span.label, concept=concept)
    except ValueError as error:
        raise ReadError.at(path, span.line, str(error)) from None
