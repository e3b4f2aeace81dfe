"""Reads BRAT folders: a text in x.txt, its annotation in x.ann.

Offsets are characters of the unchanged file: line ends are not translated, and a BOM counts as a character (as in BRAT) unless
the offsets fit only without it. Entities may be discontinuous and overlapping, in any order. A surface with a line end may be
written with a blank, in pieces, or over several lines of the .ann. Attributes (`A1  Negated T1`, `A2  Certainty T1 low`) belong
to the entity, or to the trigger of their event.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from experiments.corpora._files import lines, pairs, text_of
from experiments.corpora._mismatch import Claim, Found, Spans
from experiments.corpora._reader import Options, corpus_from, reader, reads
from experiments.corpora._write import checked
from experiments.corpora.corpus import Corpus
from experiments.corpora.labels import concept_id
from experiments.errors import ReadError, WriteError
from ner_programs.types import AnnotatedText, Entity

_LINE = re.compile(r"[TNERAM#]\d+\t|\*\t|\s*$")
_PLACE = re.compile(r"T\d+\t\S+ (\d{1,12}) (?:[\d ;]* )?(\d{1,12})\t")
_LONGEST = 255  # bytes of a file name
_IGNORED = {"E": "events", "R": "relations", "*": "relations", "#": "notes"}


class _Span(Claim):
    """A T line. BRAT may add a tab and more text after the surface, and writes a span with a line end in pieces."""

    def fits(self, text: str, spans: Spans) -> bool:
        """Return whether the pieces, joined by a blank, are the surface or its beginning."""
        found = " ".join(text[start:end] for start, end in spans)
        return (self.surface or "").startswith(found + "\t") or super().fits(text, spans)

    def shaped(self, text: str, spans: Spans, remarks: Counter[str]) -> Spans:
        """Return the pieces; those with only blanks between them are joined."""
        pieces = [spans[0]]
        for (_, before), (start, end) in pairwise(spans):
            joined = before <= start and not text[before:start].strip()
            if joined and not re.search("[\r\n]", text[before:start]):
                remarks["pieces with only blanks between them, joined"] += 1
            pieces[-1:] = [(pieces[-1][0], end)] if joined else [pieces[-1], (start, end)]
        return pieces


@reader
def build(*, path: Path, data: Path, options: Options) -> Corpus:
    """Read a folder (also with sub-folders train, dev and test), one note, or a glob.

    With `split.by = "patient"` the patient is the file name up to its first "_" or "-": p17 of p17_discharge.txt. Otherwise
    each document is its own group.
    """
    by_patient = options.split is not None and options.split.by in ("group", "patient")
    return corpus_from(partial(find, by_patient=by_patient), path, data, options, notes=".txt")


def find(place: Path, remarks: Counter[str], *, by_patient: bool = False) -> Iterator[Found]:
    """Yield the documents of a folder by name, or one; `remarks` counts what is ignored. Raises ReadError with its line."""
    for text, annotation in pairs(place, ("ann",)):
        group = re.split("[_-]", text.stem, maxsplit=1)[0] if by_patient else ""
        yield _document(text, annotation, group, remarks)


read = reads(find)


def _document(file: Path, annotation: Path, group: str, remarks: Counter[str]) -> Found:
    text = text_of(file)
    found = _annotation(annotation, text, remarks)
    claims = tuple(
        replace(span, rest={"concept": concept_id("|".join(found.concepts.get(name, ()))), "attributes": attributes})
        for name, span in found.spans.items()
        for attributes in [found.attributes.get(name, {})]
    )
    if text.startswith("\ufeff") and not _fit(text, claims) and _fit(text[1:], claims):
        text = text[1:]
    return Found(file.stem, ((0, text),), claims, group)


def _fit(text: str, claims: Sequence[Claim]) -> bool:
    return all(claim.spans[-1][1] <= len(text) and claim.fits(text, claim.spans) for claim in claims)


@dataclass
class _Annotation:
    """The content of a file: its T lines, and their concepts and attributes by the id of the T line."""

    spans: dict[str, _Span] = field(default_factory=dict)
    concepts: dict[str, list[str]] = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)


def _annotation(path: Path, text: str, remarks: Counter[str]) -> _Annotation:
    """Parse a file. N lines (`N1  Reference T1 MeSH:D1`) give concepts, A and M lines attributes."""
    found, triggers = _Annotation(), dict[str, str]()
    attributes: list[tuple[str, str, str]] = []
    for number, line in _whole_lines(path, text):
        kind, (name, _, rest) = line[:1], line.partition("\t")
        if kind == "T":
            if name in found.spans:
                raise ReadError.at(path, number, f"there is another {name}")
            found.spans[name] = _span(path, number, line)
        elif kind == "N":
            target, concept = _reference(path, number, rest)
            found.concepts.setdefault(target, []).append(concept)
        elif kind in ("A", "M"):
            attributes.append(_attribute(path, number, rest))
        elif kind in _IGNORED:
            remarks[f"{_IGNORED[kind]}, ignored"] += 1
            triggers[name] = rest.partition(" ")[0].rpartition(":")[2]
        elif line.strip():
            raise ReadError.at(path, number, "the line begins with none of T, N, E, R, A, M, * and #")
    for about, what, value in attributes:
        target = triggers.get(about, about)
        if target not in found.spans or found.attributes.setdefault(target, {}).setdefault(what, value) != value:
            remarks["attributes of something else, or with another value before, ignored"] += 1
    return found


def _whole_lines(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of an .ann file; a surface with line ends is joined with its following lines."""
    begun: tuple[int, str] | None = None
    length = 0  # characters of the surface in the text
    for number, line in lines(path):
        if begun and length > len(begun[1].rpartition("\t")[2]) and not _LINE.match(line):
            begun = begun[0], f"{begun[1]}\n{line}"
            continue
        if begun:
            yield begun
        begun, length = (number, line), 0
        if place := _PLACE.match(line):
            start, end = int(place[1]), int(place[2])
            length = end - start if re.search("[\r\n]", text[start:end]) else 0
    if begun:
        yield begun


def _reference(path: Path, number: int, rest: str) -> tuple[str, str]:
    words = rest.partition("\t")[0].split()
    if len(words) != 3:
        raise ReadError.at(path, number, "expected `N<n>`, a tab, `Reference T<n> <concept>`")
    return words[1], words[2]


def _attribute(path: Path, number: int, rest: str) -> tuple[str, str, str]:
    """Return the target, the name and the value of an attribute; the default value is "true"."""
    words = rest.split()
    if len(words) not in (2, 3):
        raise ReadError.at(path, number, "expected `A<n>`, a tab, `<attribute> T<n> [<value>]`")
    return words[1], words[0], (*words, "true")[2]


def _span(path: Path, number: int, line: str) -> _Span:
    name, _, rest = line.partition("\t")
    place, tab, text = rest.partition("\t")
    label, _, offsets = place.strip().partition(" ")
    if not tab or not re.fullmatch(r"\d{1,12} +\d{1,12}(;\d{1,12} +\d{1,12})*", offsets):
        raise ReadError.at(path, number, "expected `T<n>`, a tab, `<label> <start> <end>[;<start> <end>]`, a tab, text")
    pieces = [piece.split() for piece in offsets.split(";")]
    spans = tuple((int(start), int(end)) for start, end in pieces)
    return _Span(partial(ReadError.at, path, number), spans, label, text, what=f"the text of {name}")


def refused(document: AnnotatedText) -> str | None:
    """Return why `write` refuses a document, whatever its entities are: its id is no file name."""
    file = f"{document.id}.txt"
    if (
        Path(file).stem != document.id
        or re.search(r"[\x00/\\]", file)
        or len(file.encode("utf-8", "replace")) > _LONGEST
    ):
        return f"{document.id!r} can be no file name"
    return None


def write(documents: Iterable[AnnotatedText], path: Path) -> tuple[str, ...]:
    """Write a new folder with two files for each document. Return what the format cannot express.

    Concepts become N lines, attributes A lines. Raises WriteError for a document whose id is not a file name or is not unique,
    or whose entities cannot be written: a label with blanks, pieces with only blanks between them.
    """
    known = sorted(documents, key=lambda d: d.id)
    for document, following in pairwise((*known, None)):
        assert document is not None
        if why := refused(document):
            raise WriteError(f"{path}: {why}")
        if following and following.id == document.id:
            raise WriteError(f"{path}: {document.id!r} is the id of two documents")

    def write_to(new: Path) -> None:
        new.mkdir()
        for document in known:
            (new / f"{document.id}.txt").write_bytes(document.text.encode())
            (new / f"{document.id}.ann").write_bytes(
                "".join(f"{x}\n" for x in _written(document.text, document.entities)).encode()
            )

    return checked(path, known, write_to, read)


def _written(text: str, entities: Sequence[Entity]) -> Iterator[str]:
    """Yield the lines of an .ann file."""
    numbers = Counter[str]()
    for i, entity in enumerate(entities, 1):
        pieces = [piece for start, end in entity.fragments for piece in _pieces(text, start, end)]
        offsets = ";".join(f"{start} {end}" for start, end in pieces)
        surface = re.sub("[\r\n]", " ", " ".join(text[start:end] for start, end in pieces))
        yield f"T{i}\t{entity.label} {offsets}\t{surface}"
        for concept in re.findall(r"[^\s|]+", entity.concept or ""):
            numbers["N"] += 1
            yield f"N{numbers['N']}\tReference T{i} {concept}"
        for name, value in entity.attributes.items():
            if re.fullmatch(r"\S+", name) and re.fullmatch(r"\S+", value):
                numbers["A"] += 1
                yield f"A{numbers['A']}\t{name} T{i}" + (f" {value}" if value != "true" else "")


def _pieces(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the span in pieces without line ends, as BRAT writes it; as a whole if it begins or ends with a line end."""
    if text[start] in "\r\n" or text[end - 1] in "\r\n":
        return [(start, end)]
    return [(start + found.start(), start + found.end()) for found in re.finditer(r"[^\r\n]+", text[start:end])]
