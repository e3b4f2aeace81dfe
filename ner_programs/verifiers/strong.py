"""The strong LM's own answer to the extraction prompt, in place of the candidates: for a `cascade`, on hard texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dspy

from ner_programs.errors import LMSetupError
from ner_programs.lms import current_lm
from ner_programs.stages.extract import ExtractEntities, Extraction
from ner_programs.stages.verify import Verification, replaced
from ner_programs.types import Entity
from ner_programs.waiting import Module, Wait


class Strong(Module):
    """Asks the LM of the role `strong` what the program's extraction stage asks: the same prompt, whatever becomes of it.

    Raises LMSetupError where no LM has that role.
    """

    def __init__(self, extract: ExtractEntities) -> None:
        super().__init__()
        self.extract = extract  # the program's own; a copy of the program has its own copy of it here, too

    async def steps(
        self, wait: Wait, text: str, knowledge: str, candidates: Sequence[Entity], exclude: Sequence[str] = ()
    ) -> Verification:
        """Replace the candidates of `text`; where the call fails, or is refused, they stand."""
        with dspy.context(lm=self.lm()):
            return _instead(candidates, await wait.call(self.extract, text, knowledge, exclude))

    def lm(self) -> Any:
        """Return the strong LM."""
        lm = current_lm()
        if not has_strong(lm):
            raise LMSetupError(
                'verify asks a strong LM and there is none: give one in [lm.strong] (open_lm("...", strong="..."))'
            )
        if self.extract.predict.lm is not None:
            raise LMSetupError(
                "verify asks a strong LM, which a predictor with an LM of its own (set_lm) never reaches"
            )
        return lm.role("strong")


def has_strong(lm: Any) -> bool:
    """Return whether an LM has another one beside it that takes the role `strong`."""
    return hasattr(lm, "has_role") and bool(lm.has_role("strong"))


def _instead(candidates: Sequence[Entity], said: Extraction) -> Verification:
    """Return the verdicts that leave nothing of the candidates and add what was said, where it was said."""
    if said.unanswered or said.answers.refused:
        return Verification(unanswered=said.unanswered, answers=said.answers)
    return Verification(replaced(candidates, said.items), said.unreadable, answers=said.answers)


def build(*, extract: ExtractEntities) -> Strong:
    """Build it over the program's extraction stage."""
    return Strong(extract)
