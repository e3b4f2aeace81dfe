"""Which concept an entity means: after the stages, and without any LM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from ner_programs.types import Entity

if TYPE_CHECKING:
    from kb import KnowledgeBase
    from kb.linking import Linker

LIKELY = 0.5
"""A concept is only given where the link is at least so likely to be right (its score is calibrated, see `kb.linking`)."""


def linked(text: str, entities: Sequence[Entity], kb: KnowledgeBase) -> tuple[Entity, ...]:
    """Return the entities of a document with the id of the concept that each most likely means, where one is likely.

    Short forms that `text` defines are written out first (Schwartz and Hearst 2003).
    """
    ranked = _linker(kb).link_all([e.text for e in entities], context=text, k=1)
    return tuple(
        replace(e, concept=links[0].concept) if links and links[0].score >= LIKELY else e
        for e, links in zip(entities, ranked, strict=True)
    )


@lru_cache(maxsize=4)
def _linker(kb: KnowledgeBase) -> Linker:
    from kb.linking import Linker

    return Linker(kb)
