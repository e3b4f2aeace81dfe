"""The graph: what the text names, with what it is said to be, and then the concepts a few typed steps away."""

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
FAN = 50  # of one kind; a hub has 100,000 relations, and after the first few of them nobody will ask


def build(
    *,
    kb: KnowledgeBase | None,
    hops: Annotated[int, Interval(ge=1, le=10)] = 1,
    relations: Annotated[tuple[str, ...], Len(0, 1000)] = (IS_A,),
    direction: Direction = "out",
    facts: Annotated[int, Interval(ge=0, le=100)] = 3,
    limit: Annotated[int, Interval(ge=1, le=1000)] = 8,
) -> Retriever:
    """A retriever that walks at most `hops` steps along `relations`, away from what the text names.

    `direction`: "out" from head to tail (to what something is), "in" the other way (to its kinds), or "both". A named
    concept carries its nearest `facts`. What the text names is always brought; concepts that were only walked to follow
    while there are fewer than `limit` items. Of the relations of one kind that a concept has in one direction the first
    50 are followed. Raises KnowledgeError without a knowledge base and for options that mean nothing in it.
    """
    kb = required(kb, "walk")
    unknown = [name for name in relations if name not in kb.relation_names]
    if unknown and kb.relation_names:  # a plain lexicon has none: there is nothing to walk, and nothing wrong
        known = ", ".join(kb.relation_names)
        raise KnowledgeError(f"retriever 'walk': no relation {unknown[0]!r} in the knowledge base; it has {known}")
    return Walk(kb, hops, relations if kb.relation_names else (), direction, facts, limit, _wordings(kb))


@dataclass(frozen=True, slots=True)
class Walk(Frozen):
    """What the text names, in its order, each with its nearest facts; then what those facts lead to.

    Of the latter a text says part by part what it does not name as a whole ("great and blue tits"), so those whose names
    share most words with it come first: within eight items that finds more of what is meant than the nearest do.
    `words` are the sets of words of a concept's names.
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
        """Named concepts (relevance 1), then others: the likest to the text first, then fewest steps, most names, id."""
        seeds = named(self.kb, text, document, candidates, without)
        items: list[Knowledge] = []
        paths: dict[str, tuple[str, ...]] = {}  # concept walked to -> the shortest way there
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
            said = telling(text)
            other = {id: self._strange(id, said) for id in paths}
            for id in sorted(paths, key=lambda id: (other[id], len(paths[id]), -times[id], id))[:free]:
                items.append(Knowledge(self.kb[id], "", paths[id], 1 / (1 + 2.0 ** other[id])))
        return items

    def _strange(self, id: str, said: frozenset[str]) -> int:
        """Of the concept's name that fits best: how many of its words the text lacks, less those that it has."""
        return min(len(name - said) - len(name & said) for name in self.words(id))

    def _walked(self, start: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Every named concept within reach by named concepts, nearest first, with the way as words."""
        words: dict[str, tuple[str, ...]] = {start: ()}
        for reached in self.kb.walk(start, self.hops, self.relations, self.direction, FAN):
            last, end = reached.path[-1], self.kb[reached.id].name
            out = last.tail == reached.id
            before = last.head if out else last.tail
            if end and before in words:
                words[reached.id] = (*words[before], _step(last, end, out))
                yield reached.id, words[reached.id]


def _wordings(kb: KnowledgeBase) -> Wordings:
    """The words of every name of a concept; remembered, since hubs are walked to again and again."""

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
