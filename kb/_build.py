"""From what sources yield to clean parts: ids merged, blanks folded, what cannot be used counted and left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kb._errors import KnowledgeError
from kb.concept import Concept, Relation

DANGLING = "dangling relations"
LOOPS = "self loops"
NAMELESS = "concepts without a name"
IDLESS = "concepts without an id"


@dataclass(frozen=True, slots=True)
class Parts:
    """Concepts in the order of their ids, relations in that of head, name, tail; and the counted warnings."""

    concepts: tuple[Concept, ...]
    relations: tuple[Relation, ...]
    report: Mapping[str, int]


@dataclass(slots=True)
class _Draft:
    name: str = ""
    type: str = ""
    definition: str = ""
    synonyms: set[str] = field(default_factory=set)
    xrefs: set[str] = field(default_factory=set)

    def add(self, concept: Concept) -> None:
        name = _folded(concept.name)
        self.name = self.name or name
        self.type = self.type or concept.type
        self.definition = self.definition or _folded(concept.definition)
        self.synonyms.add(name)
        self.synonyms.update(map(_folded, concept.synonyms))
        self.xrefs.update(concept.xrefs)

    def done(self, id: str) -> Concept:
        name = self.name or min(filter(None, self.synonyms), default="")
        synonyms = tuple(sorted(self.synonyms - {name, ""}))
        return Concept(id, name, self.type, synonyms, self.definition, tuple(sorted(self.xrefs - {"", id})))


def gather(items: Iterable[Concept | Relation]) -> Parts:
    """Merge and clean; `report` holds only warnings that occurred."""
    drafts: dict[str, _Draft] = {}
    relations: dict[tuple[str, str, str], Relation] = {}
    report: Counter[str] = Counter()
    for item in items:
        if isinstance(item, Concept) and not item.id:
            report[IDLESS] += 1
        elif isinstance(item, Concept):
            drafts.setdefault(item.id, _Draft()).add(item)
        elif not isinstance(item, Relation):
            raise KnowledgeError(f"a source yields Concept and Relation, not {type(item).__name__}")
        elif item.head == item.tail:
            report[LOOPS] += 1
        else:
            relations[item.head, item.name, item.tail] = item
    kept = [relations[key] for key in sorted(relations) if key[0] in drafts and key[2] in drafts]
    report[DANGLING] = len(relations) - len(kept)
    report[NAMELESS] = sum(not draft.name for draft in drafts.values())
    concepts = tuple(drafts[id].done(id) for id in sorted(drafts))
    return Parts(concepts, tuple(kept), {warning: count for warning, count in sorted(report.items()) if count})


def _folded(text: str) -> str:
    return " ".join(text.split())
