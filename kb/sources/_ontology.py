"""Common parts of the ontology readers: their options, and the restriction to the descendants of one concept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kb.concept import Concept, Relation
from kb.errors import KnowledgeError

Scope = Literal["EXACT", "BROAD", "NARROW", "RELATED"]


def below(items: Iterable[Concept | Relation], root: str, path: Path) -> Iterator[Concept | Relation]:
    """Yield `root`, its descendants by is_a (cycles are harmless), and their relations, in the order of `items`.

    All items are held in memory. Raises KnowledgeError if there is no concept `root`; `path` is for the message.
    """
    held = list(items)
    children: dict[str, list[str]] = {}
    for item in held:
        if isinstance(item, Relation) and item.name == "is_a":
            children.setdefault(item.tail, []).append(item.head)
    if not any(isinstance(item, Concept) and item.id == root for item in held):
        raise KnowledgeError(f"{path}: root {root!r} is none of its terms")
    kept, fresh = {root}, [root]
    while fresh:
        fresh = list(dict.fromkeys(child for id in fresh for child in children.get(id, ()) if child not in kept))
        kept.update(fresh)
    yield from (item for item in held if (item.id if isinstance(item, Concept) else item.head) in kept)


@dataclass(frozen=True, slots=True)
class Ontology:
    """Base of the sources of ontology terms: the options of `build`, and the filter `root`.

    `report` counts, for the last iteration, the obsolete terms that were left out and the duplicate ids.
    """

    path: Path
    type: str | None
    root: str | None
    scopes: tuple[Scope, ...] | None
    report: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Concept | Relation]:
        return self._all() if self.root is None else below(self._all(), self.root, self.path)

    def _all(self) -> Iterator[Concept | Relation]:
        """Yield the content of the file, in order."""
        raise NotImplementedError
