"""The protocol of tasks: what a program is asked, what its answers become, and how these are counted.

The only task is NER (`ner_programs.ner`). Its two kinds of data have plain names here. An *item* is what an LM's answer says
(a mention). An *annotation* is what aligned items become, and what gold consists of (an entity). Annotations can be compared,
hashed and sorted. Decision 0019 says what knows a program's task only by this protocol, and what does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import dspy

    from ner_programs.demos.base import Demonstration
    from ner_programs.found import Found
    from ner_programs.scoring import Counts
    from ner_programs.spec import ProgramSpec
    from ner_programs.types import AnnotatedText
    from ner_programs.units import Unit, UnitKind

Item = Any
Annotation = Any
Labelled = Any
"""A document or a demonstration with gold: of a class of the task's own, where the classes of NER have no field for it."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """The annotations of a text, and the items that could not be aligned with it (`lost`)."""

    annotations: tuple[Annotation, ...] = ()
    lost: tuple[Item, ...] = ()


class Task(Protocol):
    """What programs of one `ProgramSpec` do. A spec class of a second task has it as its `task`.

    `signature` is that of the extraction stage: it reads `knowledge` and `text`; its one output field lists items as plain
    data. `field` names the annotations of a document, a demonstration, an example and a prediction: "entities". It is another
    name than that of the output field, because an example has both.
    """

    signature: type[dspy.Signature]
    field: str

    def as_fields(self, item: Item) -> dict[str, Any]:
        """Return an item as plain data, for the fields of a demonstration."""

    def as_item(self, fields: Mapping[str, Any]) -> Item:
        """Read what `as_fields` wrote; `score`, if the LM reports it, is among the fields."""

    def demonstrations(self, document: Labelled, unit: UnitKind, window: int) -> Iterable[Demonstration]:
        """Cut a labelled document into units, each with its part of gold."""

    def items(self, demonstration: Labelled) -> Sequence[Item]:
        """Return gold as a right answer says it."""

    def aligned(self, text: str, items: Iterable[Item], spec: ProgramSpec) -> Aligned:
        """Align an answer with the text that it is about."""

    def moved(self, unit: Aligned, by: int, stages: tuple[str, ...]) -> Aligned:
        """Return the same in a document in which the unit begins at offset `by`; `stages` are those that made it."""

    def merged(self, units: Sequence[Unit], found: Sequence[Sequence[Annotation]]) -> Iterable[Annotation]:
        """Return the annotations of all units of a document; of overlapping windows two may say the same or disagree."""

    def found(self, text: str, annotations: tuple[Annotation, ...], **ended: Any) -> Found:
        """Return the prediction for a whole text, which a notebook shows; `ended` is everything besides annotations."""

    def count(self, gold: Iterable[Annotation], predicted: Iterable[Annotation], unanswered: int = 0) -> Counts:
        """Count the annotations of one text."""


def annotations_of(task: Task, of: AnnotatedText | Demonstration | dspy.Example) -> tuple[Annotation, ...]:
    """Return the annotations of a document, a demonstration, an example or a prediction."""
    return tuple(getattr(of, task.field))
