"""Reads BioC XML: documents of passages (or sentences) with offsets, and annotations with one or more locations.

The text of a document is its passages, with as many blanks between them as their offsets leave room for: title, one blank,
abstract. The infon `type` is the label, `identifier` (or `MESH`) the concept; other infons are attributes. Offsets are
characters, from the start of the document or of the passage.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from experiments.corpora._mismatch import Claim, Found
from experiments.corpora._reader import Options, corpus_from, reader, reads
from experiments.corpora._write import checked
from experiments.corpora._xml import elements, line_of
from experiments.corpora.corpus import Corpus
from experiments.corpora.labels import concept_id
from experiments.errors import ReadError, WriteError
from ner_programs.types import AnnotatedText, Entity

_TYPE, _CONCEPTS = "type", ("identifier", "MESH")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Stretch(Claim):
    """An annotation. A discontinuous one with a different text is left out."""

    @property
    def pardon(self) -> str:
        """The remark for such an annotation."""
        return "annotations in pieces with another text, ignored" if len(self.spans) > 1 else ""


@reader
def build(*, path: Path, data: Path, options: Options) -> Corpus:
    """Read a file, a folder or a glob."""
    return corpus_from(find, path, data, options)


def find(path: Path, remarks: Counter[str]) -> Iterator[Found]:
    """Yield the documents of a file; `remarks` counts what is ignored. ReadError names file and line."""
    for element in elements(path, "collection", "document"):
        yield _document(path, element, remarks)


read = reads(find)


def _document(path: Path, element: Element, remarks: Counter[str]) -> Found:
    name = element.findtext("id")
    if not name:
        raise ReadError.at(path, line_of(element), "a document without an id")
    pieces: list[tuple[int, str]] = []
    annotations: list[tuple[Element, tuple[int, int]]] = []  # with the passages to look in first
    for passage in element.findall("passage"):
        first = len(pieces)
        for holder in [passage] if passage.find("text") is not None else passage.findall("sentence"):
            pieces.append((_number(path, holder, holder.findtext("offset")), holder.findtext("text") or ""))
        annotations += [(a, (first, len(pieces))) for a in passage.iter("annotation")]
    annotations += [(a, (0, 0)) for a in element.findall("annotation")]
    if relations := sum(1 for _ in element.iter("relation")):
        remarks["relations, ignored"] += relations
    claims = tuple(claim for a, own in annotations if (claim := _claim(path, a, own, remarks)))
    infons = element.findall("infon")
    groups = [i.text for i in infons if i.get("key") == "group" and i.text]
    related = tuple(i.text or "" for i in infons if i.get("key") == "related")
    return Found(name, tuple(pieces), claims, groups[0] if groups else "", related)


def _claim(path: Path, annotation: Element, own: tuple[int, int], remarks: Counter[str]) -> Claim | None:
    """Return the claim of an annotation; None (with a remark) if it has no location."""
    if annotation.find("location") is None:
        remarks["annotations without a location, ignored"] += 1
        return None
    infons = {i.get("key", ""): i.text or "" for i in annotation.findall("infon")}
    label = infons.pop(_TYPE, "")
    if not label:
        raise ReadError.at(path, line_of(annotation), "an annotation without an infon `type`")
    named = [infons.pop(key) for key in _CONCEPTS if key in infons]
    spans: list[tuple[int, int]] = []
    for location in annotation.findall("location"):
        offset = _number(path, location, location.get("offset"))
        spans.append((offset, offset + _number(path, location, location.get("length"))))
    rest = {"concept": concept_id(named[0]) if named else None, "attributes": infons}
    where = partial(ReadError.at, path, line_of(annotation))
    return _Stretch(where, sorted(spans), label, annotation.findtext("text"), rest, own=own)


def _number(path: Path, element: Element, text: str | None) -> int:
    if not re.fullmatch(r"\s*[0-9]{1,12}\s*", text or ""):
        raise ReadError.at(path, line_of(element), f"<{element.tag}> needs an offset (and a location a length)")
    return int(text or "")


def refused(document: AnnotatedText) -> str | None:
    """Return why `write` refuses a document, whatever its entities are: a character that XML cannot hold."""
    if _NO_XML.search(f"{document.id}{document.text}"):
        return f"document {document.id!r} has a character that XML cannot hold"
    return None


def write(documents: Iterable[AnnotatedText], path: Path) -> tuple[str, ...]:
    """Write one file, each document as one passage. Return what the format cannot express (scores, provenances).

    Raises WriteError for a document with a character that XML cannot have.
    """
    known = list(documents)

    def write_to(new: Path) -> None:
        with new.open("w", encoding="utf-8", newline="") as stream:
            stream.write('<?xml version="1.0" encoding="UTF-8"?>\n<collection>\n<source/><date/><key/>\n')
            stream.writelines(_dump(path, document) for document in known)
            stream.write("</collection>\n")

    return checked(path, known, write_to, read)


def _dump(path: Path, document: AnnotatedText) -> str:
    about = [("group", document.group)] if document.group != document.id else []
    about += [("related", other) for other in document.related]
    annotations = "".join(_annotation(number, entity) for number, entity in enumerate(document.entities))
    dumped = (
        f"<document>\n{_tag('id', document.id)}{_infons(about)}<passage>\n"
        f"<offset>0</offset>\n{_tag('text', document.text)}{annotations}</passage>\n</document>\n"
    )
    if _NO_XML.search(dumped):
        raise WriteError(f"{path}: document {document.id!r} has a character that XML cannot hold")
    return dumped


def _annotation(number: int, entity: Entity) -> str:
    about = [("type", entity.label)] + ([("identifier", entity.concept)] if entity.concept else [])
    about += entity.attributes.items()
    locations = "".join(f'<location offset="{start}" length="{end - start}"/>\n' for start, end in entity.fragments)
    return f'<annotation id="{number}">\n{_infons(about)}{locations}{_tag("text", entity.text)}</annotation>\n'


def _infons(about: list[tuple[str, str]]) -> str:
    return "".join(f"<infon key={quoteattr(key)}>{_text(value)}</infon>\n" for key, value in about)


def _tag(name: str, text: str) -> str:
    return f"<{name}>{_text(text)}</{name}>\n"


def _text(text: str) -> str:
    return escape(text, {"\r": "&#13;"})
