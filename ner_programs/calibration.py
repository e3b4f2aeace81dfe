"""How eagerly an LM opens and closes marks, measured on labelled texts, and how much that is to be favoured.

A small LM copies the text and hardly ever opens a mark. Held to a grammar that allows the right answer alone, it is asked for
the answer that it should have given (teacher forcing), and reports at every word how likely it was to open or close a mark
there instead of going on. The two numbers that make most of these decisions right are the calibration (after Zhao et al. 2021,
"Calibrate Before Use", who fit an affine map of label probabilities; here two offsets suffice). What it then marks by itself
says whether opening is favoured too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dspy
import numpy as np

from ner_programs.errors import ComponentError
from ner_programs.formats.grammar import literal
from ner_programs.prompts.adapter import StageAdapter, ask
from ner_programs.prompts.decisions import Decision, decisions, tokens_in
from ner_programs.stages.extract import ExtractEntities, FormatCodec, as_mention
from ner_programs.waiting import BLOCKING, finished

RANGE = np.arange(-4.0, 14.01, 0.1)
"""What is tried, in nats."""
SOFTNESS = 0.5
"""A decision counts as its probability with odds in units of so many nats: so a few texts do not fit every accident."""


def favours(extract: ExtractEntities, lm: Any) -> bool:
    """Return whether marks can be favoured: by the format, by the program's settings, and by the LM."""
    held = extract.adapter.marks is not None and extract.adapter.constrained
    return held and {"grammar", "bias"} <= set(getattr(lm, "form", ())) and getattr(lm, "reports_logprobs", False)


def check(extract: ExtractEntities, lm: Any) -> None:
    """Raise ComponentError where marks cannot be favoured."""
    if not favours(extract, lm):
        raise ComponentError(
            "calibration needs an inline format (tanl, tagged) with program.constrained, and an LM that takes a grammar and a "
            'bias and reports log-probabilities: local/..., or a llama.cpp server with [lm] can = ["grammar", "logit_bias", '
            '"logprobs"]'
        )


def forced(extract: ExtractEntities, example: dspy.Example) -> list[Decision]:
    """Return the decisions in the right answer about a labelled text, as the LM would have made them; costs one call.

    `example` is one of `NERProgram.examples`; demonstrations of its own document are not shown.
    """
    right = extract.format.write(example.text, [as_mention(m) for m in example.mentions])
    adapter = _Watched(extract, right)
    adapter.asked(extract, example)
    return adapter.made


def marked(extract: ExtractEntities, example: dspy.Example) -> list[tuple[float, bool]]:
    """Return of each mention that the LM marks by itself the odds of its opening, and whether it is right; costs one call.

    The odds are those with marks favoured, so above 0.
    """
    adapter = _Watched(extract)
    found = adapter.asked(extract, example)
    gold = {(m["start"], m["text"], m["label"]) for m in example.mentions}
    right = [(m.get("start"), m["text"], m["label"]) in gold for m in found]
    odds = [d.odds + adapter.opening for d in adapter.made if d.kind == "open" and d.marked]
    return list(zip(odds, right, strict=True)) if len(odds) == len(right) else []


def fit(answers: Sequence[Sequence[Decision]]) -> tuple[float, float]:
    """Return the opening and the closing, in nats, with the highest F1 that is expected of decisions in right answers.

    A mention is found where its mark is opened, and closed where it ends and not before. Raises ValueError where no answer has
    a mark: nothing can be learned.
    """
    mentions, elsewhere = [], []
    for answer in answers:
        for d in answer:
            if d.kind == "open" and d.marked:
                mentions.append([d])
            elif d.kind == "open":
                elsewhere.append(d.odds)
            elif d.kind == "close" and mentions:
                mentions[-1].append(d)
    if not mentions:
        raise ValueError("no text has a mention")
    ended = np.array([[_ended(m[1:], closing) for closing in RANGE] for m in mentions]).T  # closing x mention
    closing = int(ended.sum(axis=1).argmax())
    opened = _sigmoid(np.array([m[0].odds for m in mentions])[None, :] + RANGE[:, None])  # opening x mention
    right = (opened * ended[closing][None, :]).sum(axis=1)
    false = _sigmoid(np.array(elsewhere)[None, :] + RANGE[:, None]).sum(axis=1)
    f1 = 2 * right / (opened.sum(axis=1) + false + len(mentions))
    return round(float(RANGE[int(f1.argmax())]), 1), round(float(RANGE[closing]), 1)


def excess(answers: Sequence[Sequence[tuple[float, bool]]], gold: int) -> float:
    """Return by how much less opening is to be favoured, in nats, for the highest F1 of what was `marked`.

    A right answer has right marks before each decision, an LM's own has not: it opens more than `fit` expects.
    """
    ranked = sorted((pair for answer in answers for pair in answer), reverse=True)
    best, less, right = 0.0, 0.0, 0
    for n, (odds, is_right) in enumerate(ranked, 1):
        right += is_right
        following = ranked[n][0] if n < len(ranked) else 0.0
        if odds > following and (f1 := 2 * right / (n + gold)) > best:
            best, less = f1, max((odds + following) / 2 if following else 0.0, 0.0)
    return round(less, 1)


def _ended(edges: Sequence[Decision], closing: float) -> float:
    """Return the probability that a mark is closed where it should be, and not before."""
    odds = np.array([(1 if d.marked else -1) * (d.odds + closing) for d in edges])
    return float(np.prod(_sigmoid(odds)))


def _sigmoid(odds: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(odds / SOFTNESS, -500, 500)))


class _Watched(StageAdapter):
    """Keeps the decisions of an answer; with `right` no other answer is allowed."""

    def __init__(self, extract: ExtractEntities, right: str | None = None) -> None:
        codec, own = FormatCodec(extract.format), extract.adapter
        if right is not None:
            codec.grammar = lambda text: f"root ::= {literal(right)}"
        pushed = (own.opening, own.closing) if right is None else ()
        super().__init__(codec, own.labels, True, *pushed)
        self.made: list[Decision] = []

    def asked(self, extract: ExtractEntities, example: dspy.Example) -> list[dict[str, Any]]:
        """Ask about a labelled text, and return the mentions."""
        demos = extract.demos(example.text, example.exclude)
        fields = {"text": example.text, "knowledge": example.knowledge, "demos": demos}
        said = finished(ask(BLOCKING, extract.predict, self, **fields))
        return list(said.get("mentions") or ())

    def _call_postprocess(
        self, processed_signature: Any, original_signature: Any, outputs: list[Any], lm: Any, lm_kwargs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        for output in outputs:
            if isinstance(output, dict) and self.marks and output.get("logprobs"):
                tokens, names = tokens_in(output["logprobs"]), [label.name for label in self.labels]
                self.made = decisions(output.get("text") or "", tokens, self.marks, names)
        return super()._call_postprocess(processed_signature, original_signature, outputs, lm, lm_kwargs)
