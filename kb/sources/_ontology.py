"""What readers of ontologies share: their options, and of what they yield only what lies below one concept."""

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
    """`root`, its descendants by is_a (cycles do no harm), and their relations, in the order of `items`.

    All items are held until the last is read. Raises KnowledgeError if no concept is `root`; `path` is for the message.
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
    """What sources of ontology terms have in common: the options of `build`, and `root` as a filter of all that is read.

    `report` counts the terms out of use that the last iteration left out, and the ids it met again.
    """

    path: Path
    type: str | None
    root: str | None
    scopes: tuple[Scope, ...] | None
    report: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Concept | Relation]:
        return self._all() if self.root is None else below(self._all(), self.root, self.path)

    def _all(self) -> Iterator[Concept | Relation]:
        """Yield what the file holds, in its order."""
        raise NotImplementedError
