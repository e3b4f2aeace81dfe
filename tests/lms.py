"""A scripted language model: it extracts as the stand-in does, and does all that needs a model that writes by a script.

As a backend of one's own it is named in a spec: `model = "tests.lms"`, with the options of `build`.
"""

from __future__ import annotations

import hashlib
import json
import re

from dspy.lm15 import Message, Request, Response, TextPart, TokenLogprob, Usage

from ner_programs.lms._answer import Answer
from ner_programs.lms._incontext import answer
from ner_programs.lms.metered import Meter, MeteredLM
from ner_programs.lms.price import Price
from ner_programs.prompts import prompt
from ner_programs.stages.retrieve import Suggestions

_FIELD = re.compile(r"^\d+\. `(\w+)` \((.*?)\):", re.MULTILINE)
_NUMBERED = re.compile(r'^(\d+) (".*") \| ', re.MULTILINE)


SAYS = "Mark every mention, whole."


class Writer:
    """Answers anything; every instruction that it writes begins with `says`."""

    model, identity, supports_schema, logprobs, local, writes = "test/writer", "", False, True, True, True
    price = Price(0.0, 0.0)

    def __init__(self, says: str = SAYS) -> None:
        self.says = says

    def complete(self, request: Request) -> Response:
        system = request.system if isinstance(request.system, str) else ""
        said = self.answer(system, [m.text or "" for m in request.messages])
        size = (len(system) + sum(len(m.text or "") for m in request.messages)) // 4
        return Response(
            id=None, model=request.model, message=Message.assistant([TextPart(said.text)]), finish_reason="stop",
            usage=Usage(input_tokens=size, output_tokens=len(said.text) // 4, total_tokens=size + len(said.text) // 4),
            logprobs=tuple(TokenLogprob(token, logprob) for token, logprob in said.logprobs) or None,
        )  # fmt: skip

    def answer(self, system: str, turns: list[str]) -> Answer:
        extracted = answer(system, turns)
        if isinstance(extracted, Answer):
            return extracted
        asked = dict(prompt.parse(turns[-1]))
        if "candidates" in asked:
            return Answer(verdicts(turns))
        if Suggestions().describe() in system:
            return Answer(Suggestions().write(dict.fromkeys(re.findall(r"[^\W_]{4,}(?: [^\W_]{4,})*", asked["text"]))))
        return Answer(self.written(system, turns[-1]))

    def written(self, system: str, asked: str) -> str:
        """Return a value for every output field of a DSPy prompt, different for different prompts."""
        mark = hashlib.sha256(f"{system}\0{asked}".encode()).hexdigest()[:6]
        fields = dict(_FIELD.findall(system.partition("Your output fields are:")[2].partition("All interactions")[0]))
        said = {name: self._value(kind, mark) for name, kind in fields.items()}
        if "JSON object" in asked.rpartition("Respond with")[2]:
            return json.dumps(said)
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in said.items()}
        return "\n\n".join([*(f"[[ ## {n} ## ]]\n{v}" for n, v in texts.items()), "[[ ## completed ## ]]"])

    def _value(self, kind: str, mark: str) -> object:
        if kind.startswith("dict"):
            return {"extract.predict": f"{self.says} Advice {mark}."}
        return True if kind == "bool" else f"{self.says} Note {mark}."


def verdicts(turns: list[str]) -> str:
    """Reject what the demonstrations reject everywhere; keep the rest."""
    kept, gone = set[str](), set[str]()
    for user, done in zip(turns[:-1:2], turns[1::2], strict=False):
        for number, surface in _NUMBERED.findall(dict(prompt.parse(user)).get("candidates", "")):
            (gone if re.search(rf"^{number} reject", done, re.MULTILINE) else kept).add(surface)
    listed = _NUMBERED.findall(dict(prompt.parse(turns[-1]))["candidates"])
    return "\n".join(f"{n} {'reject' if s in gone - kept else 'keep'}" for n, s in listed) or "none"


def writer(says: str = SAYS, concurrency: int = 1) -> MeteredLM:
    """Return it as an LM to use with `dspy.context(lm=...)`."""
    return MeteredLM(Meter(Writer(says), backoff=0), concurrency=concurrency)


def build(*, says: str = SAYS) -> Writer:
    return Writer(says)
