"""Reads MeSH from a folder with the tables `terms.tsv` (mesh_id, mesh_name) and `tree-numbers.tsv` (also mesh_tree_number).

The hierarchy is that of the tree numbers (`C04.588` is below `C04`). The edges of the published `ontology.gexf.gz` are exactly
these (all 37,332 of 2015), so that file is not read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kb.concept import Concept, Relation, Source
from kb.errors import KnowledgeError
from kb.sources import tsv
from kb.sources._relations import DUPLICATES

TERMS, TREES = "terms.tsv", "tree-numbers.tsv"
FILES = (TERMS, TREES)  # patterns of the files that are read in a folder; a cache of the result depends on these files
NO_TREE = "descriptors without a tree number"


def build(path: str | Path, *, trees: tuple[str, ...] = (), type: str = "") -> Source:
    """Build a source from a folder (or from the folder of the file `path`).

    `trees`: only descriptors with one of these prefixes of a tree number (`("C", "F03")`); none means all. Inverted names
    ("Abdomen, Acute") get the plain order as a synonym. `type` is the semantic type of all concepts. Iterating raises
    KnowledgeError for missing files or columns, and for trees without descriptors.
    """
    path = Path(path)
    return Mesh(path.parent if path.is_file() else path, trees, type)


@dataclass(frozen=True, slots=True)
class Mesh:
    """The two tables, read anew at each iteration; `report` counts duplicate ids and ids without a tree number."""

    folder: Path
    trees: tuple[str, ...]
    type: str
    report: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Concept | Relation]:
        self.report.clear()
        numbers = {number: id for id, number in self._rows(TREES, "mesh_tree_number")}
        wanted = {number: id for number, id in numbers.items() if not self.trees or number.startswith(self.trees)}
        if not wanted:
            raise KnowledgeError(
                f"{self.folder / TREES}: no tree number begins with {' or '.join(self.trees) or 'anything'}"
            )
        inside, in_trees = set(wanted.values()), set(numbers.values())
        seen: set[str] = set()
        for id, name in self._rows(TERMS, "mesh_name"):
            self.report[DUPLICATES] += id in seen
            self.report[NO_TREE] += id not in in_trees
            seen.add(id)
            if id in inside or not (self.trees or id in in_trees):
                yield Concept(f"MESH:{id}", name, self.type, tuple(filter(None, (plain_order(name),))))
        for number, id in sorted(wanted.items()):
            parent = wanted.get(number.rpartition(".")[0])
            if parent:
                yield Relation(f"MESH:{id}", "is_a", f"MESH:{parent}")

    def _rows(self, file: str, column: str) -> Iterator[tuple[str, str]]:
        for item in tsv.build(self.folder / file, columns={"id": "mesh_id", "name": column}):
            if isinstance(item, Concept):
                yield item.id, item.name


def plain_order(name: str) -> str:
    """Return "Acute Abdomen" for "Abdomen, Acute"; "" for a name without a comma or for a list."""
    parts = [part.strip() for part in name.split(", ")]
    listed = any(part.lower().startswith(("and ", "or ", "with ", "without ")) for part in parts)
    return "" if len(parts) < 2 or listed or not all(parts) else " ".join(reversed(parts))
