"""Another way to verify, asked only where the program is not sure of what it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field

from ner_programs.alignment.align import align
from ner_programs.stages.verify import Verification, Verifier, apply, replaced
from ner_programs.types import Entity
from ner_programs.waiting import Module, Wait


class Cascade(Module):
    """Asks the verifier `of` about a unit of text if its confidence is not above the threshold; otherwise candidates stand.

    At threshold 0 it is never asked, at 1 always. A verifier that comes `first` decides before, and how sure it is counts.
    """

    def __init__(self, of: Verifier, threshold: float, first: Verifier | None = None) -> None:
        super().__init__()
        self.of, self.threshold, self.first = of, threshold, first

    async def steps(
        self, wait: Wait, text: str, knowledge: str, candidates: Sequence[Entity], exclude: Sequence[str] = ()
    ) -> Verification:
        """Decide about the candidates of `text`, or let them stand."""
        first, said = self.first, Verification()
        if first is not None:
            said = await wait.call(first, text, knowledge, candidates, exclude)
        stand = _standing(text, candidates, said)
        if not self.asks(stand):
            return said
        return _both(text, candidates, stand, said, await wait.call(self.of, text, knowledge, stand, exclude))

    def asks(self, candidates: Sequence[Entity]) -> bool:
        """Return whether the verifier is asked."""
        return 0 < self.threshold >= confidence(candidates)


def _standing(text: str, candidates: Sequence[Entity], said: Verification) -> Sequence[Entity]:
    """Return what stands after a verifier has decided."""
    return align(text, apply(candidates, said.verdicts)) if said.verdicts else candidates


def _both(
    text: str, candidates: Sequence[Entity], stand: Sequence[Entity], first: Verification, then: Verification
) -> Verification:
    """Return what two verifiers decided one after the other, the second about what the first let stand."""
    verdicts = then.verdicts
    if first.verdicts:
        verdicts = replaced(candidates, apply(stand, then.verdicts)) if then.verdicts else first.verdicts
    unreadable, unanswered = first.unreadable + then.unreadable, first.unanswered or then.unanswered
    return Verification(verdicts, unreadable, unanswered, first.answers + then.answers)


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
    first: dict[str, Any] | None = None,
) -> Cascade:
    """Build the verifier; `of` is what it asks, with its options (`{ name = "strong" }`; by default `{ name = "llm" }`).

    `first` decides before, and says how sure it is (`{ name = "fuse" }`, where the LM does not).
    """
    return Cascade(inner(of or {"name": "llm"}), threshold, inner(first) if first else None)
