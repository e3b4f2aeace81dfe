"""A tiny invented corpus, a program over it, and scripted language models: what a test of optimizers and runs needs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dspy.lm15 import Message, Request, Response, TextPart, Usage

from ner_programs import Document, NERProgram, ProgramSpec
from ner_programs.demos import Pool
from ner_programs.lms.price import Price
from ner_programs.types import Entity

LABELS = {"drug": "A medicine.", "problem": "A symptom or disease."}
CORPUS = """
[corpus]
name = "jsonl"
path = "notes"
private = false
[labels]
drug = "A medicine."
problem = "A symptom or disease."
"""
DRUGS = ("aspirin", "ibuprofen", "metformin", "heparin", "codeine", "digoxin")
PROBLEMS = ("headache", "fever", "gout", "asthma", "anaemia", "angina")
TEMPLATES = (
    "Takes {drug} for {problem} since week {n}.",
    "No {problem} on day {n}, so {drug} was stopped.",
    "Visit {n}: given {drug} because of {problem}.",
)


def documents(count: int, prefix: str, seed: int = 1) -> tuple[Document, ...]:
    """Return notes of one sentence, each with a drug and a problem; texts differ between prefixes."""
    rng = random.Random(f"{prefix}{seed}")
    made = []
    for n in range(count):
        drug, problem = rng.choice(DRUGS), rng.choice(PROBLEMS)
        text = rng.choice(TEMPLATES).format(drug=drug, problem=problem, n=f"{prefix}{n}")
        found = sorted(
            Entity.of(text, text.index(word), text.index(word) + len(word), label)
            for word, label in ((drug, "drug"), (problem, "problem"))
        )
        made.append(Document(f"{prefix}{n}", text, tuple(found)))
    return tuple(made)


TRAIN, DEV, TEST = documents(10, "a"), documents(6, "b"), documents(4, "c")


def program(train: Sequence[Document] = TRAIN, **settings: Any) -> NERProgram:
    """Return an uncompiled program over the tiny corpus."""
    spec = ProgramSpec(labels=LABELS, **{"unit": "document", **settings})
    return spec.build(None, Pool.of(train, spec.unit))


def write_corpus(folder: Path, train: int = 10, dev: int = 6, test: int = 4) -> Path:
    """Write the corpus as JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, prefix, count in (("train", "a", train), ("dev", "b", dev), ("test", "c", test)):
        rows = [
            {
                "id": d.id,
                "text": d.text,
                "entities": [{"start": e.start, "end": e.end, "label": e.label} for e in d.entities],
            }
            for d in documents(count, prefix)
        ]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


class Scripted:
    """A backend that answers by a function of the request; it may raise, and counts how often it was asked."""

    supports_schema = logprobs = local = False
    writes = True

    def __init__(self, script: Callable[[Request], str] | None = None, model: str = "scripted/x") -> None:
        self.model, self.identity = model, ""
        self.price: Price | None = Price(1.0, 1.0)
        self.script = script or (lambda request: "hello")
        self.requests: list[Request] = []
        self.usage: Usage | None = None

    def complete(self, request: Request) -> Response:
        self.requests.append(request)
        return response(request, self.script(request), self.usage)


def answer(said: str) -> Response:
    """Return a response that says no more than this."""
    message = Message.assistant([TextPart(said)])
    return Response(id="1", model="test/tiny", message=message, finish_reason="stop", usage=Usage())


def response(request: Request, said: str, usage: Usage | None = None, finish: str = "stop") -> Response:
    """Return the response that says `said`."""
    usage = usage or Usage(input_tokens=10, output_tokens=5, total_tokens=15)
    message = Message.assistant([TextPart(said)])
    return Response(id="1", model=request.model, message=message, finish_reason=finish, usage=usage)


def text_of(request: Request) -> str:
    """Return the open message of a request."""
    return request.messages[-1].text or ""


def gold(request: Request, wrong: Callable[[str], bool] = lambda text: False) -> str:
    """Answer in the format json_list as the corpus was made; nothing where `wrong` says so."""
    text = text_of(request).rpartition("### text\n")[2]
    said = [(w, "drug") for w in DRUGS if w in text] + [(w, "problem") for w in PROBLEMS if w in text]
    rows = [] if wrong(text) else [{"text": w, "label": label} for w, label in said]
    return json.dumps(rows)
