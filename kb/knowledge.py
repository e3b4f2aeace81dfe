"""The result of a retriever: concepts, where the text names them, and how they were reached."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from kb.concept import Concept


@dataclass(frozen=True, slots=True)
class Knowledge:
    """One retrieved concept.

    `surface` is the string in the text that names it, or "" if it was reached only through the graph. `path` are readable facts
    for the prompt: for a named concept its facts or its definition, else the path from a named concept
    (`("is a song bird", "is a bird")`). `relevance` (0..1) orders items; it is 1 for named concepts.
    """

    concept: Concept
    surface: str = ""
    path: tuple[str, ...] = ()
    relevance: float = 1.0


class Retriever(Protocol):
    """Returns the knowledge for a text, most relevant first. Retrievers are deterministic."""

    def __call__(
        self, text: str, document: str = "", candidates: Sequence[str] = (), without: Collection[str] = ()
    ) -> list[Knowledge]:
        """Return the knowledge for one text.

        `document` is the whole document, if `text` is only a part: it may define the abbreviations in `text`. `candidates` are
        strings of `text` that a language model takes for names; the term filter does not apply to them. Concepts whose ids
        are in `without` are ignored.
        """
        ...
