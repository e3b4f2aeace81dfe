"""Dictionary lookup: each name in the text, with the semantic type or definition of its concept, and no graph (as in DiRAG).

DiRAG ("dictionary-infused RAG", the zero-shot method of the paper that this project reproduces) looks strings up in UMLS. Its
released code gives the semantic type of each. It also fetches a definition but, probably by oversight, does not put it into the
prompt. `fields` has both: "type" as released, "definition" as intended.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from kb._frozen import Frozen
from kb.concept import Concept
from kb.graph import KnowledgeBase
from kb.knowledge import Knowledge, Retriever
from kb.retrievers._common import named, required
from kb.sources.rrf import HAS_TYPE

Fields = Literal["type", "definition"]
LONGEST = 200  # maximum characters of a definition; its first sentence is the most informative


def build(*, kb: KnowledgeBase | None, fields: Fields = "type") -> Retriever:
    """Build a retriever of the concepts that the text names, with their semantic type, or with a definition, too.

    The definition is that of the concept, else that of its semantic type if the knowledge base has one (RRF with
    `type_concepts`), shortened. Raises KnowledgeError without a knowledge base.
    """
    return Flat(required(kb, "flat"), fields)


@dataclass(frozen=True, slots=True)
class Flat(Frozen):
    """Retrieves the names in the text, in their order, each once."""

    kb: KnowledgeBase
    fields: Fields = "type"

    def __call__(
        self, text: str, document: str = "", candidates: Sequence[str] = (), without: Collection[str] = ()
    ) -> list[Knowledge]:
        """Return one item for each name in `text`."""
        found = named(self.kb, text, document, candidates, without)
        if self.fields == "type":
            return [Knowledge(concept, surface) for surface, concept in found]
        return [Knowledge(concept, surface, self._defined(concept)) for surface, concept in found]

    def _defined(self, concept: Concept) -> tuple[str, ...]:
        definition = concept.definition
        if not definition:
            types = self.kb.neighbours(concept.id, HAS_TYPE)
            definition = next((text for relation in types if (text := self.kb[relation.tail].definition)), "")
        return (shortened(definition),) if definition else ()


def shortened(definition: str) -> str:
    """Return the first sentence, or as many whole words as fit into `LONGEST` characters."""
    words = " ".join(definition.split())
    first = words.partition(". ")[0].rstrip(".")
    return first if len(first) <= LONGEST else first[: LONGEST + 1].rpartition(" ")[0] or first[:LONGEST]
