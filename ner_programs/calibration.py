"""Calibration: fits two biases, on opening and on closing a mark, for an LM that answers in an inline format.

A small LM copies the text and hardly ever opens a mark. With a grammar that allows only the gold answer (teacher forcing), it
reports at every word its probability of opening or closing a mark there. The two biases that make most of these decisions right
are the calibration (after Zhao et al. 2021, "Calibrate Before Use", who fit an affine map of label probabilities; here two
offsets suffice). The LM's own answers then show whether the bias on opening is too high.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dspy
import numpy as np

from ner_programs.errors import ComponentError
from ner_programs.formats.grammar import literal
from ner_programs.prompts.adapter import StageAdapter
from ner_programs.prompts.asking import ask
from ner_programs.prompts.decisions import Decision, decisions, tokens_in
from ner_programs.stages.extract import ExtractEntities, FormatCodec
from ner_programs.waiting import BLOCKING, finished

RANGE = np.arange(-4.0, 14.01, 0.1)
"""The candidate biases, in nats."""
SOFTNESS = 0.5
"""Temperature of a decision's odds, in nats: decisions count as probabilities, so that a few texts are not overfitted."""


def favours(extract: ExtractEntities, lm: Any) -> bool:
    """Return whether biases on marks are possible: by the format, by the program's settings, and by the LM."""
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
    """Return the LM's decisions along the gold answer of a labelled text. Costs one call.

    `example` is one of `NERProgram.examples`; demonstrations from its own document are not shown.
    """
    right = extract.codec.encode(example)
    adapter = _Watched(extract, right)
    adapter.asked(extract, example)
    return adapter.made


def marked(extract: ExtractEntities, example: dspy.Example) -> list[tuple[float, bool]]:
    """Return, for each mention in the LM's own answer, the odds of its opening, and whether it is right. Costs one call.

    The odds include the bias, so they are above 0.
    """
    adapter = _Watched(extract)
    found = adapter.asked(extract, example)
    gold = {(m["start"], m["text"], m["label"]) for m in example.mentions}
    right = [(m.get("start"), m["text"], m["label"]) in gold for m in found]
    odds = [d.odds + adapter.opening for d in adapter.made if d.kind == "open" and d.marked]
    return list(zip(odds, right, strict=True)) if len(odds) == len(right) else []


def fit(answers: Sequence[Sequence[Decision]]) -> tuple[float, float]:
    """Return the biases on opening and closing, in nats, with the highest expected F1 of the decisions along gold answers.

    A mention is right if its mark is opened at its start, and closed at its end and not before. Raises ValueError if no answer
    has a mark: nothing can be learned.
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
    """Return the reduction of the bias on opening, in nats, that maximises the F1 of the LM's own answers (`marked`).

    In a gold answer all marks before a decision are right, in an LM's own answer they are not. So it opens more than `fit`
    expects (exposure bias).
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
    """Return the probability that a mark is closed at the right position, and not before."""
    odds = np.array([(1 if d.marked else -1) * (d.odds + closing) for d in edges])
    return float(np.prod(_sigmoid(odds)))


def _sigmoid(odds: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(odds / SOFTNESS, -500, 500)))


class _Watched(StageAdapter):
    """An adapter that records the decisions of an answer; with `right` only that answer is allowed."""

    def __init__(self, extract: ExtractEntities, right: str | None = None) -> None:
        codec, own = FormatCodec(extract.format, extract.task), extract.adapter
        if right is not None:
            codec.grammar = lambda text: f"root ::= {literal(right)}"
        pushed = (own.opening, own.closing) if right is None else ()
        super().__init__(codec, own.labels, True, *pushed)
        self.made: list[Decision] = []

    def asked(self, extract: ExtractEntities, example: dspy.Example) -> list[dict[str, Any]]:
        """Ask the LM about a labelled text, and return the mentions."""
        demos = extract.demos(example.text, example.exclude)
        fields = {"text": example.text, "knowledge": example.knowledge, "demos": demos}
        answer = finished(ask(BLOCKING, extract.predict, self, **fields))
        return list(answer.get("mentions") or ())

    def _call_postprocess(
        self, processed_signature: Any, original_signature: Any, outputs: list[Any], lm: Any, lm_kwargs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        for output in outputs:
            if isinstance(output, dict) and self.marks and output.get("logprobs"):
                tokens, names = tokens_in(output["logprobs"]), [label.name for label in self.labels]
                self.made = decisions(output.get("text") or "", tokens, self.marks, names)
        return super()._call_postprocess(processed_signature, original_signature, outputs, lm, lm_kwargs)
