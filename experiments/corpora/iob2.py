"""IOB2 files: a token and its tag on a line, a blank line after each sentence.

Every sentence is a document; its text is its tokens joined by one blank. `-DOCSTART-` lines say where abstracts or
notes begin: then the sentences of one are a group. Without them the lines around a sentence are its `related`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from experiments._errors import ReadError
from experiments.corpora._base import Corpus, in_order
from experiments.corpora._files import lines, locate, part_files
from ner_programs.types import Document, Entity

NEIGHBOURS = 12  # sentences on each side: an abstract has about ten


def build(*, path: Path, data: Path, private: bool = True, repair: bool = False) -> Corpus:
    """Read a folder with train.*, dev.* and test.*; with `repair` an I- tag that continues nothing begins an entity."""
    files = part_files(locate(path, data))
    parts = {part: read(file, repair=repair) for part, file in files.items()}
    known = any(d.group != d.id for documents in parts.values() for d in documents)
    return Corpus(
        path.name,
        *in_order(parts),
        unit="document",
        private=private,
        resampling="document" if known else "sentence",
    )


def read(path: Path, *, repair: bool = False) -> tuple[Document, ...]:
    """Return the sentences of one file, called `train:1`, `train:2` ... after it; ReadError names file and line."""
    part = path.name.partition(".")[0]
    sentences: list[Document] = []
    for number, (abstract, rows) in enumerate(_sentences(path), 1):
        group = f"{part}:document-{abstract}" if abstract else ""
        sentences.append(_document(path, f"{part}:{number}", group, rows, repair))
    ids = [s.id for s in sentences]
    return tuple(replace(s, related=_related(i, ids, sentences)) for i, s in enumerate(sentences))


Row = tuple[int, str, str, str]  # line, token, B | I | O, label


def _sentences(path: Path) -> Iterator[tuple[int, list[Row]]]:
    """Yield each sentence's rows with the number of its document (0 where the file names none)."""
    abstract, rows = 0, list[Row]()
    for number, line in lines(path):
        boundary = line.startswith("-DOCSTART-")
        if line.strip() and not boundary:
            rows.append(_row(path, number, line))
            continue
        if rows:
            yield abstract, rows
            rows = []
        abstract += boundary
    if rows:
        yield abstract, rows


def _row(path: Path, number: int, line: str) -> Row:
    columns = line.split("\t") if "\t" in line else re.split(" +", line.strip(" "))
    if len(columns) != 2 or not columns[0]:
        raise ReadError.at(path, number, f"expected a token and a tag, found {len(columns)} columns")
    token, tag = columns[0], columns[1].strip()
    prefix, _, label = tag.partition("-")
    if tag != "O" and not (prefix in ("B", "I") and label):
        raise ReadError.at(path, number, "the tag is none of O, B-<label>, I-<label>")
    return number, token, prefix, label


def _document(path: Path, name: str, group: str, rows: list[Row], repair: bool) -> Document:
    """Join the tokens by one blank and turn the tags into entities."""
    text = " ".join(token for _, token, _, _ in rows)
    spans: list[tuple[int, int, str]] = []
    offset, before = 0, ""  # the label of the token before; "" after O
    for number, token, prefix, label in rows:
        end = offset + len(token)
        if prefix == "I" and label == before:
            spans[-1] = (spans[-1][0], end, label)
        elif prefix == "B" or (prefix == "I" and repair):
            spans.append((offset, end, label))
        elif prefix == "I":
            raise ReadError.at(path, number, f"I-{label} continues no {label}; `repair = true` lets it begin one")
        offset, before = end + 1, label
    return Document(name, text, tuple(Entity.of(text, *span) for span in spans), group)


def _related(i: int, ids: list[str], sentences: list[Document]) -> tuple[str, ...]:
    """Return the other sentences of the document, or where documents are not known the lines around."""
    group = sentences[i].group
    if group == ids[i]:
        return tuple(ids[max(0, i - NEIGHBOURS) : i] + ids[i + 1 : i + 1 + NEIGHBOURS])
    first = last = i
    while first and sentences[first - 1].group == group:
        first -= 1
    while last + 1 < len(ids) and sentences[last + 1].group == group:
        last += 1
    return tuple(ids[first:i] + ids[i + 1 : last + 1])
