"""Reads and writes PubTator files: `id|t|title`, `id|a|abstract`, then a tab-separated line for each mention.

The text of a document is title, one blank, abstract; so all offsets of NCBI Disease and BC5CDR are exact. Further lines of an
abstract, and further sections (`id|m|methods`), are appended in the same way. The sixth column is the concept: `D1+D2` is a
composite; `D1|D2` are alternatives, or the parts of a composite mention, whose names are in the seventh column.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from experiments.corpora._files import lines
from experiments.corpora._mismatch import Claim, Found, Spans
from experiments.corpora._reader import Options, corpus_from, reader, reads
from experiments.corpora._write import checked
from experiments.corpora.corpus import Corpus
from experiments.corpora.labels import concept_id
from experiments.errors import ReadError, WriteError
from ner_programs.types import AnnotatedText

_TEXT = re.compile(r"([^|\t]+)\|([A-Za-z]\w{0,19})\|(.*)")


class _Mention(Claim):
    """A mention line. Blanks around the surface are not part of it."""

    def fits(self, text: str, spans: Spans) -> bool:
        """Return whether the surface equals the text, ignoring blanks around both."""
        surface, found = (self.surface or "").strip(), text[spans[0][0] : spans[0][1]].strip()
        return surface == found and bool(found)

    def shaped(self, text: str, spans: Spans, remarks: Counter[str]) -> Spans:
        """Return the span without the blanks around it."""
        (start, end) = spans[0]
        found = text[start:end]
        return ((start + len(found) - len(found.lstrip()), end - len(found) + len(found.rstrip())),)


@reader
def build(*, path: Path, data: Path, options: Options) -> Corpus:
    """Read a file, a folder or a glob."""
    return corpus_from(find, path, data, options)


def find(path: Path, remarks: Counter[str]) -> Iterator[Found]:
    """Yield each document of a file once; `remarks` counts what is dropped. Raises ReadError with file and line."""
    seen: dict[str, Found] = {}
    for first, document in _documents(path, remarks):
        before = seen.setdefault(document.id, document)
        if before is document:
            yield document
        elif before == document:
            remarks["identical copies of a document, dropped"] += 1
        else:
            raise ReadError.at(path, first, f"document {document.id} was here before, with another text or annotation")


read = reads(find)


def refused(document: AnnotatedText) -> str | None:
    """Return why `write` refuses a document, whatever its entities are: its id, or line ends in its text."""
    if not re.fullmatch(r"(?!\ufeff)[^|\t\n\r]+", document.id):
        return f"{document.id!r} can be no id there"
    if re.search(r"[\n\r]", document.text):
        return f"document {document.id!r} has line ends in its text"
    return None


def write(documents: Iterable[AnnotatedText], path: Path) -> tuple[str, ...]:
    """Write one file. Return what the format cannot express (groups, scores, attributes ...).

    The title ends with the first sentence, or at the first blank. Raises WriteError for a document whose text has line ends,
    whose id is invalid or not unique, or that has a discontinuous entity.
    """
    known = list(documents)
    seen: set[str] = set()
    for document in known:
        if why := refused(document):
            raise WriteError(f"{path}: {why}")
        if document.id in seen:
            raise WriteError(f"{path}: {document.id!r} is the id of two documents")
        if any(len(e.fragments) > 1 for e in document.entities):
            raise WriteError(f"{path}: document {document.id!r} has an entity in pieces")
        seen.add(document.id)

    def write_to(new: Path) -> None:
        with new.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(f"{line}\n" for document in known for line in _written(document))

    return checked(path, known, write_to, read)


def _written(document: AnnotatedText) -> Iterator[str]:
    """Yield the lines of a document and the blank line after it."""
    text = document.text
    cut = text.find(". ") + 1 or text.find(" ")
    yield f"{document.id}|t|{text[:cut] if cut >= 0 else text}"
    if cut >= 0:
        yield f"{document.id}|a|{text[cut + 1 :]}"
    for e in document.entities:
        yield "\t".join((document.id, str(e.start), str(e.end), e.text, e.label, e.concept or ""))
    yield ""


@dataclass
class _Open:
    """The document that is being read."""

    id: str
    line: int
    sections: list[str]
    claims: list[Claim] = field(default_factory=list)

    def closed(self) -> Iterator[tuple[int, Found]]:
        """Yield the document with its first line."""
        yield self.line, Found(self.id, ((0, " ".join(self.sections)),), tuple(self.claims))


def _documents(path: Path, remarks: Counter[str]) -> Iterator[tuple[int, Found]]:
    """Yield documents with their first lines. Blank lines may be anywhere."""
    now: _Open | None = None
    in_text = False  # whether the previous line belongs to a section, which may continue
    for number, line in lines(path):
        heading = _TEXT.fullmatch(line)
        if heading and heading[2] == "t":
            if now:
                yield from now.closed()
            now = _Open(heading[1], number, [heading[3]])
        elif not line.strip():
            in_text = False
            continue
        elif now and in_text and not heading and "\t" not in line:
            now.sections[-1] += f" {line}"
        elif now is None or re.split(r"[|\t]", line, maxsplit=1)[0] != now.id:
            raise ReadError.at(path, number, "the line belongs to no document that a line `id|t|title` has begun")
        elif heading and not now.claims:
            now.sections.append(heading[3])
        elif heading:
            raise ReadError.at(path, number, f"document {now.id} has an abstract already, and mentions of it")
        else:
            now.claims.extend(_annotation(path, number, line, remarks))
        in_text = heading is not None or (in_text and "\t" not in line)
    if now:
        yield from now.closed()


def _annotation(path: Path, number: int, line: str, remarks: Counter[str]) -> Iterator[Claim]:
    """Yield the mention of a line `id, start, end, text, type[, concept, ...]`; count relations, `id, CID, ...`."""
    columns = line.split("\t")
    if len(columns) in (4, 5) and not any(column.strip().lstrip("-").isdecimal() for column in columns[1:3]):
        remarks["relation lines, ignored"] += 1
        return
    try:
        span, mention, label = (int(columns[1]), int(columns[2])), columns[3], columns[4].strip()
    except (IndexError, ValueError):
        raise ReadError.at(path, number, "expected id, start, end, text, type and perhaps concept, by tabs") from None
    if not label:
        raise ReadError.at(path, number, "the mention has no type")
    if len(columns) > 6 and columns[6].strip():
        remarks["names of the parts of composite mentions, ignored"] += 1
    concept = concept_id(columns[5]) if len(columns) > 5 else None
    yield _Mention(partial(ReadError.at, path, number), (span,), label, mention, {"concept": concept}, "the mention")
