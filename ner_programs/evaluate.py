"""Runs a program on documents, scores its answers, and counts the calls that this takes.

>>> scored = score(program, documents)                 # doctest: +SKIP
>>> scored.total.f1, scored.rankable                   # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import dspy

from ner_programs.lms import current_lm
from ner_programs.ner import task_of
from ner_programs.program import NERProgram
from ner_programs.prompts.answers import Answers
from ner_programs.scoring import Counts
from ner_programs.task import Annotation, Item, annotations_of
from ner_programs.types import AnnotatedText
from ner_programs.units import split
from ner_programs.verifiers.strong import Strong

Tick = Callable[[], None]
OUTAGE = 0.02
"""A candidate with a larger share of unanswered calls is not ranked: an outage must not choose the program."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A program's answers to documents, in their order; `counts` has one row for each document.

    For each document, `predicted` has the program's annotations (entities), `lost` the items (predicted mentions) that could
    not be aligned, and `answers` the outcomes of the LM's answers.
    """

    counts: tuple[Counts, ...]
    predicted: tuple[tuple[Annotation, ...], ...]
    unreadable: int
    units: int
    lost: tuple[tuple[Item, ...], ...] = ()
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

    return scored(program, documents, in_threads(answer, documents))


def scored(program: dspy.Module, documents: Sequence[AnnotatedText], predictions: Sequence[dspy.Prediction]) -> Scored:
    """Score a program's predictions for documents."""
    task = task_of(program)
    predicted = tuple(annotations_of(task, p) for p in predictions)
    counts = tuple(
        task.count(annotations_of(task, d), found, p.get("unanswered") or 0)
        for d, found, p in zip(documents, predicted, predictions, strict=True)
    )
    unreadable = sum(p.get("unreadable") or 0 for p in predictions)
    lost = tuple(tuple(p.get("lost") or ()) for p in predictions)
    answers = tuple(p.get("answers") or Answers(unanswered=p.get("unanswered") or 0) for p in predictions)
    return Scored(counts, predicted, unreadable, units_of(program, documents), lost, answers)


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
    return sum(
        len(split(d.text, program.spec.unit, size=program.spec.window, overlap=program.spec.overlap)) for d in documents
    )
