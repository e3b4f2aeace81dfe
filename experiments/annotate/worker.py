"""What a process does that annotates for the command: a job, batches of documents, and what came of each.

A worker loads the program by path and digest and has a session of its own: an LM, its limit of calls under way, and the job's
privacy. Batches and outcomes go between processes; their text form shows no document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from experiments.annotate.costs import Costs
from experiments.annotate.documents import Annotated, annotate
from experiments.errors import WorkerError, reason
from experiments.session import CONCURRENCY, backend_of, session
from experiments.spec import Model
from ner_programs.errors import NercError
from ner_programs.lms.store import AnswerStore
from ner_programs.privacy import Privacy
from ner_programs.program import NERProgram
from ner_programs.types import Document

CHARACTERS = 4_000_000
"""How long the texts of a batch are together, at most (one text alone may be longer)."""
CALLS = 16
"""A batch has so many documents for each call that may be under way: few workers wait for its last ones."""
SHARE = 4
"""Each worker gets this many batches at least, so that all end at the same time."""

Take = Callable[[Annotated], None]
Tick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be annotated and by what; `answers` is the file that keeps the LM's, `max_cost` the most that they may cost,
    with what they have cost at earlier starts (`costs`).

    `documents`, of this `number`, are read once, in the process of the command. `elsewhere` yields the same where another
    process reads: it is pickled, and iterated anew if that process has to start again.
    """

    documents: Iterable[Document]
    elsewhere: Iterable[Document]
    number: int
    program: NERProgram
    model: Model
    privacy: Privacy
    answers: Path | None = None
    max_cost: float | None = None
    costs: Costs | None = None

    def width(self, workers: int) -> int:
        """Return how many documents a batch for one of so many workers has."""
        return min(CALLS * (self.model.concurrency or CONCURRENCY), -(-self.number // (SHARE * workers)))

    def worker(self, answers: Path | AnswerStore | None) -> Worker:
        """Return a worker to be pickled, whose answers are kept in `answers`."""
        assert self.program.origin is not None  # it was loaded
        load, given = self.program.origin.reduced(self.program)
        return Worker(partial(load, *given), self.model, self.privacy, answers)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some documents."""

    documents: list[Document] = field(default_factory=list, repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker says of a batch: its documents, or an error that none of them could escape."""

    annotated: list[Annotated] = field(default_factory=list, repr=False)
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that runs: `through` annotates all documents, `answered` says how many calls were answered so far."""

    through: Callable[[Take, Tick], None]
    answered: Callable[[], int]


class Worker:
    """Annotates batches. The program is loaded, and the session begins, with the first; it ends with its process."""

    def __init__(
        self, load: Callable[[], NERProgram], model: Model, privacy: Privacy, answers: Path | AnswerStore | None
    ) -> None:
        self.load, self.model, self.privacy, self.answers = load, model, privacy, answers
        self._program: NERProgram | None = None
        self._open: ExitStack | None = None

    def __call__(self, batch: Batch) -> Outcome:
        """Annotate a batch."""
        found: list[Annotated] = []
        try:
            program = self._program or self._opened()
            annotate(program, batch.documents, found.append, lambda: None, lambda: program.lm.meter.pace.stopped)
        except Exception as error:  # told in one line, for a traceback of another process may quote a text
            return Outcome(error=error if isinstance(error, NercError) else WorkerError(reason(error)))
        return Outcome(found)

    def _opened(self) -> NERProgram:
        program = self.load()
        opened = session(self.model, privacy=self.privacy, answers=self.answers, backend=backend_of(self.model))
        self._open, self._program = ExitStack(), program  # held, or the session would end
        program.lm = self._open.enter_context(opened)
        return program


def batches(documents: Iterable[Document], width: int) -> Iterator[Batch]:
    """Yield documents in batches of `width`, or of fewer where texts are long."""
    batch, size = Batch(), 0
    for document in documents:
        batch.documents.append(document)
        size += len(document.text)
        if len(batch.documents) >= width or size >= CHARACTERS:
            yield batch
            batch, size = Batch(), 0
    if batch.documents:
        yield batch


def gathered(outcomes: Callable[[], Iterator[Outcome]]) -> Engine:
    """Return an engine of what workers say of their batches, in order."""
    calls = 0

    def through(take: Take, tick: Tick) -> None:
        nonlocal calls
        for outcome in outcomes():
            if outcome.error is not None:
                raise outcome.error
            for one in outcome.annotated:
                calls += sum(one.answers.as_dict().values())
                take(one)
                tick()

    return Engine(through, lambda: calls)
