"""The reference run: corpus, knowledge base, program, optimizer, evaluation, MLflow, bundle."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optimizers
from experiments import places, setup
from experiments.corpora.corpus import Corpus
from experiments.runs import folds
from experiments.runs.estimate import compiling
from experiments.runs.progress import Calls, Progress
from experiments.runs.recorder import RunRecorder
from experiments.runs.scores import Result, Scores, added, labelled, score_parts
from experiments.runs.work import Work
from experiments.session import answerer, answering, at_most, session, wants
from experiments.spec import RunSpec
from ner_programs import NERProgram, save
from ner_programs.evaluate import calls_for
from ner_programs.lms.metered import Backend, MeteredLM


@dataclass(frozen=True, slots=True)
class Within:
    """The context of a run that is part of another: its parent in MLflow, the shared data, and the shared backend."""

    parent: str
    shared: setup.Shared = field(default_factory=setup.Shared)
    backend: Backend | None = None


def run(
    spec: RunSpec, data: Path, home: Path, *, name: str | None = None, max_cost: float | None = None,
    progress: Progress | None = None, within: Within | None = None,
) -> Result:  # fmt: skip
    """Compile the program of `spec`, score it, track it in MLflow (as `name`) and save its bundle under `home`.

    `within` makes it a part of another run; a part has a bundle only if it was compiled. A killed run resumes where it stopped
    if spec, corpus, knowledge base and versions are the same. No answered call is sent again.
    """
    progress, began = progress or Progress.silent(), time.monotonic()
    with progress.step("corpus and knowledge base"):
        corpus, program, kb_folder = setup.build(spec, data, home, within.shared if within else None)
    for remark in corpus.remarks:
        progress.remark(f"{corpus.name}: {remark}")
    with (
        Work.open(home, key(spec, corpus, kb_folder, within)) as work,
        session(spec.lm, privacy=corpus.privacy, answers=places.answers(corpus.name, corpus.fingerprint),
                ledger=work.ledger, backend=within.backend if within else None) as lm,
        work.tracked(home, spec, corpus, program, name, within.parent if within else None) as tracker,
        at_most(lm, max_cost), answering(lm),
    ):  # fmt: skip
        tracker.prompt("first", program)
        if program.spec.guidelines and not lm.writes:
            progress.remark(f"guidelines: the {spec.engine} reads no instruction; they are for a language model")
        compiled = _compiled(spec, corpus, program, tracker, progress, lm)
        if folds.number(spec):

            def fold(child: RunSpec, called: str, cost: float) -> Scores:
                left = None if max_cost is None else max_cost - cost - lm.meter.spent.cost
                part_of = Within(tracker.run_id, backend=lm.meter.backend)
                return run(child, data, home, name=called, max_cost=left, progress=progress, within=part_of).scores

            scores = folds.scored(spec, compiled.spec.labels, work.folder, fold)
        else:
            scores = score_parts(spec.parts, corpus, compiled, home, tracker, progress, lm)
        place = None if within and spec.optimizer["name"] == "none" else work.bundle(home, spec)
        folder = place and save(
            _for_use(spec, compiled), place, kb=_kb(spec), kb_folder=kb_folder, privacy=corpus.privacy
        )
        seconds = time.monotonic() - began
        spent = added([lm.spent(), scores.spent])
        dev_scores, test_scores = scores.parts.get("dev"), scores.parts.get("test")
        used = labelled(spec, compiled)
        result = Result(tracker.run_id, folder, dev_scores, test_scores, scores.baselines, spent, used, seconds)
        tracker.result(result, compiled)
    return result


def _compiled(
    spec: RunSpec, corpus: Corpus, program: NERProgram, tracker: RunRecorder, progress: Progress, lm: MeteredLM
) -> NERProgram:
    """Compile a program with the spec's optimizer. Each trial is recorded and shown as soon as it is finished."""

    def finished(trial: optimizers.Trial) -> None:
        tracker.trial(trial)
        progress.trial(trial, tracker.tracker.privacy)

    plain, started = spec.optimizer["name"] == "none", time.monotonic()
    dev = corpus.dev if "dev" in spec.parts or not plain else ()
    planned = compiling(spec, corpus, program) + (calls_for(program, dev) if plain else 0)
    with progress.step("compiling", calls=Calls(lm.answered, planned)):
        compiled = optimizers.compile(
            program, spec.optimizer, train=corpus.train, dev=dev, seed=spec.seed, on_trial=finished
        )
        compiled.wants = dict(wants(spec.lm, compiled))
    if compiled.why and not plain:
        progress.remark(compiled.why)
        tracker.why(compiled.why)
    tracker.compiling(0 if plain else lm.meter.spent.calls, time.monotonic() - started)
    return compiled


def key(spec: RunSpec, corpus: Corpus, kb_folder: Path | None, within: Within | None = None) -> str:
    """Return a hash of everything that determines a run. Resumes only if these match; a finished one is not run again."""
    parent = (within.parent,) if within else ()
    return spec.fingerprint(corpus.fingerprint, str(kb_folder), *answerer(spec.lm), *parent)


def _for_use(spec: RunSpec, program: NERProgram) -> NERProgram:
    """Return the program for its bundle: if the corpus's documents are single sentences, it splits texts into sentences."""
    return program.with_settings(unit="sentence") if spec.task.unit is None else program


def _kb(spec: RunSpec) -> Any:
    return spec.kb.bundle if spec.kb else "carry"
