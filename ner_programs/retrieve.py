"""Stage 1, RetrieveKnowledge: from a text to the knowledge lines of its prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import dspy

from kb import Knowledge, Retriever
from ner_programs.prompt import render_knowledge
from ner_programs.types import Label


class RetrieveKnowledge(dspy.Module):
    """Retrieves what the knowledge base says about a text and renders it as lines.

    `types` maps semantic types of the knowledge base to labels of the spec; a type that is a label but for its case maps
    to it by itself. `size` bounds the lines in characters (about four to a token).
    """

    def __init__(
        self, retriever: Retriever, labels: Sequence[Label], types: Mapping[str, str], size: int = 1500
    ) -> None:
        super().__init__()
        self.retriever = retriever
        self.types = {label.name.casefold(): label.name for label in labels} | {
            k.casefold(): v for k, v in types.items()
        }
        self.size = size
        self.lines = lru_cache(maxsize=50_000)(self._render)  # every demonstration asks again and again

    def __deepcopy__(self, memo: dict[int, Any]) -> RetrieveKnowledge:
        return self  # nothing here is compiled; copies share the cache

    def forward(self, text: str) -> str:
        """Return the knowledge lines for `text`, "" where there are none."""
        return self.lines(text)

    def items(self, text: str) -> list[Knowledge]:
        """Return what was retrieved, most relevant first."""
        return self.retriever(text)

    def _render(self, text: str) -> str:
        return render_knowledge(self.items(text), self.types, self.size)
