"""Counts of gold, predicted and correct entities, with precision, recall and micro-F1 computed from them.

Strict: an entity is correct if its span, fragments and label equal those of a gold entity (`Entity.__eq__`). Relaxed: the
labels are equal and the outer spans overlap; each entity is matched at most once. A document or corpus without gold and
without predicted entities scores 1.0 (0/0 is 1). In a pooled micro-F1 such a document adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from ner_programs.task import annotations_of
from ner_programs.types import Entity

if TYPE_CHECKING:
    from ner_programs.task import Task


def ratio(part: float, whole: int, other: int) -> float:
    """Return `part / whole`. 0/0 is 1.0 if the `other` side is empty too, else 0.0."""
    if whole:
        return part / whole
    return 0.0 if other else 1.0


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of correct, predicted and gold entities. Add the counts of documents with `+`.

    `relaxed` counts the relaxed matches, which include the strict ones (`relaxed >= correct`). `unanswered` counts failed
    LM calls. Their gold entities are in `gold`, so they lower recall.
    """

    correct: int = 0
    predicted: int = 0
    gold: int = 0
    relaxed: int = 0
    unanswered: int = 0

    @classmethod
    def of(cls, gold: Iterable[Entity], predicted: Iterable[Entity], unanswered: int = 0) -> Counts:
        """Count one text. Duplicates on one side count once."""
        wanted, found = set(gold), set(predicted)
        correct = wanted & found
        relaxed = len(correct) + _overlapping_pairs(wanted - correct, found - correct)
        return cls(len(correct), len(found), len(wanted), relaxed, unanswered)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.correct + other.correct,
            self.predicted + other.predicted,
            self.gold + other.gold,
            self.relaxed + other.relaxed,
            self.unanswered + other.unanswered,
        )

    @property
    def precision(self) -> float:
        """Share of the predicted entities that are correct."""
        return ratio(self.correct, self.predicted, self.gold)

    @property
    def recall(self) -> float:
        """Share of the gold entities that were found."""
        return ratio(self.correct, self.gold, self.predicted)

    @property
    def f1(self) -> float:
        """Strict micro-F1: 2 correct / (predicted + gold)."""
        return ratio(2 * self.correct, self.predicted + self.gold, 0)

    @property
    def relaxed_precision(self) -> float:
        """Share of the predicted entities that overlap a gold entity of the same label."""
        return ratio(self.relaxed, self.predicted, self.gold)

    @property
    def relaxed_recall(self) -> float:
        """Share of the gold entities that overlap a predicted entity of the same label."""
        return ratio(self.relaxed, self.gold, self.predicted)

    @property
    def relaxed_f1(self) -> float:
        """Relaxed micro-F1."""
        return ratio(2 * self.relaxed, self.predicted + self.gold, 0)

    @property
    def perfect(self) -> bool:
        """Whether the predicted entities equal the gold ones and no call failed."""
        return self.correct == self.predicted == self.gold and not self.unanswered


def _overlapping_pairs(gold: Iterable[Entity], predicted: Iterable[Entity]) -> int:
    """Count one-to-one pairs of the same label with overlapping outer spans, matched greedily from left to right."""
    pairs = 0
    waiting = sorted(predicted)
    for wanted in sorted(gold):
        for i, found in enumerate(waiting):
            if found.start >= wanted.end:
                break
            if found.label == wanted.label and found.end > wanted.start:
                del waiting[i]
                pairs += 1
                break
    return pairs


class PooledF1(float):
    """`n` times the micro-F1 of pooled counts, so that `sum(scores) / len(scores)` is the corpus micro-F1.

    DSPy sums the scores of the metric and divides by the number of examples. A single score is the F1 of one document, between
    0 and 1. Adding another `PooledF1` pools the counts. Adding zero (the start of a sum, or DSPy's score of an example that
    raised) changes nothing. Adding any other number gives a plain float.
    """

    counts: Counts
    n: int

    def __new__(cls, counts: Counts, n: int = 1) -> PooledF1:
        """Pool the `counts` of `n` examples."""
        self = super().__new__(cls, n * counts.f1)
        self.counts, self.n = counts, n
        return self

    @overload
    def __add__(self, other: PooledF1) -> PooledF1: ...
    @overload
    def __add__(self, other: float) -> float: ...
    def __add__(self, other: float) -> float:
        if isinstance(other, PooledF1):
            return PooledF1(self.counts + other.counts, self.n + other.n)
        return self if other == 0 else float(self) + other

    __radd__ = __add__

    def __reduce__(self) -> tuple[type[PooledF1], tuple[Counts, int]]:
        return PooledF1, (self.counts, self.n)

    def __copy__(self) -> PooledF1:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> PooledF1:
        return self


def pooled(task: Task, example: Any, prediction: Any) -> PooledF1:
    """Score a prediction against an example of the same task. `prediction.unanswered`, if present, counts failed LM calls."""
    unanswered = int(getattr(prediction, "unanswered", 0) or 0)
    return PooledF1(task.count(annotations_of(task, example), annotations_of(task, prediction), unanswered))


@overload
def metric(example: Any, prediction: Any, trace: None = None) -> PooledF1: ...
@overload
def metric(example: Any, prediction: Any, trace: object) -> PooledF1 | bool: ...
def metric(example: Any, prediction: Any, trace: object = None) -> PooledF1 | bool:
    """Score `prediction.entities` against `example.entities`; the metric for every DSPy optimizer.

    `prediction.unanswered`, if present, is the number of failed calls. With a trace, DSPy asks whether this prediction may
    become a demonstration. The result is then a bool: True if the prediction is perfect.
    """
    unanswered = int(getattr(prediction, "unanswered", 0) or 0)
    counts = Counts.of(example.entities, prediction.entities, unanswered)
    return PooledF1(counts) if trace is None else counts.perfect
