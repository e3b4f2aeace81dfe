"""Rows of UMLS files: columns that end with `|`, in the order of their CUI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kb.errors import KnowledgeError, at
from kb.sources._files import lines

Row = dict[str, str]


def rows(path: Path, width: int, places: Mapping[str, int]) -> Iterator[Row]:
    """The columns at `places` (from 0) of every row, if it has `width` of them; a packed `<path>.gz` serves too.

    Raises KnowledgeError for a row of another width, and for a CUI smaller than the one before (files are sorted as
    bytes, by `LC_ALL=C sort`), since files are read side by side.
    """
    packed = path.with_name(f"{path.name}.gz")
    path = packed if packed.is_file() and not path.is_file() else path
    before = ""
    for number, line in lines(path):
        cells = line.split("|")
        if len(cells) != width + 1 or cells[-1]:
            raise at(path, number, f"expected {width} columns that each end with `|`, found {len(cells) - 1}")
        if "CUI" in places and cells[0] < before:
            raise at(path, number, f"{cells[0]} comes after {before}; sort the file by CUI (LC_ALL=C sort)")
        before = cells[0]
        yield {name: cells[place] for name, place in places.items()}


def optional(path: Path, width: int, places: Mapping[str, int]) -> Iterator[Row]:
    """The rows of a file that a folder may lack. Raises KnowledgeError for a folder that isn't there."""
    if not path.parent.is_dir():
        raise KnowledgeError(f"{path.parent}: no such folder")
    if path.is_file() or path.with_name(f"{path.name}.gz").is_file():
        yield from rows(path, width, places)


def by_cui(found: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Neighbouring rows of one CUI together."""
    group: list[Row] = []
    for row in found:
        if group and group[0]["CUI"] != row["CUI"]:
            yield group[0]["CUI"], group
            group = []
        group.append(row)
    if group:
        yield group[0]["CUI"], group
