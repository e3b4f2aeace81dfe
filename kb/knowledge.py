"""What a retriever returns: a concept, where it was seen in the text, and why it was brought along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kb.concept import Concept


@dataclass(frozen=True, slots=True)
class Knowledge:
    """One retrieved concept.

    `surface` is the string of the text it was found by ("" when it was only reached through the graph), `path` says how
    it was reached, as readable steps from what the text names (`("is a neurocutaneous syndrome",)`), and `relevance`
    (0..1) orders items: 1 for what the text itself names.
    """

    concept: Concept
    surface: str = ""
    path: tuple[str, ...] = ()
    relevance: float = 1.0


class Retriever(Protocol):
    """A way from a text to the knowledge around it, most relevant first; the same text gives the same items."""

    def __call__(self, text: str) -> list[Knowledge]:
        """The knowledge for one text."""
        ...
