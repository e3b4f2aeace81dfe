"""What the retrievers share: a knowledge base that must be there, and the concepts that a text names."""

from __future__ import annotations

from kb._errors import KnowledgeError
from kb.concept import Concept
from kb.graph import KnowledgeBase
from kb.names import normalise


def required(kb: KnowledgeBase | None, retriever: str) -> KnowledgeBase:
    """The knowledge base, or a KnowledgeError that says what the spec lacks."""
    if kb is None:
        raise KnowledgeError(
            f"retriever {retriever!r} needs a knowledge base: give the spec a [kb] table with `sources`"
        )
    return kb


def named(kb: KnowledgeBase, text: str) -> list[tuple[str, Concept]]:
    """The names in `text` in its order, each once (compared in normal form), with the best concept of that name."""
    found: dict[str, tuple[str, Concept]] = {}
    for match in kb.names.find(text):
        found.setdefault(normalise(match.text), (match.text, kb[match.concepts[0]]))
    return list(found.values())
