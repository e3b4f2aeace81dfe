"""PubTator files: `id|t|title`, `id|a|abstract`, then a tab-separated line per mention.

The text of a document is title, one blank, abstract: with it all offsets of NCBI Disease and BC5CDR are exact.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from experiments._errors import ReadError
from experiments.corpora._base import Corpus, entity_from, in_order
from experiments.corpora._files import lines, locate, read_parts
from experiments.corpora._split import Split
from experiments.corpora._types import concept_id, listed, select
from ner_programs.types import Document, Entity

_TEXT = re.compile(r"([^|\t]+)\|([ta])\|(.*)")


def build(
    *,
    path: Path,
    data: Path,
    private: bool = True,
    split: Split | None = None,
    types: dict[str, str] | list[str] | None = None,
) -> Corpus:
    """Read a folder with train.*, dev.* and test.*, or one file that `split` cuts up.

    `types` lists the annotation types to keep, or maps them to labels: `{ SpecificDisease = "Disease" }`.
    """
    path = locate(path, data)
    remarks: Counter[str] = Counter()
    parts = read_parts(path, partial(read, remarks=remarks), split)
    kept = in_order(select(parts, types) if types else parts)
    return Corpus(path.stem, *kept, private=private, remarks=listed(remarks))


def read(path: Path, remarks: Counter[str]) -> Iterator[Document]:
    """Yield the documents of a file once each; `remarks` counts what was dropped. ReadError names file and line."""
    seen: dict[str, Document] = {}
    for first, document in _documents(path, remarks):
        before = seen.setdefault(document.id, document)
        if before is document:
            yield document
        elif (before.text, before.entities) == (document.text, document.entities):
            remarks["identical copies of a document, dropped"] += 1
        else:
            raise ReadError.at(path, first, f"document {document.id} was here before, with another text or annotation")


@dataclass
class _Open:
    """The document that is being read."""

    id: str
    line: int
    title: str = ""
    abstract: str | None = None
    entities: list[Entity] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.title if self.abstract is None else f"{self.title} {self.abstract}"


def _documents(path: Path, remarks: Counter[str]) -> Iterator[tuple[int, Document]]:
    """Yield documents with the line they begin at; blank lines may stand anywhere."""
    now: _Open | None = None
    for number, line in lines(path):
        heading = _TEXT.fullmatch(line)
        if heading and heading[2] == "t":
            if now:
                yield now.line, Document(now.id, now.text, tuple(now.entities))
            now = _Open(heading[1], number, heading[3])
        elif not line.strip():
            continue
        elif now is None or re.split(r"[|\t]", line, maxsplit=1)[0] != now.id:
            raise ReadError.at(path, number, "the line belongs to no document that a line `id|t|title` has begun")
        elif heading:
            now.abstract = heading[3]
        else:
            _annotation(path, number, line, now, remarks)
    if now:
        yield now.line, Document(now.id, now.text, tuple(now.entities))


def _annotation(path: Path, number: int, line: str, now: _Open, remarks: Counter[str]) -> None:
    """Add the mention of a line `id, start, end, text, type[, concept, ...]`; count relations, `id, CID, ...`."""
    columns = line.split("\t")
    if len(columns) == 4 and not columns[1].strip().isdecimal():
        remarks["relation lines, ignored"] += 1
        return
    try:
        start, end = int(columns[1]), int(columns[2])
        mention, label = columns[3], columns[4].strip()
    except (IndexError, ValueError):
        raise ReadError.at(path, number, "expected id, start, end, text, type and perhaps concept, by tabs") from None
    found = now.text[max(start, 0) : end]
    if not label or not found.strip() or len(found) != end - start or found.strip() != mention.strip():
        raise ReadError.at(path, number, f"the mention is not what lies at {start}..{end} of document {now.id}")
    start, end = start + len(found) - len(found.lstrip()), end - len(found) + len(found.rstrip())
    concept = concept_id(columns[5]) if len(columns) > 5 else None
    now.entities.append(entity_from(now.text, [(start, end)], label, concept=concept))
