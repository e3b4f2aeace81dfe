"""No knowledge: the baseline for retrievers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kb._frozen import Frozen
from kb.graph import KnowledgeBase
from kb.knowledge import Knowledge, Retriever


def build(*, kb: KnowledgeBase | None) -> Retriever:
    """Build a retriever that returns nothing, whatever the knowledge base."""
    return Nothing()


@dataclass(frozen=True, slots=True)
class Nothing(Frozen):
    """Returns nothing."""

    def __call__(
        self, text: str, document: str = "", candidates: Sequence[str] = (), without: Collection[str] = ()
    ) -> list[Knowledge]:
        """Return no items."""
        return []
