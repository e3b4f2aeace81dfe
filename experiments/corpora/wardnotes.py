"""Wardnotes: the embedded sample corpus of invented clinical notes with problems, treatments and tests.

A file has one split. A note is a header `# id patient=group` and its lines; a blank line ends it. An entity is written
`[surface|label]`. A backslash escapes a literal bracket, bar or backslash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from experiments.corpora.corpus import Corpus, held_out
from ner_programs.privacy import PUBLIC
from ner_programs.types import Document, Entity, Label

SPLITS = ("train", "dev", "test")
LABELS: tuple[Label, ...] = (
    Label(
        "problem",
        "Something wrong with a person: a symptom, sign, disease, injury, abnormal finding, complication or germ, "
        "whether present, denied, feared or in the family.",
    ),
    Label(
        "treatment",
        "Something given or done to help: drug or drug class, surgery, therapy, fluid, blood product, diet or device.",
    ),
    Label(
        "test",
        "Something that looks or measures: a lab quantity, vital sign, score, imaging study, sample, endoscopy or "
        "graded bedside item, without its result.",
    ),
)

_HEADER = re.compile(r"# (?P<id>\S+) patient=(?P<group>\S+)")
_PIECE = re.compile(
    r"\[(?P<surface>(?:\\[\[\]|\\]|[^\\\[\]|])+)\|(?P<label>[a-z]+)\]|(?P<plain>(?:\\[\[\]|\\]|[^\\\[\]|])+)", re.DOTALL
)
_ESCAPE = re.compile(r"\\([\[\]|\\])")


def build(*, data: Path | None = None) -> Corpus:
    """Return the sample corpus. It is in the package, so `data`, which every corpus gets, is ignored."""
    return Corpus("wardnotes", read("train"), read("dev"), held_out(read("test")), labels=LABELS, privacy=PUBLIC)


def read(split: str) -> tuple[Document, ...]:
    """Return the notes of the split `train`, `dev` or `test`."""
    if split not in SPLITS:
        raise ValueError(f"wardnotes has the splits {', '.join(SPLITS)}, not {split!r}")
    return _splits()[split]


@cache
def guidelines() -> str:
    """Return the page of annotation rules."""
    return _resource("guidelines.md")


def parse(text: str, file: str, seen: set[str] | None = None) -> tuple[Document, ...]:
    """Parse the notes in `text`; `file` is its name in error messages, `seen` are ids that are already taken."""
    taken = set() if seen is None else seen
    return tuple(_note(block, file, taken) for block in _blocks(text))


@cache
def _splits() -> Mapping[str, tuple[Document, ...]]:
    seen: set[str] = set()
    return MappingProxyType({s: parse(_resource(f"{s}.txt"), f"{s}.txt", seen) for s in SPLITS})


def _resource(name: str) -> str:
    return resources.files("experiments.corpora").joinpath("_wardnotes", name).read_text(encoding="utf-8")


def _blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []


def _note(block: list[tuple[int, str]], file: str, seen: set[str]) -> Document:
    number, first = block[0]
    header = _HEADER.fullmatch(first)
    if header is None:
        raise ValueError(f"{file}:{number}: a note begins with '# id patient=group', not {first!r}")
    if header["id"] in seen:
        raise ValueError(f"{file}:{number}: the id {header['id']} is taken")
    if len(block) == 1:
        raise ValueError(f"{file}:{number}: the note {header['id']} has no lines")
    seen.add(header["id"])
    text, entities = "", list[Entity]()
    for at, line in block[1:]:
        plain, found = _line(line, f"{file}:{at}")
        text += "\n" if text else ""
        entities.extend(e.shifted(len(text)) for e in found)
        text += plain
    return Document(header["id"], text, tuple(entities), header["group"])


def _line(line: str, where: str) -> tuple[str, list[Entity]]:
    text, entities, at = "", list[Entity](), 0
    while at < len(line):
        piece = _PIECE.match(line, at)
        if piece is None:
            raise ValueError(f"{where}: an unclosed entity, or a stray bracket, bar or backslash: {line[at:]!r}")
        start, at = len(text), piece.end()
        text += _ESCAPE.sub(r"\1", piece["plain"] or piece["surface"])
        if piece["label"] not in {None, *(label.name for label in LABELS)}:
            raise ValueError(f"{where}: unknown label {piece['label']!r}")
        if piece["label"]:
            entities.append(Entity.of(text, start, len(text), piece["label"]))
    return text, entities
