"""The reference run: corpus, knowledge base, program, optimizer, evaluation, MLflow, bundle."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optimizers
from experiments import places, setup
from experiments.evaluation import Evaluation, evaluate
from experiments.floors import scored_floors
from experiments.knowledge import from_train
from experiments.progress import Progress
from experiments.session import answerer, at_most, session, wants
from experiments.spec import RunSpec
from experiments.work import Work
from ner_programs import bundle
from ner_programs.program import NERProgram
from optimizers._base import Trial, score


@dataclass(frozen=True, slots=True)
class Result:
    """What a run ends with."""

    run_id: str
    bundle: Path
    dev: Evaluation
    test: Evaluation
    floors: dict[str, dict[str, Evaluation]]
    spent: dict[str, float]
    labelled: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return what `nerc run --json` prints."""
        return {
            "run_id": self.run_id, "bundle": str(self.bundle), "dev": self.dev.as_dict(), "test": self.test.as_dict(),
            "floors": {name: {part: e.as_dict() for part, e in parts.items()} for name, parts in self.floors.items()},
            "labelled": self.labelled, "lm_calls": self.spent["calls"], "tokens": self.spent["tokens"],
            "cost": self.spent["cost"], "spent": self.spent, "seconds": round(self.seconds, 2),
        }  # fmt: skip


def run(
    spec: RunSpec, data: Path, home: Path, *, name: str | None = None, max_cost: float | None = None,
    progress: Progress | None = None, on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Result:  # fmt: skip
    """Compile a program as `spec` says, score it, track it in MLflow (as `name`) and save its bundle under `home`.

    A run that was killed goes on where it stopped: the same spec, corpus, knowledge base and version find its work again, and
    no call that was answered is sent a second time.
    """
    progress, began = progress or Progress.silent(), time.monotonic()
    with progress.step("corpus and knowledge base"):
        corpus, program, kb_folder = setup.build(spec, data, home)
    for remark in corpus.remarks:
        progress.remark(f"{corpus.name}: {remark}")
    with (
        Work.open(home, spec.fingerprint(corpus.fingerprint, str(kb_folder), *answerer(spec.lm))) as work,
        session(spec.lm, private=corpus.private, answers=places.answers(corpus.name, corpus.fingerprint),
                ledger=work.ledger) as lm,
        work.tracked(home, spec, corpus, program, name) as tracker,
        at_most(lm, max_cost),
    ):  # fmt: skip
        tracker.prompt("first", program)

        def finished(trial: Trial) -> None:
            tracker.trial(trial)
            on_trial(trial)

        with progress.step("compiling"):
            compiled = optimizers.compile(
                program, spec.optimizer, train=corpus.train, dev=corpus.dev, seed=spec.seed, on_trial=finished
            )
            compiled.wants = dict(wants(spec.lm))
        evaluations = {}
        for part in ("dev", "test"):
            documents = getattr(corpus, part)
            with progress.step(f"scoring {part}", len(documents)) as tick:
                evaluations[part] = evaluate(corpus, part, score(compiled, documents, tick), kb=compiled.kb)
        with progress.step("floors"):
            beside = scored_floors(compiled, corpus, home)
        folder = bundle.save(
            _for_use(spec, compiled), work.bundle(home, spec), kb=_kb(spec), kb_folder=kb_folder, private=corpus.private
        )
        seconds = time.monotonic() - began
        spent = lm.meter.spent.as_dict()
        result = Result(
            tracker.run_id, folder, evaluations["dev"], evaluations["test"], beside, spent, _labelled(spec, compiled), seconds
        )  # fmt: skip
        tracker.result(result, compiled)
    return result


def _for_use(spec: RunSpec, program: NERProgram) -> NERProgram:
    """Return the program as its users want it: where the corpus's documents were single sentences, it cuts texts into such."""
    return program.with_settings(unit="sentence") if spec.task.unit is None else program


def _labelled(spec: RunSpec, program: NERProgram) -> int:
    """Return how many labelled units of train the program was made with: all of the pool, what it drew at random, or none."""
    if program.spec.verify or spec.optimizer["name"] != "none" or from_train(program.kb):
        return len(program.pool)
    drawn = getattr(program.extract.select, "k", 0) if program.spec.demos else 0
    random = program.spec.demos is not None and program.spec.demos["name"] == "random"
    return min(drawn, len(program.pool)) if random or not drawn else len(program.pool)


def _kb(spec: RunSpec) -> Any:
    return spec.kb.bundle if spec.kb else "carry"
