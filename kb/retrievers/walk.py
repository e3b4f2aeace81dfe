"""The graph: what the text names, with what it is said to be, and then the concepts a few typed steps away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kb._errors import KnowledgeError
from kb._frozen import Frozen
from kb.concept import Concept
from kb.graph import IS_A, KnowledgeBase
from kb.knowledge import Knowledge, Retriever
from kb.retrievers._common import named, required

FACTS = 3  # a named concept carries at most so many; more of them are ever more general


def build(
    *, kb: KnowledgeBase | None, hops: int = 1, relations: tuple[str, ...] = (IS_A,), limit: int = 8
) -> Retriever:
    """A retriever that walks at most `hops` steps along `relations`, away from what the text names.

    What the text names is always brought; concepts that were only walked to follow while there are fewer than `limit`
    items. Raises KnowledgeError without a knowledge base and for options that mean nothing in it.
    """
    kb = required(kb, "walk")
    if hops < 1 or limit < 1:
        raise KnowledgeError(f"retriever 'walk': hops and limit are 1 or more, not {hops} and {limit}")
    unknown = [name for name in relations if name not in kb.relation_names]
    if unknown and kb.relation_names:  # a plain lexicon has none: there is nothing to walk, and nothing wrong
        known = ", ".join(kb.relation_names)
        raise KnowledgeError(f"retriever 'walk': no relation {unknown[0]!r} in the knowledge base; it has {known}")
    return Walk(kb, hops, relations, limit)


@dataclass(frozen=True, slots=True)
class Walk(Frozen):
    """What the text names, in its order, each with its nearest facts; then what those facts lead to, nearest first."""

    kb: KnowledgeBase
    hops: int
    relations: tuple[str, ...]
    limit: int

    def __call__(self, text: str) -> list[Knowledge]:
        """Named concepts (relevance 1), then others: fewest steps first, then reached from most names, then by id."""
        seeds = named(self.kb, text)
        items: list[Knowledge] = []
        paths: dict[str, tuple[str, ...]] = {}  # concept walked to -> the shortest way there
        times: dict[str, int] = {}
        for surface, concept in seeds:
            facts = list(self._steps(concept.id))
            items.append(Knowledge(concept, surface, tuple(path[-1] for _, path in facts[:FACTS])))
            for id, path in facts:
                times[id] = times.get(id, 0) + 1
                if id not in paths or len(path) < len(paths[id]):
                    paths[id] = path
        for _, concept in seeds:
            paths.pop(concept.id, None)
        order = sorted(paths, key=lambda id: (len(paths[id]), -times[id], id))
        for id in order[: max(0, self.limit - len(items))]:
            items.append(Knowledge(self.kb[id], "", paths[id], 1 / (1 + len(paths[id]))))
        return items

    def _steps(self, start: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Every named concept within reach, each once and by a shortest way, nearest first, with the way as words."""
        seen = {start}
        level: dict[str, tuple[str, ...]] = {start: ()}
        for _ in range(self.hops):
            further: dict[str, tuple[str, ...]] = {}
            for id, path in level.items():
                for relation in self.kb.neighbours(id):
                    end = self.kb[relation.tail]
                    if relation.name in self.relations and end.id not in seen and end.name:
                        seen.add(end.id)
                        further[end.id] = (*path, _step(relation.name, end))
            yield from further.items()
            level = further


def _step(relation: str, end: Concept) -> str:
    if relation == IS_A:
        return f"is {'an' if end.name[0].lower() in 'aeiou' else 'a'} {end.name}"
    return f"{relation.replace('_', ' ')} {end.name}"
