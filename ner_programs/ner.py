"""Named entity recognition as a task: an LM names mentions, and alignment makes them entities of the text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dspy

from ner_programs.alignment.align import align_report
from ner_programs.demos.base import Demonstration, labelled_units
from ner_programs.found import Found
from ner_programs.scoring import Counts
from ner_programs.seams import merged
from ner_programs.task import Aligned, Task
from ner_programs.types import Document, Entities, Entity, Mention
from ner_programs.units import Unit, UnitKind

if TYPE_CHECKING:
    from ner_programs.spec import ProgramSpec


class FindMentions(dspy.Signature):
    """Find every mention of the labels below in the text."""

    knowledge: str = dspy.InputField()
    text: str = dspy.InputField()
    mentions: list[dict[str, Any]] = dspy.OutputField()


class EntityRecognition:
    """The task whose items are mentions and whose annotations are entities."""

    signature: type[dspy.Signature] = FindMentions
    field = "entities"

    def as_fields(self, item: Mention) -> dict[str, Any]:
        """Return a mention as plain data."""
        hint = {"start": item.start} if item.start is not None else {}
        return {"text": item.text, "label": item.label} | hint

    def as_item(self, fields: Mapping[str, Any]) -> Mention:
        """Read what `as_fields` wrote."""
        return Mention(fields["text"], fields["label"], fields.get("start"), fields.get("score"))

    def demonstrations(self, document: Document, unit: UnitKind, window: int) -> Iterable[Demonstration]:
        """Cut a labelled document into units. Units are joined where an annotated span crosses their edge."""
        return labelled_units(document, unit, window)

    def items(self, demonstration: Demonstration) -> Sequence[Mention]:
        """Return the mentions of a demonstration."""
        return demonstration.mentions

    def aligned(self, text: str, items: Iterable[Mention], spec: ProgramSpec) -> Aligned:
        """Align mentions with the text; lost are those that are not in it, and those whose places others took."""
        made = align_report(text, items, policy=spec.occurrences)
        return Aligned(made.entities, (*made.lost, *made.crowded))

    def moved(self, unit: Aligned, by: int, stages: tuple[str, ...]) -> Aligned:
        """Shift entities and the hints of lost mentions; an entity without provenance comes from `stages`."""
        entities = tuple(replace(e.shifted(by), provenance=e.provenance or stages) for e in unit.annotations)
        lost = tuple(m if m.start is None else replace(m, start=m.start + by) for m in unit.lost)
        return Aligned(entities, lost)

    def merged(self, units: Sequence[Unit], found: Sequence[Sequence[Entity]]) -> list[Entity]:
        """Of entities that overlap, from two windows, keep the one further from its window's edge."""
        return merged(units, found)

    def found(self, text: str, annotations: tuple[Entity, ...], **ended: Any) -> Found:
        """Return the prediction that a notebook shows as the text with its entities marked."""
        return Found(entities=Entities(annotations, text), **ended)

    def count(self, gold: Iterable[Entity], predicted: Iterable[Entity], unanswered: int = 0) -> Counts:
        """Count strict and relaxed matches."""
        return Counts.of(gold, predicted, unanswered)


NER = EntityRecognition()
"""The task of every program whose spec is a `ProgramSpec`."""


def task_of(program: dspy.Module) -> Task:
    """Return the task of a program; NER for a DSPy module of one's own."""
    task: Task = getattr(program, "task", NER)
    return task
