"""Finds the concepts that come only from certain documents.

If mentions of train are knowledge (decision 0010), the prompt for a train text must not have knowledge that comes only from its
own document.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from kb import KnowledgeBase
from kb.sources.gazetteer import concept_id
from ner_programs.demos import Demonstration


class Contributions:
    """The concepts of a knowledge base that come from mentions of a pool, with their documents."""

    def __init__(self, pool: Iterable[Demonstration], kb: KnowledgeBase | None) -> None:
        self._sources: dict[str, set[tuple[str, str]]] = {}
        for d in pool if kb is not None else ():
            for id in {concept_id(m.text, m.label) for m in d.mentions}:
                self._sources.setdefault(id, set()).add((d.document, d.group))
        self._sources = {id: of for id, of in self._sources.items() if kb is not None and kb.get(id) is not None}
        self._ids: dict[str, set[str]] = {}
        for id, of in self._sources.items():
            for kin in {kin for source in of for kin in source}:
                self._ids.setdefault(kin, set()).add(id)

    def only(self, exclude: Collection[str]) -> frozenset[str]:
        """Return the ids of the concepts that come only from documents whose id or group is in `exclude`."""
        if not self._ids:
            return frozenset()
        out = frozenset(exclude)
        found = {id for kin in out for id in self._ids.get(kin, ())}
        return frozenset(id for id in found if all(not out.isdisjoint(source) for source in self._sources[id]))
