"""Evaluates answers: strict and relaxed micro-F1 with an interval, seen and unseen mentions, failed calls, the breakdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from experiments.corpora.corpus import Corpus, D
from experiments.scoring.breakdown import Answers, Breakdown, break_down, counted_by
from experiments.scoring.significance import interval, pooled
from kb import KnowledgeBase
from kb.merging import canonical
from ner_programs.evaluate import Scored
from ner_programs.prompts.answers import NO_ANSWERS
from ner_programs.prompts.answers import Answers as LMAnswers
from ner_programs.scoring import Counts
from ner_programs.types import AnnotatedText


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of one program on one part of a corpus; `rows` are the units that a bootstrap resamples (documents or sentences).

    `answers` counts the outcomes of the LM's answers. `to_link` counts the right entities whose gold has a concept, `linked`
    those of them with that concept.
    """

    rows: tuple[Counts, ...]
    seen: Counts
    unseen: Counts
    unit: str
    documents: int
    unreadable: int = 0
    linked: int = 0
    to_link: int = 0
    breakdown: Breakdown = field(default_factory=Breakdown)
    answers: LMAnswers = NO_ANSWERS

    @classmethod
    def read(cls, data: dict[str, Any]) -> Evaluation:
        """Build an evaluation from its `dataclasses.asdict`, also after JSON."""
        counts = {"rows": tuple(Counts(**c) for c in data["rows"])} | {k: Counts(**data[k]) for k in ("seen", "unseen")}
        rest = {"breakdown": Breakdown.read(data["breakdown"]), "answers": LMAnswers(**data["answers"])}
        return cls(**{**data, **counts, **rest})

    @property
    def total(self) -> Counts:
        """The counts of the whole part."""
        return sum(self.rows, Counts())

    def as_dict(self) -> dict[str, Any]:
        """Return every figure; None if there was nothing to count."""
        total, there = self.total, bool(self.rows)
        return {
            "micro_f1": round(total.f1, 4) if there else None,
            "precision": round(total.precision, 4) if there else None,
            "recall": round(total.recall, 4) if there else None,
            "ci95": [round(bound, 4) for bound in interval(self.rows)] if there else None,
            "unit": self.unit,
            "relaxed_f1": round(total.relaxed_f1, 4) if there else None,
            "seen_f1": _f1(self.seen),
            "unseen_f1": _f1(self.unseen),
            "concept_accuracy": round(self.linked / self.to_link, 4) if self.to_link else None,
            "documents": self.documents,
            "entities": total.gold,
            "unreadable": self.unreadable,
            "unanswered": total.unanswered,
            "answers": self.answers.as_dict(),
            **self.breakdown.as_dict(),
        }


def counts_of(data: Mapping[str, Any]) -> tuple[Counts, ...]:
    """Return the rows of one part, as in a run's `dev.json`, `test.json` and `baselines.json`."""
    return tuple(Counts(*row) for row in data["rows"])


def evaluate(
    corpus: Corpus,
    part: str,
    scored: Scored | None = None,
    answers: Answers | None = None,
    kb: KnowledgeBase | None = None,
) -> Evaluation:
    """Score answers to the documents of `part`: a program's (`scored`) or others (`answers`, in the documents' order).

    Concepts are compared through the cross-references of `kb`. Any part of a composite or ambiguous gold id counts as right.
    """
    documents = corpus.part(part)
    predicted = scored.predicted if scored is not None else answers or ()
    if len(predicted) != len(documents):
        raise ValueError(f"there are {len(documents)} {part} documents and {len(predicted)} answers")
    counts = scored.counts if scored else [Counts.of(d.entities, a) for d, a in zip(documents, predicted, strict=True)]
    alone = corpus.resampling == "sentence"
    groups = [str(i) if alone else d.group for i, d in enumerate(documents)]
    known = {e.text.casefold() for d in corpus.train for e in d.entities}
    by_seen = counted_by(documents, predicted, lambda e: e.text.casefold() in known)
    linked, to_link = _concepts(documents, predicted, kb)
    lost = scored.lost if scored and scored.lost else [()] * len(documents)
    return Evaluation(
        tuple(pooled(counts, groups)), by_seen.get(True, Counts()), by_seen.get(False, Counts()), corpus.resampling,
        len(documents), scored.unreadable if scored else 0, linked, to_link, break_down(documents, predicted, lost, groups),
        LMAnswers.total(scored.answers if scored else ()),
    )  # fmt: skip


def _concepts(documents: Sequence[AnnotatedText], predicted: Answers, kb: KnowledgeBase | None) -> tuple[int, int]:
    """Return how many of the right entities have their gold concept, and how many could; (0, 0) if no answer has concepts."""
    right = of = 0
    for document, entities in zip(documents, predicted, strict=True):
        gold = {e: e.concept for e in document.entities if e.concept}
        for entity in entities:
            if entity in gold:
                of += 1
                wanted = {canonical(i) for i in re.split(r"[|+]", str(gold[entity]))}
                concept = kb.get(entity.concept) if kb is not None and entity.concept else None
                mine = (concept.id, *concept.xrefs) if concept else (entity.concept,) if entity.concept else ()
                right += not wanted.isdisjoint(map(canonical, mine))
    linking = any(e.concept for entities in predicted for e in entities)
    return (right, of) if linking else (0, 0)


def _f1(counts: Counts) -> float | None:
    """Return F1; None if there is neither gold nor prediction."""
    return round(counts.f1, 4) if counts.gold or counts.predicted else None


def with_labels(corpus: Corpus, labels: set[str]) -> Corpus:
    """Return the corpus with only the entities of `labels`."""

    def only(documents: tuple[D, ...]) -> tuple[D, ...]:
        return tuple(replace(d, entities=tuple(e for e in d.entities if e.label in labels)) for d in documents)

    return replace(corpus, train=only(corpus.train), dev=only(corpus.dev), test=only(corpus.test))
