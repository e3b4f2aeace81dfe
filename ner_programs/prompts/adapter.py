"""The one DSPy adapter of nerc: it lays out any stage's prompt and lets the stage's codec write and read answers.

An adapter is a global setting in DSPy and is not saved with a program; a stage therefore applies its own inside
`forward`, with `dspy.context(adapter=...)`, so that the format is part of the program and reaches no other predictor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any, Protocol

import dspy

from ner_programs.prompts import prompt
from ner_programs.prompts.answers import heard, said
from ner_programs.prompts.decisions import Marks, Token, decisions, tokens_in
from ner_programs.prompts.likelihood import Place, likelihoods
from ner_programs.prompts.rendering import Rendering
from ner_programs.types import Label

_SPARE = 256
"""Tokens of an answer under a grammar, beside two for each character of its text: more than any right answer has."""
_TALK = 1024
"""Tokens of an answer under none, beside four for each byte of its text: room for talk around the answer."""
_ALTERNATIVES = 20
"""Tokens reported in the place of each; no provider gives more."""


class Codec(Protocol):
    """What turns a stage's output into an answer text and back (a format, or the verdicts of a verifier)."""

    def describe(self) -> str:
        """Return the part of the prompt that says how to answer."""

    def encode(self, fields: Mapping[str, Any]) -> str:
        """Write the answer of a demonstration, given all its fields."""

    def decode(self, answer: str) -> dict[str, Any]:
        """Read an answer into output fields; never raises.

        Beside them `unreadable` counts pieces, and `echo` is the text that the answer repeats, where its form is to repeat it;
        items of the output that are mappings may say in `place` where in the answer they are written.
        """

    def schema(self) -> dict[str, Any] | None:
        """Return a JSON schema for providers that can enforce one, else None."""


class StageAdapter(dspy.Adapter):
    """Instruction, labels and answer form in the system message; one turn for each demonstration; then the text."""

    def __init__(
        self, codec: Codec, labels: Sequence[Label], constrained: bool = True, opening: float = 0.0, closing: float = 0.0
    ) -> None:  # fmt: skip
        """Hold answers to the codec's grammar where it is `constrained`; favour what opens and closes a mark, in nats."""
        super().__init__()
        self.codec, self.labels, self.constrained = codec, tuple(labels), constrained
        self.opening, self.closing = opening, closing
        self.marks: Marks | None = getattr(codec, "marks", None)
        self.rendering = Rendering(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> StageAdapter:
        return self  # holds nothing that changes what it does

    def _call_preprocess(self, lm: Any, lm_kwargs: dict[str, Any], signature: Any, inputs: dict[str, Any]) -> Any:
        """Hold the LM to the answer's form, and ask it for log-probabilities, where format and provider have them."""
        lm_kwargs |= self.settings(lm, lm_kwargs, inputs)
        return super()._call_preprocess(lm, lm_kwargs, signature, inputs)

    def settings(self, lm: Any, lm_kwargs: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return how the LM is asked."""
        asked, form, text = dict(lm_kwargs), getattr(lm, "form", ()), str(inputs.get("text") or "")
        if getattr(lm, "reports_logprobs", False):
            asked["logprobs"] = True
        written = getattr(self.codec, "grammar", None) if self.constrained and "grammar" in form else None
        grammar = written(text) if written else None
        schema = None if grammar or not lm.supports_response_schema else self.codec.schema()
        if grammar:
            pushed = self._favoured() if "bias" in form else []
            asked["form"] = {"grammar": grammar} | ({"logit_bias": pushed} if pushed else {})
            if asked.get("logprobs") and self.marks:
                asked["top_logprobs"] = _ALTERNATIVES
        elif schema is not None:
            wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
            asked["response_format"] = wanted
        most = getattr(lm, "max_answer", 0)
        if lm.kwargs.get("max_tokens") is None and (grammar or most):
            bound = _SPARE + 2 * len(text) if grammar else min(_TALK + 4 * len(text.encode()), most)
            asked.setdefault("max_tokens", bound)
        return asked

    def _favoured(self) -> list[list[Any]]:
        """Return the strings whose tokens are favoured, each with its nats."""
        if self.marks is None:
            return []
        pushed = [(s, self.opening) for s in self.marks.opens] + [(s, self.closing) for s in self.marks.closes]
        return [[s, nats] for s, nats in pushed if nats]

    def format(
        self, signature: type[dspy.Signature], demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Return the messages of one request."""
        messages = [{"role": "system", "content": self.system(signature)}]
        for demo in demos:
            if any(demo.get(field) is None for field in signature.output_fields):
                continue
            messages.append({"role": "user", "content": self.turn(signature.input_fields, demo)})
            messages.append({"role": "assistant", "content": self.codec.encode(demo)})
        asked = self.turn(signature.input_fields, inputs)
        heard().asked = asked
        messages.append({"role": "user", "content": asked})
        return messages

    def system(self, signature: type[dspy.Signature]) -> str:
        """Return the system message: what to do, the labels, how to answer."""
        return prompt.render(
            [
                ("", signature.instructions.strip()),
                ("labels", prompt.render_labels(self.labels)),
                ("answer", self.codec.describe()),
            ]
        )

    @staticmethod
    def turn(names: Iterable[str], fields: Mapping[str, Any]) -> str:
        """Return a user's message: the fields with these names that are not empty."""
        return prompt.render([(name, fields[name]) for name in names if fields.get(name)])

    def _call_postprocess(
        self, processed_signature: Any, original_signature: Any, outputs: list[Any], lm: Any, lm_kwargs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Read the answers, and score each mention or verdict by the tokens that write it where the LM reports them.

        What the end of a cut answer may have lost a part of is left out.
        """
        outputs = [_answer(output) for output in outputs]
        given = (processed_signature, original_signature, outputs, lm, lm_kwargs)
        values: list[dict[str, Any]] = super()._call_postprocess(*given)
        (field,) = original_signature.output_fields  # every stage has one
        for value, output in zip(values, outputs, strict=True):
            value.pop("logprobs", None)
            self._finish(value, output, field)
        return values

    def read(self, signature: type[dspy.Signature], field: str, output: Any) -> dict[str, Any] | None:
        """Return what `_call_postprocess` makes of one output; None where it raises AdapterParseError: there is no answer."""
        output = _answer(output)
        if not output["text"]:
            return None
        value: dict[str, Any] = self.parse(signature, output["text"])
        self._finish(value, output, field)
        return value

    def _finish(self, value: dict[str, Any], output: Mapping[str, Any], field: str) -> None:
        if heard().truncated:
            value[field] = _complete(output["text"], value[field])
        placed = [item for item in value[field] or () if isinstance(item, dict) and "place" in item]
        places, logprobs = [item.pop("place") for item in placed], output.get("logprobs")
        if logprobs and places:
            scores = self.scores(output["text"], tokens_in(logprobs), places)
            for item, score in zip(placed, scores, strict=True):
                item |= {} if score is None else {"score": score}

    def scores(self, answer: str, tokens: Sequence[Token], places: Sequence[Place]) -> list[float | None]:
        """Return how likely what stands at each place of an answer is.

        Where its form is forced and alternatives are reported: that the mark is opened, closed and labelled as it is.
        """
        if self.marks is None or not any(t.others for t in tokens):
            return likelihoods(answer, [(t.piece, t.logprob) for t in tokens], places)
        made = decisions(answer, tokens, self.marks, [label.name for label in self.labels])
        inside = [[d for d in made if start <= d.at < end] for start, end in places]
        return [prod(d.likelihood(self.opening, self.closing) for d in some) if some else None for some in inside]

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        """Read one answer."""
        fields = self.codec.decode(completion)
        (field,) = signature.output_fields
        mine, echo = heard(), fields.pop("echo", None)
        mine.answer = completion
        mine.found |= bool(fields[field])
        mine.unreadable += fields.get("unreadable", 0)
        if echo is not None and not fields[field] and not mine.unreadable and not _repeats(echo, mine.asked):
            mine.unreadable = 1
        return fields


def _answer(output: Any) -> dict[str, Any]:
    """Return an output of DSPy with the answer proper as its text: the LM may be one without a meter.

    Where a model has said all in its reasoning, and nothing after it, the answer is looked for there.
    """
    output = output if isinstance(output, dict) else {"text": output}
    mine = heard()
    text, cut = said(output.get("text") or "", mine.asked)
    mine.truncated |= cut
    if not text.strip() and not (mine.truncated or mine.refused):
        text = said(output.get("reasoning_content") or "", mine.asked)[0]
    return {**output, "text": text}


def _complete(answer: str, items: Any) -> Any:
    """Return the items that surely end before a cut answer does."""
    answer = answer.rstrip()
    if not answer[-1:].isalnum():
        return items
    return [item for item in items or () if not isinstance(item, dict) or item.get("place", (0, 0))[1] < len(answer)]


def _repeats(echo: str, asked: str) -> bool:
    """Tell whether an answer that marks nothing repeats the text, at least half of its words."""
    words = set(dict(prompt.parse(asked)).get("text", "").casefold().split())
    return len(words & set(echo.casefold().split())) * 2 >= len(words)
