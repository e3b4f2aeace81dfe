"""The dictionary: every name that the text holds, with its concept and nothing around it (as in DiRAG)."""

from __future__ import annotations

from dataclasses import dataclass

from kb._frozen import Frozen
from kb.graph import KnowledgeBase
from kb.knowledge import Knowledge, Retriever
from kb.retrievers._common import named, required


def build(*, kb: KnowledgeBase | None) -> Retriever:
    """A retriever of the concepts that the text names. Raises KnowledgeError without a knowledge base."""
    return Flat(required(kb, "flat"))


@dataclass(frozen=True, slots=True)
class Flat(Frozen):
    """What the text names, in its order, each name once."""

    kb: KnowledgeBase

    def __call__(self, text: str) -> list[Knowledge]:
        """One item for every name found in `text`."""
        return [Knowledge(concept, surface) for surface, concept in named(self.kb, text)]
