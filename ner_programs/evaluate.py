"""Runs a program on documents, scores its answers, and counts the calls that this takes.

>>> scored = score(program, documents)                 # doctest: +SKIP
>>> scored.total.f1, scored.rankable                   # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import dspy

from ner_programs.lms import current_lm
from ner_programs.program import NERProgram
from ner_programs.prompts.answers import Answers
from ner_programs.scoring import Counts
from ner_programs.types import AnnotatedText, Entity, Mention
from ner_programs.units import split
from ner_programs.verifiers.strong import Strong

Tick = Callable[[], None]
OUTAGE = 0.02
"""A candidate with a larger share of unanswered calls is not ranked: an outage must not choose the program."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A program's answers to documents, in their order; `counts` has one row for each document.

    `lost` has, for each document, the predicted mentions that could not be aligned. `answers` has the outcomes of the LM's
    answers about each document.
    """

    counts: tuple[Counts, ...]
    entities: tuple[tuple[Entity, ...], ...]
    unreadable: int
    units: int
    lost: tuple[tuple[Mention, ...], ...] = ()
    answers: tuple[Answers, ...] = ()

    @property
    def total(self) -> Counts:
        """The counts of all documents together."""
        return sum(self.counts, Counts())

    @property
    def rankable(self) -> bool:
        """Whether at most 2 % of the units of text went unanswered."""
        return self.total.unanswered <= OUTAGE * max(self.units, 1)


def score(
    program: dspy.Module, documents: Sequence[AnnotatedText], tick: Tick | None = None, *, cross_fit: bool = True
) -> Scored:
    """Run a program on documents, with the LM's `concurrency`, and score the answers.

    Demonstrations from a document itself, or from a related one, are not shown for it (cross-fitting, design D8). `cross_fit`
    is off for new documents, whose ids may equal ids of the pool by chance.
    """

    def answer(document: AnnotatedText) -> dspy.Prediction:
        prediction = program(text=document.text, exclude=document.kin if cross_fit else ())
        if tick is not None:
            tick()
        return prediction

    answers = in_threads(answer, documents)
    counts = tuple(
        Counts.of(d.entities, a.entities, a.get("unanswered") or 0) for d, a in zip(documents, answers, strict=True)
    )
    unreadable = sum(a.get("unreadable") or 0 for a in answers)
    lost = tuple(tuple(a.get("lost") or ()) for a in answers)
    found, units = tuple(a.entities for a in answers), units_of(program, documents)
    return Scored(counts, found, unreadable, units, lost, ends_of(answers))


def ends_of(predictions: Iterable[dspy.Prediction]) -> tuple[Answers, ...]:
    """Return the outcomes of the answers behind each prediction, as far as the program reports them."""
    return tuple(p.get("answers") or Answers(unanswered=p.get("unanswered") or 0) for p in predictions)


def in_threads(work: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
    """Map `work` over `pieces` in threads, with the LM's `concurrency`. The first error stops the rest."""
    threads = getattr(current_lm(), "concurrency", 1)
    if threads <= 1:
        return [work(p) for p in pieces]
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(copy_context().run, work, p) for p in pieces]
        try:
            return [f.result() for f in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def calls_for(program: dspy.Module, documents: Sequence[AnnotatedText]) -> int:
    """Return the maximum number of calls of one pass over `documents`."""
    return calls_a_unit(program) * units_of(program, documents)


def calls_a_unit(program: dspy.Module) -> int:
    """Return the maximum number of calls for a unit of text. A strong LM adds a call with the extractor's predictor."""
    return len(program.predictors()) + len(list(program.named_sub_modules(Strong)))


def units_of(program: dspy.Module, documents: Sequence[AnnotatedText]) -> int:
    """Return the number of units of text in `documents`, the minimum number of calls."""
    if not isinstance(program, NERProgram):
        return sum(len(split(d.text, "document")) for d in documents)
    return sum(len(split(d.text, program.spec.unit, size=program.spec.window)) for d in documents)
