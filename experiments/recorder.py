"""What of a run goes into MLflow: settings, trials, prompts, scores, row counts, and the bundle of a public corpus."""

from __future__ import annotations

import hashlib
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.corpora._base import Corpus
from experiments.evaluation import Evaluation
from experiments.knowledge import from_train
from experiments.spec import RunSpec
from experiments.tracking import Tracker
from ner_programs.program import NERProgram
from optimizers._base import Trial

if TYPE_CHECKING:
    from experiments.run import Result


class RunRecorder:
    """Writes a run to its tracker; nothing that holds private text, or strings of a licensed knowledge base (design D12)."""

    def __init__(self, tracker: Tracker, corpus: Corpus) -> None:
        self.tracker, self.corpus = tracker, corpus

    @classmethod
    def resume(cls, home: Path, corpus: Corpus, run_id: str) -> RunRecorder:
        """Take up a run that was interrupted."""
        return cls(Tracker.resume(home, run_id), corpus)

    @classmethod
    def start(cls, home: Path, spec: RunSpec, corpus: Corpus, program: NERProgram, name: str) -> RunRecorder:
        """Begin a run called `name`."""
        private = corpus.private or (spec.kb is not None and spec.kb.bundle == "reference")
        tags = {
            "corpus": corpus.name,
            "corpus_fingerprint": corpus.fingerprint[:16],
            "kb_fingerprint": program.kb.fingerprint if program.kb else "none",
            "kb_from_train": str(from_train(program.kb)).lower(),
            "engine": "in-context CRF" if spec.lm.model == "offline" else spec.lm.model,
            "private": str(private).lower(),
            **({"remarks": "; ".join(corpus.remarks)} if corpus.remarks else {}),
        }
        return cls(Tracker.start(home, spec.name, name, spec.flat(), tags), corpus)

    @property
    def run_id(self) -> str:
        """The MLflow run's id."""
        return self.tracker.run_id

    def trial(self, trial: Trial) -> None:
        """Write a finished trial."""
        self.tracker.trial(trial)

    def prompt(self, name: str, program: NERProgram) -> None:
        """Write the prompt that `program` sends for one dev text.

        Where that is private, only hash and length of the instruction: guidelines may quote the notes they are made for.
        """
        extract = program.extract
        if self.tracker.private:
            said = extract.predict.signature.instructions
            digest = hashlib.sha256(said.encode()).hexdigest()
            self.tracker.file(f"prompts/{name}.txt", f"=== system\nprivate: {len(said)} characters, SHA-256 {digest}\n")
            return
        text = self.corpus.dev[0].text if self.corpus.dev else ""
        fields = {"text": text, "knowledge": program.retrieve.lines(text) if text else ""}
        demos = extract.demos(text, self.corpus.dev[0].kin) if text else []
        messages = extract.adapter.format(extract.predict.signature, demos, fields)
        self.tracker.file(
            f"prompts/{name}.txt", "\n\n".join(f"=== {m['role']}\n{m['content']}" for m in messages) + "\n"
        )

    def result(self, result: Result, program: NERProgram) -> None:
        """Write what the run ended with."""
        self.prompt("compiled", program)
        for part, evaluation in (("dev", result.dev), ("test", result.test)):
            self.tracker.metrics(_metrics(part, evaluation))
            self.tracker.file(f"{part}.json", evaluation.as_dict() | {"rows": [astuple(c) for c in evaluation.rows]})
        beside = {
            name: {part: e.as_dict() | {"rows": [astuple(c) for c in e.rows]} for part, e in parts.items()}
            | {"labelled": 0 if name == "dictionary" and not from_train(program.kb) else len(program.pool)}
            for name, parts in result.floors.items()
        }
        self.tracker.file("floors.json", beside)
        self.tracker.metrics(
            {
                f"floor_{n.replace('+', '_')}_dev_f1": e["dev"].total.f1
                for n, e in result.floors.items()
                if e["dev"].rows
            }
        )
        self.tracker.metrics({"lm_calls": result.spent["calls"], "tokens": result.spent["tokens"], "cost": result.spent["cost"],
                              "seconds": result.seconds, "labelled": result.labelled})  # fmt: skip
        self.tracker.file("result.json", result.as_dict())
        self.tracker.tag("bundle", str(result.bundle))
        if not self.tracker.private:
            self.tracker.folder(result.bundle, "bundle")


def _metrics(part: str, evaluation: Evaluation) -> dict[str, float]:
    """Return the figures of a part; there is no metric for what could not be counted."""
    said: dict[str, Any] = evaluation.as_dict()
    lo, hi = said["ci95"] or (None, None)
    figures = {
        f"{part}_f1": said["micro_f1"], f"{part}_f1_lo": lo, f"{part}_f1_hi": hi,
        f"{part}_precision": said["precision"], f"{part}_recall": said["recall"], f"{part}_relaxed_f1": said["relaxed_f1"],
        f"{part}_seen_f1": said["seen_f1"], f"{part}_unseen_f1": said["unseen_f1"], f"{part}_unanswered": said["unanswered"],
        f"{part}_concept_accuracy": said["concept_accuracy"],
    }  # fmt: skip
    return {name: value for name, value in figures.items() if value is not None}


def run_name(spec: RunSpec) -> str:
    """Name a run by what differs between runs: format, demonstrations, knowledge, verification, optimizer."""
    program = spec.program
    demos = "no demonstrations" if not program.demos else f"{program.demos['name']} k={program.demos.get('k', 8)}"
    retriever = (program.retriever or {"name": "walk" if spec.kb else "none"})["name"]
    verify = f", verify {program.verify['name']}" if program.verify else ""
    compiled = "" if spec.optimizer["name"] == "none" else f", {spec.optimizer['name']}"
    return f"{program.format['name']}, {demos}, knowledge {retriever}{verify}{compiled}"
