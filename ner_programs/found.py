"""What a program says of one text."""

from __future__ import annotations

import dspy

from ner_programs.prompts.answers import Answers
from ner_programs.types import Entities, Mention


class Found(dspy.Prediction):
    """What a program says of one text: `entities`, and how many of its calls failed; a notebook shows the marked text.

    `reasons` says why calls failed, each reason once. `error` is what ended the work on a text of a `batch`, else None.
    """

    entities: Entities
    lost: tuple[Mention, ...]
    unreadable: int
    unanswered: int
    answers: Answers
    reasons: tuple[str, ...]
    error: Exception | None

    def _repr_html_(self) -> str:
        from ner_programs.highlight import notebook_html

        went_wrong = {
            "said, but not placed": len(self.lost),
            "unreadable": self.unreadable,
            "unanswered": self.unanswered,
        }
        remarks = [*(f"{count} {what}" for what, count in went_wrong.items() if count), *self.reasons]
        return notebook_html(self.entities.text, self.entities, ", ".join(remarks))
