"""Graph retrieval: the concepts that the text names with their facts, then concepts a few typed steps away."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated

from annotated_types import Interval, Len

from kb._edges import Direction
from kb._frozen import Frozen
from kb.concept import Relation
from kb.errors import KnowledgeError
from kb.graph import IS_A, KnowledgeBase
from kb.knowledge import Knowledge, Retriever
from kb.retrievers._common import named, required, telling

Wordings = Callable[[str], tuple[frozenset[str], ...]]
FAN = 50  # relations of one kind that are followed from a concept: a hub has 100,000


def build(
    *,
    kb: KnowledgeBase | None,
    hops: Annotated[int, Interval(ge=1, le=10)] = 1,
    relations: Annotated[tuple[str, ...], Len(0, 1000)] = (IS_A,),
    direction: Direction = "out",
    facts: Annotated[int, Interval(ge=0, le=100)] = 3,
    limit: Annotated[int, Interval(ge=1, le=1000)] = 8,
) -> Retriever:
    """Build a retriever that walks at most `hops` steps along `relations` from the concepts that the text names.

    `direction`: "out" from head to tail (to more general concepts), "in" from tail to head (to more specific ones), or "both".
    Each named concept has its nearest `facts`. Named concepts are always returned; concepts reached only by the walk follow
    while there are fewer than `limit` items. Of the relations of one kind and direction of a concept, the first 50 are
    followed. Raises KnowledgeError without a knowledge base and for unknown relations.
    """
    kb = required(kb, "walk")
    unknown = [name for name in relations if name not in kb.relation_names]
    if unknown and kb.relation_names:  # a plain lexicon has no relations: that is not an error
        known = ", ".join(kb.relation_names)
        raise KnowledgeError(f"retriever 'walk': no relation {unknown[0]!r} in the knowledge base; it has {known}")
    return Walk(kb, hops, relations if kb.relation_names else (), direction, facts, limit, _wordings(kb))


@dataclass(frozen=True, slots=True)
class Walk(Frozen):
    """Retrieves the concepts that the text names, in their order, each with its nearest facts; then concepts near to them.

    A text may mention a near concept only in parts ("great and blue tits"). So the concepts whose names share most words with
    the text come first: within eight items this finds more relevant concepts than the order by distance. `words` returns the
    sets of words of a concept's names.
    """

    kb: KnowledgeBase
    hops: int
    relations: tuple[str, ...]
    direction: Direction
    facts: int
    limit: int
    words: Wordings = field(repr=False, compare=False)

    def __call__(
        self, text: str, document: str = "", candidates: Sequence[str] = (), without: Collection[str] = ()
    ) -> list[Knowledge]:
        """Return named concepts (relevance 1), then others: by overlap with the text, then steps, number of paths, id."""
        seeds = named(self.kb, text, document, candidates, without)
        items: list[Knowledge] = []
        paths: dict[str, tuple[str, ...]] = {}  # reached concept -> a shortest path
        times: dict[str, int] = {}
        for surface, concept in seeds:
            facts = list(self._walked(concept.id))
            items.append(Knowledge(concept, surface, tuple(path[-1] for _, path in facts[: self.facts])))
            for id, path in facts:
                times[id] = times.get(id, 0) + 1
                if id not in paths or len(path) < len(paths[id]):
                    paths[id] = path
        for id in (*(concept.id for _, concept in seeds), *without):
            paths.pop(id, None)
        if (free := self.limit - len(items)) > 0:
            text_words = telling(text)
            other = {id: self._mismatch(id, text_words) for id in paths}
            for id in sorted(paths, key=lambda id: (other[id], len(paths[id]), -times[id], id))[:free]:
                items.append(Knowledge(self.kb[id], "", paths[id], 1 / (1 + 2.0 ** other[id])))
        return items

    def _mismatch(self, id: str, text_words: frozenset[str]) -> int:
        """Return the mismatch of a concept's best name: its words that the text lacks, minus those that the text has."""
        return min(len(name - text_words) - len(name & text_words) for name in self.words(id))

    def _walked(self, start: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield every concept with a name within reach, nearest first, with its path in words."""
        words: dict[str, tuple[str, ...]] = {start: ()}
        for reached in self.kb.walk(start, self.hops, self.relations, self.direction, FAN):
            last, end = reached.path[-1], self.kb[reached.id].name
            out = last.tail == reached.id
            before = last.head if out else last.tail
            if end and before in words:
                words[reached.id] = (*words[before], _step(last, end, out))
                yield reached.id, words[reached.id]


def _wordings(kb: KnowledgeBase) -> Wordings:
    """Return a cached function from a concept to the words of its names. Hubs are reached again and again."""

    @lru_cache(maxsize=1 << 16)
    def of(id: str) -> tuple[frozenset[str], ...]:
        concept = kb[id]
        return tuple({telling(name) for name in (concept.name, *concept.synonyms)})

    return of


def _step(relation: Relation, end: str, out: bool) -> str:
    if relation.name == IS_A:
        return f"{'is an' if end[0].lower() in 'aeiou' else 'is a'} {end}" if out else f"includes {end}"
    words = relation.name.replace("_", " ")
    return f"{words} {end}" if out else f"{end} {words} it"
