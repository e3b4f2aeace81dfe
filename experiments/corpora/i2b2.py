"""Reads the document forms of i2b2/VA 2010 and 2012: notes in x.txt, their mentions in x.con (2010) or x.extent (2012).

A line of .con is `c="<text in lower case>" 12:0 12:3||t="problem"`: lines of the note from 1, tokens of a line (separated by
blanks) from 0, both ends inclusive. A concept may continue in the next line. Where x.con has an x.ast beside it, or in a folder
`ast` beside its own, a line of that (the same with `||a="absent"` at its end) gives the concept its attribute `assertion`. A
line of .extent is `EVENT="<text>" 12:0 12:3||type="TEST"||modality="FACTUAL"||polarity="POS"`, or the same with `TIMEX3=`: the
type is the label, the rest are attributes. The XML form of 2012 is read if there is no .txt. The text of a document is the
unchanged file. The files of a note may be in different folders (`txt`, `concept`, `concepts`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from experiments.corpora._files import lines, pairs, text_of
from experiments.corpora._mismatch import Claim, Found, Spans
from experiments.corpora._reader import Options, corpus_from, reader, reads
from experiments.corpora._xml import elements, line_of
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError

_SURFACE = re.compile(r'(\w+)="(.*)" (\d{1,9}):(\d{1,9}) (\d{1,9}):(\d{1,9})((?:\|\|\w+="[^"]*")+)\s*')
_FIELD = re.compile(r'\|\|(\w+)="([^"]*)"')
_TYPE = {"c": "t", "EVENT": "type", "TIMEX3": "type"}  # the prefix of a line, and the field with its label
_ENDINGS = ("con", "extent")
_EXPECTED = 'expected `c="<text>" <line>:<token> <line>:<token>||t="<type>"` or the like of EVENT and TIMEX3'
_ASSERTED = 'expected `c="<text>" <line>:<token> <line>:<token>||t="<type>"||a="<assertion>"`'
_OTHER_FORMS = {
    r'm=".*\|\|do="': "the 2009 form (medications with dose and route), which is not read; turn each field that is wanted "
    'into a line of the 2010 form, `c="<text>" <line>:<token> <line>:<token>||t="<type>"`',
    r'c=".*\|\|a="': "the assertion form of 2010 (.ast), which is read only beside .con files; give these, too",
    r'c=".*\|\|r="': "the relation form of 2010 (.rel), which is not read; give the .con files",
    r'(EVENT|TIMEX3)=.*\|\|(EVENT|TIMEX3|SECTIME)="': "the links of 2012 (.tlink), which are not read; give the .extent files",
}
_XML = "ClinicalNarrativeTemporalAnnotation"
Token = tuple[int, int]
_Assertions = dict[tuple[Token, str], str]  # by place and label


class _Concept(Claim):
    """A line of a .con or .extent file; its surface is in lower case with single blanks."""

    def fits(self, text: str, spans: Spans) -> bool:
        """Return whether the words are the same, ignoring case."""
        found = text[spans[0][0] : spans[0][1]]
        return bool(found) and found.lower().split() == (self.surface or "").lower().split()


@reader
def build(*, path: Path, data: Path, options: Options) -> Corpus:
    """Read a folder (also with sub-folders train, dev and test), one note, or a glob. Files may be in deeper folders."""
    return corpus_from(find, path, data, options, notes=".txt")


def find(place: Path, remarks: Counter[str], *, concepts: Path | None = None) -> Iterator[Found]:
    """Yield the notes below a folder by name (or one), with their annotation from there or from below `concepts`.

    `remarks` counts duplicate lines, which are kept once. Raises ReadError with the file and, if possible, the line.
    """
    if place.suffix == ".xml" or (place.is_dir() and any(place.rglob("*.xml")) and not any(place.rglob("*.txt"))):
        for file in sorted(place.rglob("*.xml")) if place.is_dir() else [place]:
            yield _from_xml(file, remarks)
        return
    _check_form(place)
    for note, annotation in pairs(place, _ENDINGS, concepts):
        text = text_of(note)
        tokens = _tokens(text)
        assertions, checks = _assertions(annotation, tokens, remarks)
        claims = list(_claims(annotation, tokens, assertions, remarks))
        remarks["assertions about no concept, ignored"] += len(assertions)
        yield Found(note.stem, ((0, text),), (*claims, *checks))


read = reads(find)


def _check_form(place: Path) -> None:
    """Raise ReadError if a folder has only files of an unsupported form."""
    if place.is_dir() and not any(file for ending in _ENDINGS for file in place.rglob(f"*.{ending}")):
        for file in sorted(place.rglob("*")):
            if file.is_file() and file.suffix != ".txt" and (form := _form(next(lines(file), (1, ""))[1])):
                raise ReadError(f"{file}: {form}")


def _form(line: str) -> str:
    """Describe the unsupported form of a line; "" for any other line."""
    return next((f"this is {form}" for sign, form in _OTHER_FORMS.items() if re.match(sign, line)), "")


class _Row(NamedTuple):
    """A line of an annotation file: `kind` is its prefix, `fields` are what follows the place."""

    where: Callable[[str], ReadError]
    kind: str
    span: Token
    surface: str
    fields: dict[str, str]


def _rows(path: Path, tokens: list[list[Token]], expected: str) -> Iterator[_Row]:
    """Yield the lines that are not blank. Raises ReadError with the line for one that has another form or no place."""
    for number, line in lines(path):
        if not line.strip():
            continue
        if (form := _form(line)) and expected != _ASSERTED:
            raise ReadError.at(path, number, form)
        if not (found := _SURFACE.fullmatch(line)):
            raise ReadError.at(path, number, expected)
        first_line, first, last_line, last = map(int, found.groups()[2:6])
        try:
            span = _token(tokens, first_line, first)[0], _token(tokens, last_line, last)[1]
        except IndexError:
            raise ReadError.at(path, number, "the note has no such line or token") from None
        yield _Row(partial(ReadError.at, path, number), found[1], span, found[2], dict(_FIELD.findall(found[7])))


def _claims(path: Path, tokens: list[list[Token]], assertions: _Assertions, remarks: Counter[str]) -> Iterator[Claim]:
    """Yield the concepts of a file, and take from `assertions` what is said about them."""
    seen: set[tuple[Token, str, str]] = set()
    said: dict[tuple[Token, str], str] = {}
    for row in _rows(path, tokens, _EXPECTED):
        if row.kind == "SECTIME":
            remarks["times of sections, ignored"] += 1
            continue
        label = row.fields.pop(_TYPE.get(row.kind, ""), "")
        if not label or (row.kind == "c" and row.fields):
            raise row.where(_EXPECTED)
        same = row.span, label, " ".join(row.surface.lower().split())
        if same in seen:
            remarks["concepts that stand twice, kept once"] += 1
            continue
        seen.add(same)
        if same[:2] in assertions:
            said[same[:2]] = assertions.pop(same[:2])
        about = row.fields | ({"assertion": said[same[:2]]} if same[:2] in said else {})
        yield _Concept(row.where, (row.span,), label, row.surface, {"attributes": about}, "the text of the concept")


def _assertions(concepts: Path, tokens: list[list[Token]], remarks: Counter[str]) -> tuple[_Assertions, list[Claim]]:
    """Return the assertions about the concepts of a .con file, if there are any, and claims that only check their texts."""
    folder = concepts.parent
    near = [place / f"{concepts.stem}.ast" for place in (folder, folder.parent / "ast")]
    path = next((file for file in near if file.is_file()), None)
    found, checks = _Assertions(), list[Claim]()
    for row in _rows(path, tokens, _ASSERTED) if path else ():
        label, value = row.fields.pop("t", ""), row.fields.pop("a", "")
        if row.kind != "c" or not label or not value or row.fields:
            raise row.where(_ASSERTED)
        checks.append(_Concept(row.where, (row.span,), "", row.surface, {}, "the text of the concept"))
        if found.setdefault((row.span, label), value) != value:
            remarks["concepts with a second, different assertion, ignored"] += 1
    return found, checks


def _from_xml(path: Path, remarks: Counter[str]) -> Found:
    """Return a note of 2012 in its XML form: offsets are characters of `TEXT`, from 0, end exclusive."""
    text = "".join(element.text or "" for element in elements(path, _XML, "TEXT"))
    claims: list[Claim] = []
    for tag in (tag for tags in elements(path, _XML, "TAGS") for tag in tags):
        about = {
            key: value for key, value in tag.attrib.items() if key in ("modality", "polarity", "val", "mod") and value
        }
        if tag.tag not in _TYPE:
            remarks["times of sections, ignored" if tag.tag == "SECTIME" else "links, ignored"] += 1
            continue
        try:
            span = int(tag.attrib["start"]), int(tag.attrib["end"])
        except (KeyError, ValueError):
            raise ReadError.at(path, line_of(tag), f"<{tag.tag}> needs a start and an end") from None
        where = partial(ReadError.at, path, line_of(tag))
        if not (label := tag.get("type", "")):
            raise where(f"<{tag.tag}> needs a type")
        claims.append(_Concept(where, (span,), label, tag.get("text"), {"attributes": about}))
    return Found(path.stem, ((0, text),), tuple(claims))


def _tokens(text: str) -> list[list[Token]]:
    """Return start and end of each token, line by line, without a BOM."""
    ends = [found.start() for found in re.finditer("\n", text)]
    rows: list[list[Token]] = [[] for _ in range(len(ends) + 1)]
    for found in re.finditer("[^ \r\n\ufeff]+", text):
        rows[bisect_right(ends, found.start())].append(found.span())
    return rows


def _token(tokens: list[list[Token]], line: int, token: int) -> Token:
    if line < 1:
        raise IndexError
    return tokens[line - 1][token]
