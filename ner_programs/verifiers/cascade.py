"""Another way to verify, asked only where the program is not sure of what it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import dspy
from pydantic import Field

from ner_programs.types import Entity
from ner_programs.verify import Verification, Verifier


class Cascade(dspy.Module):
    """Asks the verifier `of` about a unit of text if its confidence is not above the threshold; otherwise candidates stand.

    At threshold 0 it is never asked, at 1 always.
    """

    def __init__(self, of: Verifier, threshold: float) -> None:
        super().__init__()
        self.of, self.threshold = of, threshold

    def forward(
        self, text: str, knowledge: str, candidates: Sequence[Entity], exclude: Sequence[str] = ()
    ) -> Verification:
        """Decide about the candidates of `text`, or let them stand."""
        return self.of(text, knowledge, candidates, exclude) if self.asks(candidates) else Verification()

    async def aforward(
        self, text: str, knowledge: str, candidates: Sequence[Entity], exclude: Sequence[str] = ()
    ) -> Verification:
        """Decide asynchronously."""
        return await self.of.acall(text, knowledge, candidates, exclude) if self.asks(candidates) else Verification()

    def asks(self, candidates: Sequence[Entity]) -> bool:
        """Return whether the verifier is asked."""
        return 0 < self.threshold >= confidence(candidates)


def confidence(candidates: Sequence[Entity]) -> float:
    """Return how sure an answer is (0..1): the least score of its candidates.

    One without a score may be anything: 0. Where there are no candidates there is none to doubt: 1.
    """
    return min((e.score if e.score is not None else 0.0 for e in candidates), default=1.0)


def build(
    *,
    inner: Callable[[dict[str, Any]], Verifier],
    of: dict[str, Any] | None = None,
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Cascade:
    """Build the verifier; `of` is what it asks, with its options (`{ name = "strong" }`; by default `{ name = "llm" }`)."""
    return Cascade(inner(of or {"name": "llm"}), threshold)
