"""Writes a run to MLflow: settings, trials, prompts, scores, row counts, and the bundle of a corpus that may be logged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.corpora.corpus import Corpus
from experiments.knowledge import from_train
from experiments.runs.program_changes import briefly, program_changes
from experiments.runs.run_note import Tried, best_baseline, chosen, describe
from experiments.runs.trial_runs import shown
from experiments.scoring.answers import dump
from experiments.scoring.evaluation import Evaluation
from experiments.spec import RunSpec
from experiments.tracking import Tracker
from ner_programs.evaluate import Scored
from ner_programs.privacy import PRIVATE
from ner_programs.program import NERProgram
from optimizers.trial import Trial

if TYPE_CHECKING:
    from experiments.runs.scores import Result

SPEC = "spec.json"
"""The artifact with the run's spec, from which a page finds the corpus again."""


class RunRecorder:
    """Writes a run to its tracker, without text that may not be logged: a licensed knowledge base counts (design D12)."""

    def __init__(self, tracker: Tracker, corpus: Corpus) -> None:
        self.tracker, self.corpus = tracker, corpus
        self._trials: list[tuple[Tried, NERProgram]] = []
        self._first: NERProgram | None = None

    @classmethod
    def resume(cls, home: Path, corpus: Corpus, run_id: str) -> RunRecorder:
        """Resume an interrupted run."""
        return cls(Tracker.resume(home, run_id), corpus)

    @classmethod
    def start(
        cls, home: Path, spec: RunSpec, corpus: Corpus, program: NERProgram, name: str, parent: str | None = None
    ) -> RunRecorder:  # fmt: skip
        """Start a run called `name`, nested in the run `parent`."""
        licensed = spec.kb is not None and spec.kb.bundle == "reference"
        tags = {
            "corpus": corpus.name,
            "corpus_fingerprint": corpus.fingerprint[:16],
            "kb_fingerprint": program.kb.fingerprint if program.kb else "none",
            "kb_from_train": str(from_train(program.kb)).lower(),
            "engine": spec.engine,
            **({"kind": "fold"} if parent and _is_fold(spec) else {}),
            **({"remarks": "; ".join(corpus.remarks)} if corpus.remarks else {}),
        }
        tracker = Tracker.start(
            home, spec.name, name, spec.flat(), tags, parent, privacy=PRIVATE if licensed else corpus.privacy
        )
        tracker.file(SPEC, spec.model_dump(mode="json", exclude_none=True))
        return cls(tracker, corpus)

    @property
    def run_id(self) -> str:
        """The MLflow run's id."""
        return self.tracker.run_id

    def trial(self, trial: Trial) -> None:
        """Write a finished trial."""
        self.tracker.trial(trial)
        changes = shown(trial.changes, self.tracker.privacy)
        tried = Tried(trial.number, changes, trial.documents, trial.scored.total.f1, calls=trial.calls)
        self._trials.append((tried, trial.program))

    def why(self, sentence: str) -> None:
        """Write why the optimizer chose the final program. The sentence has figures and no text."""
        self.tracker.tag("why", sentence)

    def compiling(self, calls: int, seconds: float) -> None:
        """Write the cost of compiling alone: calls, and seconds since the run was started or resumed."""
        self.tracker.metrics({"compile_calls": calls, "compile_seconds": round(seconds, 2)})

    def prompt(self, name: str, program: NERProgram) -> None:
        """Write the prompt that `program` sends for one dev text.

        If that may not be logged, only hash and length of the instruction: guidelines may quote notes.
        """
        self._first = self._first or program
        if not self.tracker.privacy.may_log:
            self.tracker.file(f"prompts/{name}.txt", instruction_digest(program))
            return
        self.tracker.file(f"prompts/{name}.txt", prompt_of(program, self.corpus))

    def answers(self, part: str, scored: Scored) -> None:
        """Write the program's answers to the documents of `part` with the gold, if they may be logged."""
        if self.tracker.privacy.may_log:
            self.tracker.file(f"answers/{part}.jsonl", dump(self.corpus.part(part), scored))

    def scores(
        self, scored: Mapping[str, Evaluation], baselines: Mapping[str, Mapping[str, Evaluation]], program: NERProgram
    ) -> None:
        """Write the scores of each part, and of the baselines from `program`'s pool and knowledge base."""
        for part, evaluation in scored.items():
            self.tracker.metrics(_metrics(part, evaluation))
            self.tracker.file(f"{part}.json", _with_rows(evaluation))
        beside = {
            name: {part: _with_rows(e) for part, e in parts.items()}
            | {"labelled": 0 if name == "dictionary" and not from_train(program.kb) else len(program.pool)}
            for name, parts in baselines.items()
        }
        self.tracker.file("baselines.json", beside)
        best = {part: best_baseline(baselines, part) for part in scored}
        self.tracker.metrics(
            {f"{part}_baseline_f1": baseline[1]["micro_f1"] for part, baseline in best.items() if baseline}
        )

    def result(self, result: Result, program: NERProgram) -> None:
        """Write the result of the run."""
        self.prompt("compiled", program)
        if result.bundle is not None:
            self.tracker.model(result.bundle, self._first or program, program)
        scored = {part: e for part, e in (("dev", result.dev), ("test", result.test)) if e is not None}
        self.scores(scored, result.baselines, program)
        spent = result.spent
        self.tracker.metrics({"lm_calls": spent["calls"], "tokens": spent["tokens"], "cost": spent["cost"],
                              "prompt_tokens": spent["tokens_in"] + spent["kept_in"],
                              "cached_tokens": spent["tokens_cached"] + spent["kept_cached"],
                              "answer_tokens": spent["tokens_out"] + spent["kept_out"],
                              "seconds": round(result.seconds, 2), "labelled": result.labelled})  # fmt: skip
        self.tracker.file("result.json", result.as_dict())
        if result.bundle is not None:
            self.tracker.tag("bundle", str(result.bundle))
            if self.tracker.privacy.may_log:
                self.tracker.folder(result.bundle, "bundle")
        tried = [replace(t, kept=made is program) for t, made in self._trials]
        if choice := chosen(tried):
            self.tracker.tag("chosen", choice)
        made = program_changes(self._first or program, program, self.tracker.privacy)
        self.tracker.file("changes.json", {**made, "kept": [t.number for t in tried if t.kept]})
        run = self.tracker.client.get_run(self.run_id)
        self.tracker.describe(describe(run, result, tried, briefly(made)))


def prompt_of(program: NERProgram, corpus: Corpus) -> str:
    """Return the prompt that `program` sends for the first dev text, message by message."""
    extract, first = program.extract, corpus.dev[0] if corpus.dev else None
    text = first.text if first else ""
    fields = {"text": text, "knowledge": program.retrieve.lines(text) if text else ""}
    demos = extract.demos(text, first.kin) if first and text else []
    messages = extract.adapter.format(extract.predict.signature, demos, fields)
    return "\n\n".join(f"=== {m['role']}\n{m['content']}" for m in messages) + "\n"


def instruction_digest(program: NERProgram) -> str:
    """Return the length and the hash of the instruction: what may be recorded of any."""
    instruction = program.extract.predict.signature.instructions
    digest = hashlib.sha256(instruction.encode()).hexdigest()
    return f"=== system\nprivate: {len(instruction)} characters, SHA-256 {digest}\n"


def _with_rows(evaluation: Evaluation) -> dict[str, Any]:
    return evaluation.as_dict() | {"rows": [astuple(c) for c in evaluation.rows]}


def _metrics(part: str, evaluation: Evaluation) -> dict[str, float]:
    """Return the metrics of a part, without figures that could not be computed."""
    result: dict[str, Any] = evaluation.as_dict()
    lo, hi = result["ci95"] or (None, None)
    figures = {
        f"{part}_f1": result["micro_f1"], f"{part}_f1_lo": lo, f"{part}_f1_hi": hi,
        f"{part}_precision": result["precision"], f"{part}_recall": result["recall"],
        f"{part}_relaxed_f1": result["relaxed_f1"],
        f"{part}_seen_f1": result["seen_f1"], f"{part}_unseen_f1": result["unseen_f1"],
        f"{part}_unanswered": result["unanswered"],
        f"{part}_concept_accuracy": result["concept_accuracy"], f"{part}_macro_f1": result["macro_f1"],
        **{f"{part}_answers_{name}": count for name, count in result["answers"].items()},
    }  # fmt: skip
    return {name: value for name, value in figures.items() if value is not None}


def _is_fold(spec: RunSpec) -> bool:
    split = spec.corpus.get("split")
    return isinstance(split, dict) and "fold" in split


def run_name(spec: RunSpec) -> str:
    """Name a run by its main settings: format, demonstrations, knowledge, verification, optimizer, seed."""
    program = spec.program
    demos = "no demonstrations" if not program.demos else f"{program.demos['name']} k={program.demos.get('k', 8)}"
    retriever = spec.retriever["name"]
    knowledge = (
        "no knowledge"
        if retriever == "none"
        else f"{retriever} from the LM's seeds"
        if program.seeds == "lm"
        else retriever
    )
    pieces = [program.format["name"], demos, knowledge]
    pieces += [f"verify {program.verify['name']}"] if program.verify else []
    pieces += ["linked"] if program.link else []
    pieces += [f"unit {spec.task.unit}"] if spec.task.unit else []
    pieces += [spec.optimizer["name"]] if spec.optimizer["name"] != "none" else []
    pieces += [f"seed {spec.seed}"] if spec.seed != 1 else []
    return ", ".join(pieces)
