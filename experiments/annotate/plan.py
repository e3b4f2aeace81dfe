"""What an annotation takes at most: calls, tokens and money, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from experiments.runs.estimate import SAMPLE, costs, prompt_size
from experiments.spec import Model
from ner_programs.evaluate import calls_a_unit
from ner_programs.program import NERProgram
from ner_programs.types import Document
from ner_programs.units import split


@dataclass(frozen=True, slots=True)
class Plan:
    """How many documents there are, and how many of them are finished; what the others take at most.

    `cost`, in US dollars, is None where the price is not known, `seconds` where the LM does not say how long a call takes.
    """

    model: str
    documents: int
    finished: int
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    seconds: float | None = None


def plan(program: NERProgram, model: Model, missing: Iterable[Document], documents: int) -> Plan:
    """Plan the annotation of the `missing` of so many documents, which are read once. Renders a few prompts, sends none."""
    number = units = 0
    some = list[str]()
    for document in missing:
        spec = program.spec
        pieces = split(document.text, spec.unit, size=spec.window, overlap=spec.overlap)
        if number % max(documents // SAMPLE, 1) == 0:
            some += [document.text[piece.start : piece.end] for piece in pieces[: SAMPLE * 10]]
        number, units = number + 1, units + len(pieces)
    chosen = [Document(str(n), text) for n, text in enumerate(some[:: max(len(some) // SAMPLE, 1)])]
    prompt, answer = prompt_size(program, tuple(chosen))
    mean = sum(len(d.text) for d in chosen) / max(len(chosen), 1)
    calls = calls_a_unit(program) * units
    sizes = prompt, max(answer, _answered(program) * mean)
    return Plan(model.model, documents, documents - number, calls, *costs(model, calls, sizes))


def _answered(program: NERProgram) -> float:
    """Return how many characters an answer has for each of its text, where the bundle has labelled texts to go by."""
    known = [program.extract.as_demo(d) for d in islice(program.pool, SAMPLE)]
    size = sum(len(fields["text"]) for fields in known)
    return sum(len(program.extract.codec.encode(fields)) for fields in known) / max(size, 1)
