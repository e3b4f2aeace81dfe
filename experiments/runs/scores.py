"""The scores of a run on each part, with those of the baselines, and pooling the scores of several folds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from experiments.baselines.scored import scored_baselines
from experiments.corpora.corpus import Corpus
from experiments.knowledge import from_train
from experiments.runs.progress import Calls, Progress
from experiments.runs.recorder import RunRecorder
from experiments.scoring.breakdown import Breakdown
from experiments.scoring.evaluation import Evaluation, evaluate
from experiments.spec import RunSpec
from kb.files import draft_of
from ner_programs.evaluate import calls_for, score
from ner_programs.lms.metered import MeteredLM
from ner_programs.program import NERProgram
from ner_programs.prompts.answers import Answers
from ner_programs.scoring import Counts


@dataclass(frozen=True, slots=True)
class Scores:
    """Evaluations by part, those of the baselines by name and part, and the cost."""

    parts: dict[str, Evaluation] = field(default_factory=dict)
    baselines: dict[str, dict[str, Evaluation]] = field(default_factory=dict)
    spent: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Scores | None:
        """Read a file written by `write`; None if there is no such file."""
        if not file.is_file():
            return None
        kept = json.loads(file.read_text())
        return cls(
            _read(kept["parts"]), {name: _read(parts) for name, parts in kept["baselines"].items()}, kept["spent"]
        )

    def write(self, file: Path) -> None:
        """Write the scores atomically: counts and no text."""
        with draft_of(file) as draft:
            draft.write_text(json.dumps(asdict(self)))


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run. A part that was not scored is None; the bundle is None if nothing was compiled."""

    run_id: str
    bundle: Path | None
    dev: Evaluation | None
    test: Evaluation | None
    baselines: dict[str, dict[str, Evaluation]]
    spent: dict[str, float]
    labelled: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return what `nerc run --json` prints."""
        return {
            "run_id": self.run_id, "bundle": None if self.bundle is None else str(self.bundle),
            "dev": None if self.dev is None else self.dev.as_dict(), "test": None if self.test is None else self.test.as_dict(),
            "baselines": {name: {part: e.as_dict() for part, e in parts.items()} for name, parts in self.baselines.items()},
            "labelled": self.labelled, "lm_calls": self.spent["calls"], "tokens": self.spent["tokens"],
            "cost": self.spent["cost"], "spent": self.spent, "seconds": round(self.seconds, 2),
        }  # fmt: skip

    @property
    def scores(self) -> Scores:
        """The scores that a parent run pools."""
        parts = {"dev": self.dev, "test": self.test}
        return Scores({part: e for part, e in parts.items() if e is not None}, self.baselines, self.spent)


def score_parts(
    parts: Iterable[str], corpus: Corpus, program: NERProgram, home: Path, tracker: RunRecorder, progress: Progress,
    lm: MeteredLM,
) -> Scores:  # fmt: skip
    """Score a compiled program and the baselines on some parts of a corpus, in the corpus's order of documents.

    Requests of the trials on dev are repeated, which costs no new call.
    """
    scores = Scores()
    for part in parts:
        documents = corpus.part(part)
        calls = Calls(lm.answered, calls_for(program, documents))
        with progress.step(f"scoring {part}", len(documents), calls) as tick:
            scored = score(program, documents, tick)
            scores.parts[part] = evaluate(corpus, part, scored, kb=program.kb)
            tracker.answers(part, scored)
    with progress.step("baselines"):
        scores.baselines.update(scored_baselines(program, corpus, home, list(parts)))
    return scores


def labelled(spec: RunSpec, program: NERProgram) -> int:
    """Return the number of labelled train units that the program uses: all of the pool, a random draw, or none."""
    if (
        program.spec.verify
        or hasattr(program.attributes, "pool")
        or spec.optimizer["name"] != "none"
        or from_train(program.kb)
    ):
        return len(program.pool)
    drawn = getattr(program.extract.select, "k", 0) if program.spec.demos else 0
    random = program.spec.demos is not None and program.spec.demos["name"] == "random"
    return min(drawn, len(program.pool)) if random or not drawn else len(program.pool)


def together(scores: Sequence[Scores]) -> Scores:
    """Pool the scores of all folds and of their baselines, and add up the costs."""
    baselines = {name: _pooled_parts([s.baselines[name] for s in scores]) for name in scores[0].baselines}
    return Scores(_pooled_parts([s.parts for s in scores]), baselines, added(s.spent for s in scores))


def added(spent: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Add up the costs of several runs."""
    total: Counter[str] = Counter()
    for some in spent:
        total.update(some)
    return dict(total)


def pooled(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Pool the evaluations of disjoint sets of groups into one of all documents.

    Seen and unseen refer to each fold's own train. Quartiles of document length and the intervals of single labels cannot be
    pooled and are left out.
    """
    return Evaluation(
        rows=tuple(row for e in evaluations for row in e.rows),
        seen=sum((e.seen for e in evaluations), Counts()),
        unseen=sum((e.unseen for e in evaluations), Counts()),
        unit=evaluations[0].unit,
        documents=sum(e.documents for e in evaluations),
        unreadable=sum(e.unreadable for e in evaluations),
        linked=sum(e.linked for e in evaluations),
        to_link=sum(e.to_link for e in evaluations),
        breakdown=_breakdown([e.breakdown for e in evaluations]),
        answers=Answers.total(e.answers for e in evaluations),
    )


def _breakdown(some: Sequence[Breakdown]) -> Breakdown:
    labels = sorted({label for b in some for label in b.labels})
    return Breakdown(
        schemes=_summed([b.schemes for b in some]),
        labels={label: _summed([b.labels[label] for b in some if label in b.labels]) for label in labels},
        by_mention_length=dict(sorted(_summed([b.by_mention_length for b in some]).items())),
        errors=_summed([b.errors for b in some]),
        beyond_flat=sum(b.beyond_flat for b in some),
        attributes=_summed([b.attributes for b in some]),
    )


def _summed(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for table in tables:
        for name, count in table.items():
            total[name] = total[name] + count if name in total else count
    return total


def _pooled_parts(parts: Sequence[Mapping[str, Evaluation]]) -> dict[str, Evaluation]:
    return {part: pooled([p[part] for p in parts]) for part in parts[0]}


def _read(parts: Mapping[str, Any]) -> dict[str, Evaluation]:
    return {part: Evaluation.read(kept) for part, kept in parts.items()}
