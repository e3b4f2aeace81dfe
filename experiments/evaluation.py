"""What a result line says: strict and relaxed micro-F1 with an interval, seen and unseen, and how many calls failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.corpora._base import Corpus
from experiments.significance import interval, pooled
from ner_programs.scoring import Counts
from ner_programs.types import Document, Entity
from optimizers._base import Scored

Answers = Sequence[Sequence[Entity]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of one program on one part of a corpus; `rows` are what a bootstrap resamples (documents, or sentences)."""

    rows: tuple[Counts, ...]
    seen: Counts
    unseen: Counts
    unit: str
    documents: int
    unreadable: int = 0

    @classmethod
    def read(cls, said: dict[str, Any]) -> Evaluation:
        """Read what `dataclasses.asdict` made of an evaluation."""
        counts = {"rows": tuple(Counts(**c) for c in said["rows"])} | {k: Counts(**said[k]) for k in ("seen", "unseen")}
        return cls(**{**said, **counts})

    @property
    def total(self) -> Counts:
        """The counts of the whole part."""
        return sum(self.rows, Counts())

    def as_dict(self) -> dict[str, Any]:
        """Return every figure of the result line; None is a figure that nothing was counted for."""
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
            "documents": self.documents,
            "entities": total.gold,
            "unreadable": self.unreadable,
            "unanswered": total.unanswered,
        }


def evaluate(corpus: Corpus, part: str, scored: Scored | None = None, answers: Answers | None = None) -> Evaluation:
    """Score answers to the documents of `part`: a program's (`scored`) or anyone's (`answers`, in the documents' order)."""
    documents: tuple[Document, ...] = getattr(corpus, part)
    said = scored.entities if scored is not None else answers or ()
    if len(said) != len(documents):
        raise ValueError(f"there are {len(documents)} {part} documents and {len(said)} answers")
    counts = scored.counts if scored else [Counts.of(d.entities, a) for d, a in zip(documents, said, strict=True)]
    groups = [d.group for d in documents]
    rows = pooled(counts, groups) if corpus.resampling == "document" else list(counts)
    known = {e.text.casefold() for d in corpus.train for e in d.entities}
    seen, unseen = Counts(), Counts()
    for document, entities in zip(documents, said, strict=True):
        seen += _only(document.entities, entities, known, True)
        unseen += _only(document.entities, entities, known, False)
    return Evaluation(tuple(rows), seen, unseen, corpus.resampling, len(documents), scored.unreadable if scored else 0)


def _f1(counts: Counts) -> float | None:
    """Return F1, None where there is neither gold nor prediction."""
    return round(counts.f1, 4) if counts.gold or counts.predicted else None


def _only(gold: Sequence[Entity], said: Sequence[Entity], known: set[str], wanted: bool) -> Counts:
    """Count only entities whose surface is, or is not, that of a train mention."""
    there, found = ([e for e in side if (e.text.casefold() in known) is wanted] for side in (gold, said))
    return Counts.of(there, found)


def with_labels(corpus: Corpus, labels: set[str]) -> Corpus:
    """Return the corpus with only the entities of `labels`."""

    def only(documents: tuple[Document, ...]) -> tuple[Document, ...]:
        return tuple(replace(d, entities=tuple(e for e in d.entities if e.label in labels)) for d in documents)

    return replace(corpus, train=only(corpus.train), dev=only(corpus.dev), test=only(corpus.test))
