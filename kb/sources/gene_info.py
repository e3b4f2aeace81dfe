"""Reads NCBI's gene tables (such as `Homo_sapiens.gene_info.gz`): symbols, aliases, full names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kb.concept import Concept, Relation, Source
from kb.errors import at
from kb.sources._files import lines

NEW_ENTRIES = "rows of newly entered genes, left out"
_COLUMNS = 14  # up to Other_designations; later releases have more


def build(path: str | Path, *, type: str = "gene") -> Source:
    """Build a source with one concept (`NCBIGene:672`) for each row; name is the symbol, synonyms are aliases and full names.

    `type` is the semantic type of all concepts. Iterating raises KnowledgeError for a row that is too short.
    """
    return GeneInfo(Path(path), type)


@dataclass(frozen=True, slots=True)
class GeneInfo:
    """A gene table, streamed anew at each iteration."""

    path: Path
    type: str
    report: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Concept | Relation]:
        self.report.clear()
        for number, line in lines(self.path):
            if line.startswith("#") or not line.strip():
                continue
            cells = ["" if cell == "-" else cell for cell in line.split("\t")]  # "-" is an empty cell
            if len(cells) < _COLUMNS or not cells[1].isdecimal():
                raise at(self.path, number, f"expected {_COLUMNS} columns or more, the second a gene's number")
            if cells[2] == "NEWENTRY":  # a placeholder that every organism has
                self.report[NEW_ENTRIES] += 1
            else:
                yield self._gene(cells)

    def _gene(self, cells: list[str]) -> Concept:
        names = (*cells[4].split("|"), cells[8], cells[10], cells[11], *cells[13].split("|"))
        synonyms = dict.fromkeys(name for name in names if name not in ("", "-", cells[2]))
        xrefs = tuple(_xref(xref) for xref in cells[5].split("|") if xref)
        return Concept(f"NCBIGene:{cells[1]}", cells[2], self.type, tuple(synonyms), xrefs=xrefs)


def _xref(xref: str) -> str:
    """Return `HGNC:5` for `HGNC:HGNC:5`, the form of newer tables."""
    prefix, _, rest = xref.partition(":")
    return rest if rest.startswith(f"{prefix}:") else xref
