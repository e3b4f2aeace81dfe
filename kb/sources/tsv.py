"""Reads tables with a header row (`.tsv`, `.csv`, also `.gz`): lexicons of names, and lists of edges."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kb.concept import Concept, Relation, Source
from kb.errors import KnowledgeError, at
from kb.sources._files import lines
from kb.sources._relations import relation_name

CONCEPT = ("id", "name", "synonyms", "definition", "type", "xrefs")
RELATION = ("head", "relation", "tail")


def build(
    path: str | Path,
    *,
    columns: dict[str, str],
    type: str = "",
    where: dict[str, str] | None = None,
    upper: bool = False,
    ends: bool = False,
) -> Source:
    """Build a source of concepts or relations; `columns` maps fields to columns of the file.

    Fields of concepts are `id` and any of `name`, `definition`, `type`, `synonyms` and `xrefs` (both split at `|`); rows with
    the same id are one concept. Fields of relations are `head`, `tail` and `relation` (default "is_a"). With `ends` heads and
    tails are concepts, too, without a name unless another source has one; else such relations dangle. `type` is the semantic
    type of all concepts. `where` keeps only rows with exactly this value in each of its columns. `upper` turns `abc:1` into
    `ABC:1`. A file name ending in `.csv` means commas, any other tabs. Raises KnowledgeError for an invalid combination of
    columns. Iterating raises it for a missing column, for a row that is too short, and if no row matches `where`.
    """
    wanted = CONCEPT if "id" in columns else RELATION
    if unknown := [what for what in columns if what not in wanted]:
        raise KnowledgeError(
            f"tsv: columns has no {unknown[0]!r}; it has {', '.join(CONCEPT)}, or {', '.join(RELATION)}"
        )
    if "id" not in columns and not {"head", "tail"} <= columns.keys():
        raise KnowledgeError("tsv: columns needs `id` (for concepts), or `head` and `tail` (for relations)")
    return Table(Path(path), columns, type, where or {}, upper, ends)


@dataclass(frozen=True, slots=True)
class Table:
    """A table, streamed anew at each iteration. `columns` maps fields to columns."""

    path: Path
    columns: Mapping[str, str]
    type: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    upper: bool = False
    ends: bool = False

    def __iter__(self) -> Iterator[Concept | Relation]:
        for cells in self._cells():
            if "id" in self.columns:
                yield self._concept(cells)
                continue
            relation = self._relation(cells)
            if self.ends:
                yield Concept(relation.head, "", self.type)
                yield Concept(relation.tail, "", self.type)
            yield relation

    def _concept(self, cells: Mapping[str, str]) -> Concept:
        return Concept(
            id=self._id(cells["id"]),
            name=cells.get("name", ""),
            type=cells.get("type") or self.type,
            synonyms=_split(cells.get("synonyms", "")),
            definition=cells.get("definition", ""),
            xrefs=_split(cells.get("xrefs", "")),
        )

    def _relation(self, cells: Mapping[str, str]) -> Relation:
        name = relation_name(cells.get("relation") or "is_a")
        return Relation(self._id(cells["head"]), name, self._id(cells["tail"]))

    def _id(self, id: str) -> str:
        prefix, colon, number = id.partition(":")
        return f"{prefix.upper()}:{number}" if self.upper and colon and not number.startswith("//") else id

    def _cells(self) -> Iterator[Mapping[str, str]]:
        """Yield the fields of every row that matches `where` and has an id."""
        rows = _rows(self.path)
        line, header = next(rows, (1, []))
        wanted = [(what, self._column(column, header, line)) for what, column in self.columns.items()]
        tests = [(self._column(column, header, line), value) for column, value in self.where.items()]
        width = 1 + max(place for _, place in (*wanted, *((value, place) for place, value in tests)))
        read = kept = 0
        for line, row in rows:
            if len(row) < width:
                raise at(self.path, line, f"{len(row)} columns, the header has {len(header)}")
            read += 1
            if all(row[place] == value for place, value in tests):
                kept += 1
                cells = {what: row[place].strip() for what, place in wanted}
                if all(cells.get(what, "-") for what in ("id", "head", "tail")):
                    yield cells
        if read and not kept:
            wish = " and ".join(f"{column} = {value!r}" for column, value in self.where.items())
            raise KnowledgeError(f"{self.path}: none of its {read} rows has {wish}")

    def _column(self, name: str, header: list[str], line: int) -> int:
        if name not in header:
            raise at(self.path, line, f"no column {name!r}; the columns are: {', '.join(header) or 'none'}")
        return header.index(name)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield numbered rows without empty lines."""
    if path.name.removesuffix(".gz").endswith(".csv"):
        reader = csv.reader((text + "\n" for _, text in lines(path)), strict=True)
        try:
            yield from ((reader.line_num, row) for row in reader if row)
        except csv.Error as error:
            raise at(path, reader.line_num, str(error)) from None
    else:
        yield from ((number, [_unquoted(cell) for cell in text.split("\t")]) for number, text in lines(path) if text)


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split("|") if part.strip())


def _unquoted(cell: str) -> str:
    """Unquote a cell. Only a cell that is quoted as a whole counts as quoted, because most writers do not quote."""
    throughout = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', "")
    return cell[1:-1].replace('""', '"') if throughout else cell
