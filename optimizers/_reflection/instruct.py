"""Has an LM rewrite the instruction from feedback on the program's errors on train.

This is one step of reflective prompt evolution (GEPA, Agrawal et al. 2025), without a population: the race decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError, LMError

from ner_programs.evaluate import in_threads
from ner_programs.lms.metered import MeteredLM
from ner_programs.program import NERProgram
from optimizers._reflection.conventions import Conventions
from optimizers._reflection.feedback import feedback

SHOWN = 12
"""Maximum number of texts with feedback in a prompt."""


class ImproveInstruction(dspy.Signature):
    """An instruction tells a language model how to find mentions in a text. Read what it got wrong below and why, and write a
    better instruction: keep what the present one says, and add a line for every convention that the mistakes point to. Do not
    list the examples."""

    current_instruction: str = dspy.InputField()
    examples_with_feedback: list[dict[str, Any]] = dspy.InputField()
    improved_instruction: str = dspy.OutputField()


def improved(
    program: NERProgram, examples: Sequence[dspy.Example], conventions: Conventions, writer: MeteredLM
) -> str | None:
    """Return an instruction that `writer` writes for the extractor, from feedback on its cross-fitted answers to `examples`.

    These are units of train. Costs a call for each, and one for the instruction. Returns None if the program made no mistake,
    if the call failed, or if the new instruction is empty or unchanged.
    """
    answers = in_threads(lambda e: program(text=e.text, exclude=e.exclude), list(examples))
    shown = []
    for example, answer in zip(examples, answers, strict=True):
        if set(answer.entities) != set(example.entities) and not answer.get("unanswered"):
            mentions = [{"text": e.text, "label": e.label, "start": e.start} for e in answer.entities]
            words = feedback(
                example.text, example.entities, answer, knowledge=example.get("knowledge") or "", conventions=conventions,
                exclude=example.exclude,
            )  # fmt: skip
            shown.append(
                {"Inputs": {"text": example.text}, "Generated Outputs": {"mentions": mentions}, "Feedback": words}
            )
    if not shown:
        return None
    current = program.extract.predict.signature.instructions
    try:
        with dspy.context(lm=writer, adapter=dspy.ChatAdapter(use_json_adapter_fallback=False)):
            answer = dspy.Predict(ImproveInstruction)(current_instruction=current, examples_with_feedback=shown[:SHOWN])
    except (LMError, AdapterParseError):
        return None
    new = str(answer.improved_instruction or "").strip()
    return new if new and new != current.strip() else None
