"""Parses a WebAnno TSV 3 file: the layers of the header, the text, and the rows of tokens with their cells.

Format: INCEpTION user guide, appendix "WebAnno TSV 3.x".
"""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from experiments.corpora._files import lines
from experiments.errors import ReadError

_LAYER, _TEXT = re.compile("#T_(SP|RL|CH)="), "#Text="
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "b": "\b"}
_FARTHEST = 10_000  # maximum number of blanks between two sentences; more means a wrong offset
_VALUE = re.compile(r"((?:\\.|[^\\\[])*)(?:\[(\d+)\])?")
_ROW = re.compile(r"\d+-\d+(\.\d+)?\t(\d{1,12})-(\d{1,12})\t([^\t]*)((?:\t.*)?)")
Value = tuple[str | None, str | None]  # value of a feature, number of its annotation
Tokens = dict[int, tuple[int, int, str]]  # start, end and surface of each row, by its line


class Layer(NamedTuple):
    """A span layer of the header with its features. Each feature has a column; a layer without features has one, too."""

    name: str
    features: list[str]
    first: int  # the first of its columns

    @property
    def short(self) -> str:
        """The name without its package."""
        return self.name.rpartition(".")[2]

    @property
    def plain(self) -> dict[str, int]:
        """The columns of features with plain values; the others link to annotations."""
        return {f: self.first + i for i, f in enumerate(self.features) if not f.startswith("ROLE_") and "." not in f}

    def slots(self, units: list[Unit]) -> int:
        """Return the number of annotations with links to others."""
        columns = [self.first + i for i, f in enumerate(self.features) if f.startswith("ROLE_")]
        cells = ((u.line, i, values_of(u.cells[i])) for u in units for i in columns)
        return len({(i, n or (line, k)) for line, i, values in cells for k, (value, n) in enumerate(values) if value})


class Unit(NamedTuple):
    """A row: a token or a part of one, with offsets in UTF-16 units."""

    line: int
    start: int
    end: int
    text: str
    token: int
    cells: list[str]


def parsed(path: Path) -> tuple[list[Layer], int, str, list[Unit]]:
    """Return the span layers, the number of columns of all layers, the text, and the rows."""
    layers, columns, tokens, units = list[Layer](), 0, 0, list[Unit]()
    text, width, sentence = "", 0, list[str]()
    number = 0
    for number, line in lines(path):
        if number == 1 and not re.match(r"#FORMAT=WebAnno TSV 3\.[1-9]", line):
            raise ReadError.at(path, number, f"expected `#FORMAT=WebAnno TSV 3.1` or later; {_older(line)}")
        if _LAYER.match(line) and not units:
            name, *features = line.partition("=")[2].split("|")
            if line.startswith("#T_SP="):
                layers.append(Layer(name, features or [""], columns))
            columns += len(features or [""])
        elif line.startswith(_TEXT):
            sentence.append(_plain(line.removeprefix(_TEXT)))
        elif line and not line.startswith("#"):
            tokens += not re.match(r"[\d-]+\.", line)
            unit = _unit(path, number, line, tokens, columns)
            if sentence:
                piece = _gap(path, number, unit.start - width, text) + "\n".join(sentence)
                text, width, sentence = text + piece, width + _width(piece), []
            units.append(unit)
    if not number:
        raise ReadError(f"{path}: the file is empty")
    if sentence:
        raise ReadError(f"{path}: the last sentence has no tokens")
    return layers, columns, text, units


def _older(line: str) -> str:
    """Return a hint about a file that begins with `line`: its probable version, and what to do."""
    version = re.match(r"#FORMAT=WebAnno TSV (\d+(\.\d+)?)", line)
    two = re.match(r"#\s*(id|text)=|# [\w.]+(\s*\||$)", line)
    if not version and not two:
        return "export it as `WebAnno TSV v3.3`"
    name = version[1] if version else "2"
    return f"this is WebAnno TSV {name}, which is not read: import it into INCEpTION, and export `WebAnno TSV v3.3`"


def _gap(path: Path, number: int, length: int, before: str) -> str:
    """Return the filler between a sentence and the text before it."""
    if not 0 <= length <= _FARTHEST:
        raise ReadError.at(path, number, "the sentence does not begin after the one above, or far from it")
    return ("\n" if before and length else "").ljust(length)


def _unit(path: Path, number: int, line: str, token: int, columns: int) -> Unit:
    row = _ROW.fullmatch(line)
    if not row:
        raise ReadError.at(
            path, number, "expected `<sentence>-<token>`, `<start>-<end>`, the token, and values, by tabs"
        )
    cells = row[5].split("\t")[1:]
    if len(cells) < columns:
        raise ReadError.at(path, number, f"found {len(cells)} values, but {columns} columns in the header")
    return Unit(number, int(row[2]), int(row[3]), row[4], token, cells)


def values_of(cell: str) -> list[Value]:
    """Return the stacked values of a cell, each with the number of its annotation; None where it has none."""
    found: list[Value] = []
    for piece in re.findall(r"(?:\\.|[^\\|])+", cell) if cell != "_" else ():
        value = _VALUE.fullmatch(piece)
        raw, number = (value[1], value[2]) if value else (piece, None)
        found.append((None if raw in ("*", "_", "") else _plain(raw), number))
    return found


def tokens_of(path: Path, units: list[Unit], text: str) -> Tokens:
    """Return start and end in characters of each row, and its surface. Raises ReadError for an invalid position."""
    found: Tokens = {}
    place = _places(text)
    for unit in units:
        start, end = place.get(unit.start, -1), place.get(unit.end, -1)
        if not 0 <= start <= end or (start == end and unit.text):
            raise ReadError.at(path, unit.line, f"the token is not what lies at {unit.start}..{unit.end} of the text")
        found[unit.line] = start, end, unit.text if unit.text == text[start:end] else _plain(unit.text)
    return found


def _plain(text: str) -> str:
    """Undo the escapes of a text or value: `\\t`, `\\u0041` (TSV 3.1), and a backslash before anything else."""
    return re.sub(r"((?:\\u[0-9A-Fa-f]{4})+)|\\(.)", _unescaped, text)


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return bytes.fromhex(found[1].replace("\\u", "")).decode("utf-16-be", "replace")
    return _ESCAPES.get(found[2], found[2])


def _width(text: str) -> int:
    return len(text) + sum(c > "\uffff" for c in text)


def _places(text: str) -> dict[int, int]:
    """Map offsets in UTF-16 units to characters."""
    ends = accumulate((2 if c > "\uffff" else 1 for c in text), initial=0)
    return {units: character for character, units in enumerate(ends)}
