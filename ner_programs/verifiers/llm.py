"""Verification by the language model, in one call for each unit of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dspy

from ner_programs.demos import permitted
from ner_programs.demos.base import Shown
from ner_programs.prompts.adapter import StageAdapter
from ner_programs.prompts.asking import ask, ended
from ner_programs.stages.verify import Verification, verdicts_for
from ner_programs.types import Entity, Label, Verdict
from ner_programs.verifiers._verdicts import Mode, VerdictCodec, Verdicts, as_fields, render_candidates
from ner_programs.waiting import Module, Wait


class JudgeCandidates(dspy.Signature):
    """Check the candidates that were found in the text."""

    knowledge: str = dspy.InputField()
    text: str = dspy.InputField()
    candidates: str = dspy.InputField()
    verdicts: list[dict[str, Any]] = dspy.OutputField()


class LLMVerifier(Module):
    """Shows numbered candidates; a text without candidates is only sent in mode "full", which may add mentions.

    Its demonstrations are the extractor's own cross-fitted answers on train, diffed with gold (`demonstration`).
    """

    def __init__(self, labels: Sequence[Label], guidelines: str, mode: Mode, k: int) -> None:
        super().__init__()
        instruction = f"{JudgeCandidates.instructions}\n\n{guidelines}".strip()
        self.predict = dspy.Predict(JudgeCandidates.with_instructions(instruction))
        self.adapter = StageAdapter(VerdictCodec(Verdicts(labels, mode)), labels)
        self.mode, self.k = mode, k

    async def steps(
        self, wait: Wait, text: str, knowledge: str, candidates: Sequence[Entity], exclude: Sequence[str] = ()
    ) -> Verification:
        """Decide about the candidates of `text`; demonstrations from the documents in `exclude` are not shown."""
        if not candidates and self.mode == "reject":
            return Verification()
        fields = {"text": text, "knowledge": knowledge, "candidates": render_candidates(candidates)}
        demos = permitted(self.predict.demos, text, exclude)
        return _verification(await ask(wait, self.predict, self.adapter, **fields, demos=demos))

    def demonstration(
        self, text: str, knowledge: str, candidates: Sequence[Entity], gold: Sequence[Entity]
    ) -> dict[str, Any]:
        """Return the demonstration that shows how `candidates` become `gold`; mode "reject" rejects all that is not gold."""
        verdicts = verdicts_for(candidates, gold)
        shown = render_candidates(candidates)
        return {"text": text, "knowledge": knowledge, "candidates": shown, "verdicts": [as_fields(v) for v in verdicts]}


def _verification(prediction: Mapping[str, Any]) -> Verification:
    verdicts = tuple(Verdict(**v) for v in prediction.get("verdicts") or ())
    return Verification(verdicts, *ended(prediction))


def build(*, labels: Sequence[Label], guidelines: str = "", mode: Mode = "full", k: Shown = 12) -> LLMVerifier:
    """Build the verifier; `k` demonstrations are made from train when the program is compiled."""
    return LLMVerifier(labels, guidelines, mode, k)
