"""Reads SSSOM mappings between vocabularies (`.sssom.tsv`, also `.gz`; Matentzoglu et al. 2022)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kb.concept import Concept, Relation, Source
from kb.errors import at
from kb.sources._files import lines

OTHERS = "mappings of other predicates"


def build(
    path: str | Path, *, predicates: tuple[str, ...] = ("skos:exactMatch",), labels: bool = True, type: str = ""
) -> Source:
    """Build a source from mappings, as cross-references of their subjects.

    Only mappings with one of `predicates` count. With `labels` the subject's label is its name, and the object's label a
    synonym, which is right for exact matches. Without, names must come from another source. `type` is the semantic type of
    the subjects. Iterating raises KnowledgeError for a missing column or a row that is too short.
    """
    return Sssom(Path(path), predicates, labels, type)


@dataclass(frozen=True, slots=True)
class Sssom:
    """A mapping file, streamed anew at each iteration; `report` counts the mappings left out."""

    path: Path
    predicates: tuple[str, ...]
    labels: bool
    type: str
    report: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Concept | Relation]:
        self.report.clear()
        columns: list[str] = []
        for number, line in lines(self.path):
            if line.startswith("#") or not line.strip():
                continue
            cells = [cell.strip() for cell in line.split("\t")]
            if not columns:
                columns = self._header(number, cells)
            elif len(cells) < len(columns):
                raise at(self.path, number, f"{len(cells)} columns, the header has {len(columns)}")
            else:
                yield from self._mapping(dict(zip(columns, cells, strict=False)))
        if not columns:
            raise at(self.path, 1, "no header row in it; is it an SSSOM file?")

    def _header(self, number: int, cells: list[str]) -> list[str]:
        for needed in ("subject_id", "predicate_id", "object_id"):
            if needed not in cells:
                raise at(self.path, number, f"no column {needed!r}; the columns are: {', '.join(cells)}")
        return cells

    def _mapping(self, row: dict[str, str]) -> Iterator[Concept]:
        negated = row.get("predicate_modifier") == "Not"
        if negated or row["predicate_id"] not in self.predicates or not (row["subject_id"] and row["object_id"]):
            self.report[OTHERS] += 1
            return
        name, other = (row.get(column, "") if self.labels else "" for column in ("subject_label", "object_label"))
        yield Concept(row["subject_id"], name, self.type, tuple(filter(None, (other,))), xrefs=(row["object_id"],))
