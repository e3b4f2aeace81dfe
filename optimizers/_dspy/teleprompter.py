"""Runs DSPy's optimizers inside a `Search`: each evaluation on dev becomes a trial, and calls are limited by the budget.

DSPy gets a student, examples and a metric, and calls `dspy.Evaluate`. A callback (`Watch`) does the rest. Before an
evaluation, it repairs the program (see `mended`), so that the program scored is the program returned, and it refuses an
evaluation that the budget does not cover, so that no limit is hit inside a thread. After an evaluation, it reports a trial.

Trap: DSPy turns exceptions into a score of 0 and logs the example. Here they are raised as they are.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback
from dspy.utils.exceptions import AdapterParseError, LMError

from ner_programs.bundle.state import ORIGIN, identity
from ner_programs.evaluate import scored, units_of
from ner_programs.lms.metered import BudgetSpent
from ner_programs.program import NERProgram
from ner_programs.prompts.asking import refusal
from ner_programs.scoring import PooledF1, pooled
from ner_programs.task import Task, annotations_of
from ner_programs.types import Document
from optimizers._draws import interleaved
from optimizers._program_diff import changed
from optimizers.budget import paid
from optimizers.search import Contender, Search
from optimizers.trial import Trial

EMPTY = "empty proposal"  # key in a trial's changes: the stage for which the LM proposed an empty instruction
UNITS = 1000  # train units that DSPy gets at most, from a seeded draw of documents


class Ended(BaseException):  # not an Exception: DSPy turns those into a score
    """Ends the run; `error` is the cause."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def run(
    search: Search, make: Callable[[NERProgram], Any], examples: Sequence[dspy.Example] = (),
    mark: Mapping[str, Any] = MappingProxyType({}),
) -> NERProgram:  # fmt: skip
    """Run `make` (a compilation with DSPy) on a student until it ends or the search's calls are spent; return the best program.

    `examples` are DSPy's `trainset`; `mark` is added to the changes of every trial. If the LM fails to write instructions,
    the search ends and a trial of the initial program says so. Raises LMSetupError, and the errors of `search.choose`.
    """
    watch, made, failed = Watch(search, examples, mark), None, ""
    with search.spending():
        try:
            with watch.watching():
                made = make(student(search.program))
        except Ended as ended:
            raise ended.error from None
        except LMError as error:
            if setup := refusal(error):
                raise setup from None
            failed = type(error).__name__
        except AdapterParseError as error:
            failed = type(error).__name__
        if failed and search.affords(search.program, search.sample(1)):
            search.score(search.program, {**mark, "no instruction was written": failed}, search.sample(1))
    if not isinstance(made, NERProgram):
        return search.choose()
    best = mended(made, watch.first, examples)
    changes = {**mark, **changed(best, watch.first)}
    return search.choose(search.contenders.setdefault(identity(best), Contender(best, changes)).program)


def student(program: NERProgram) -> NERProgram:
    """Return a copy of `program` that DSPy may change. DSPy neither changes nor saves modules marked as compiled."""
    return uncompiled(program.deepcopy())


def uncompiled(program: NERProgram) -> NERProgram:
    """Remove DSPy's "compiled" mark from a program and all its modules, and return the program."""
    for _, module in program.named_sub_modules(dspy.Module):
        module._compiled = False
    return program


def mended(
    made: NERProgram, first: NERProgram, examples: Sequence[dspy.Example] = (), changes: dict[str, Any] | None = None
) -> NERProgram:
    """Return a repaired copy of `made`, the program that DSPy made of `first`, without the "compiled" mark.

    The verifier keeps its own demonstrations: DSPy gives the extractor's demonstrations to every predictor. Demonstrations
    from `examples` get back the id of their document. The first instruction replaces an empty one, for which DSPy puts a
    sentence of its own; `changes` gets a note of that.
    """
    origins = {e.text: {k: e[k] for k in ORIGIN} for e in reversed(examples)}
    theirs, before = dict(uncompiled(made).named_predictors()), dict(first.named_predictors())
    copy = student(first if made.spec == first.spec else made)
    for name, predictor in copy.named_predictors():
        instruction = theirs[name].signature.instructions
        if instruction.strip() in ("", predictor.signature.with_instructions("").instructions) and name in before:
            instruction = before[name].signature.instructions
            if changes is not None:
                changes[EMPTY] = name.partition(".")[0]
        predictor.signature = predictor.signature.with_instructions(instruction)
        if predictor is copy.extract.predict:
            given = [dict(d) for d in made.extract.predict.demos]
            predictor.demos = [dspy.Example(**{**_origin(d, origins), **d}) for d in given]
        elif name in before:
            predictor.demos = list(before[name].demos)
    return copy


def _origin(demo: Mapping[str, Any], origins: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the origin of a demonstration. Its text may be part of an example's text, because a long unit is split."""
    text = demo.get("text")
    if not text or text in origins:
        return origins.get(text or "", {})
    return next((origin for whole, origin in origins.items() if text in whole), {})


def trainset(program: NERProgram, train: Sequence[Document], seed: int, most: int = UNITS) -> list[dspy.Example]:
    """Return about `most` examples from a seeded draw of train. Every prefix has its share of texts with mentions."""
    rng, taken, units = random.Random(f"train {seed}"), list[Document](), 0
    for document in rng.sample(list(train), len(train)):
        if units >= most:
            break
        taken.append(document)
        units += units_of(program, [document])
    return interleaved(program.task, rng.sample(examples := program.examples(taken), len(examples)))


def documents_for(search: Search, trials: int, calls: int | None = None) -> int:
    """Return how many dev documents each of `trials` trials can be scored on with `calls`, at least 1.

    `calls` defaults to all calls of the search.
    """
    most = (search.calls if calls is None else calls) // trials
    return max(len(paid(search.program, search.order, most)), 1)


def valset(search: Search, documents: int) -> list[dspy.Example]:
    """Return the first dev documents of the search's order as examples, one for each whole document."""
    task = search.program.task
    return [
        dspy.Example(text=d.text, exclude=d.kin, **{task.field: annotations_of(task, d)}, place=i).with_inputs(
            "text", "exclude"
        )
        for i, d in enumerate(search.sample(documents))
    ]


class Right:
    """The metric for bootstrapping: an exactly right answer becomes a demonstration.

    Empty answers are easy to get right, so they are limited to their share in `examples`. Without a trace (evaluation), the
    metric is the pooled F1.
    """

    def __init__(self, task: Task, examples: Sequence[dspy.Example]) -> None:
        self.task = task
        self.share = sum(not annotations_of(task, e) for e in examples) / max(len(examples), 1)
        self.taken = [0, 0]  # without annotations, with annotations

    def __call__(self, example: Any, prediction: Any, trace: object = None) -> PooledF1 | bool:
        score = pooled(self.task, example, prediction)
        if trace is None:
            return score
        full = bool(annotations_of(self.task, example))
        wanted = full or self.taken[0] + 1 <= self.share * (sum(self.taken) + 1)
        right = score.counts.perfect and wanted
        self.taken[full] += right
        return right


class Watch(BaseCallback):
    """A DSPy callback that repairs programs, reports evaluations to a search, and raises errors and limits."""

    def __init__(self, search: Search, examples: Sequence[dspy.Example], mark: Mapping[str, Any]) -> None:
        self.search, self.first, self.examples, self.mark = search, student(search.program), examples, mark
        self.streams = sys.stdout, sys.stderr
        self.evaluated: dict[str, tuple[NERProgram, list[Document], Mapping[str, Any]]] = {}
        self.running: set[str] = set()
        self.ended = self.failed = False
        self.changed = threading.Condition()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch and silence DSPy in the block. After it, wait until every call that DSPy started has ended."""
        threads, on_trial = self.search.compilation.lm.concurrency, self.search.on_trial
        callbacks = [*dspy.settings.get("callbacks", []), self]

        def report(trial: Trial) -> None:
            out, err = self.streams
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                on_trial(trial)

        self.search.on_trial = report
        try:
            with quiet(self.search.seed), dspy.context(callbacks=callbacks, num_threads=threads, max_errors=10**9):
                yield
        finally:
            self.search.on_trial = on_trial
            with self.changed:
                self.ended = True
                self.changed.wait_for(lambda: not self.running)

    def on_evaluate_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Repair the program that will be evaluated. Raises BudgetSpent if too few calls are left."""
        program, examples = inputs["program"], inputs.get("devset") or instance.devset
        if not isinstance(program, NERProgram):
            return
        changes: dict[str, Any] = {}
        with out_loud():
            clean = mended(program, self.first, self.examples, changes)
            for mine, theirs in zip(clean.predictors(), program.predictors(), strict=True):
                theirs.signature, theirs.demos = mine.signature, list(mine.demos)
        if not all("place" in e for e in examples):
            fresh = examples
        else:
            documents = [self.search.order[e.place] for e in examples]
            known = self.search.contenders.get(identity(clean))
            fresh = [
                self.search.order[p] for p in sorted({e.place for e in examples}) if not known or p not in known.rows
            ]
            self.evaluated[call_id] = clean, documents, {**self.mark, **changed(clean, self.first), **changes}
        if not self.search.affords(clean, fresh):
            raise BudgetSpent

    def on_evaluate_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        """Report a finished evaluation on dev as a trial, unless every document was known and nothing failed."""
        if call_id not in self.evaluated or exception is not None or outputs is None:
            return
        program, documents, changes = self.evaluated.pop(call_id)
        nothing = program.task.found("", ())  # in place of DSPy's prediction without fields, where a metric failed
        made = [p[0] if isinstance(p, tuple) else p for _, p, _ in outputs.results]  # GEPA returns (prediction, trace)
        answers = [p if program.task.field in p else nothing for p in made]
        known = self.search.contenders.get(identity(program))
        news = known is None or any(self.search.place[d.id] not in known.rows for d in documents)
        failed = EMPTY in changes and not self.failed
        self.failed |= failed
        with out_loud():
            self.search.finished(
                program, changes, documents, scored(program, documents, answers), report=news or failed
            )

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Start nothing after the end: DSPy does not stop its other threads when one fails."""
        with self.changed:
            if self.ended:
                raise BudgetSpent
            if isinstance(instance, NERProgram):
                self.running.add(call_id)

    def on_module_end(self, call_id: str, outputs: Any, exception: BaseException | None = None) -> None:
        """Raise the error of a program. Failed calls never raise there, so the user must see it."""
        with self.changed:
            ours = call_id in self.running
            self.running.discard(call_id)
            self.changed.notify_all()
            if ours and exception is not None:
                self.ended = True
        if ours and isinstance(exception, Exception):
            raise Ended(exception)


@contextlib.contextmanager
def out_loud() -> Iterator[None]:
    """Raise an error of a callback: DSPy would log it and go on."""
    try:
        yield
    except Exception as error:
        raise Ended(error) from None


@contextlib.contextmanager
def quiet(seed: int) -> Iterator[None]:
    """Silence DSPy's output and log, and seed the global `random`, from which DSPy draws."""
    log, state = logging.getLogger("dspy"), random.getstate()
    level = log.level
    random.seed(seed)
    try:
        with open(os.devnull, "w", encoding="utf-8") as nothing, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*multivariate.* is an experimental feature")
            log.setLevel(logging.CRITICAL)  # DSPy logs the text of an example with an error; here the error is raised
            with contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
                yield
    finally:
        log.setLevel(level)
        random.setstate(state)
