"""Reads Label Studio's JSON export, and writes tasks with predictions: `data.text`, and regions of the type `labels`.

The choices of a region (`perRegion`) are its attributes. Of several annotations the ground truth is used, else the first.
Predictions, cancelled annotations, other regions and tasks without annotation are left out and counted. A task is named after
its `data.document`, else its `id`. A split keeps documents of one `data.group` or `data.patient` together. Offsets count code
points; those of older versions count UTF-16 units (an emoji is two), which `mismatch = "repair"` converts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from experiments.corpora._mismatch import Found
from experiments.corpora._reader import Name, Options, Span, corpus_from, found_at, problem, reader, reads
from experiments.corpora._write import checked, grouped, without
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError
from ner_programs.types import AnnotatedText, Entity

ATTRIBUTES = "attributes"
"""The name of the control with an entity's attributes: `<Choices name="attributes" toName="text" perRegion="true">`."""


class _Value(BaseModel):
    model_config = ConfigDict(strict=True)
    start: int
    end: int
    text: str | None = None
    labels: list[Name] = []


class _Chosen(BaseModel):
    model_config = ConfigDict(strict=True)
    choices: list[Name] = []


class _Result(BaseModel):
    type: str
    id: str | None = None
    from_name: str = ""
    value: dict[str, Any] = {}


class _Annotation(BaseModel):
    result: list[_Result]
    was_cancelled: bool = False
    ground_truth: bool = False


class _Data(BaseModel):
    model_config = ConfigDict(strict=True)
    text: str
    document: Name | None = None
    group: Name | int | None = Field(default=None, validation_alias=AliasChoices("group", "patient"))


class _Task(BaseModel):
    id: int | Name | None = None
    data: _Data
    annotations: list[_Annotation] = Field(validation_alias=AliasChoices("annotations", "completions"))
    predictions: list[Any] = []

    @model_validator(mode="before")
    @classmethod
    def _predicted(cls, data: Any, info: ValidationInfo) -> Any:
        """Take predictions for annotations where the caller says so."""
        if (info.context or {}).get("predicted") and isinstance(data, dict):
            return {**data, "annotations": data.get("predictions", []), "predictions": []}
        return data


_TASKS = TypeAdapter(list[_Task])


@reader
def build(*, path: Path, data: Path, options: Options) -> Corpus:
    """Read a file, a folder or a glob."""
    return corpus_from(find, path, data, options)


def find(path: Path, remarks: Counter[str], *, predicted: bool = False) -> Iterator[Found]:
    """Yield the annotated tasks of a file; `remarks` counts what is left out. ReadError names file and task.

    If `predicted`, predictions are read as if they were annotations.
    """
    try:
        tasks = _TASKS.validate_json(path.read_bytes(), context={"predicted": predicted})
    except ValidationError as error:  # not chained: it quotes the file
        place = error.errors(include_input=False, include_context=False, include_url=False)[0]["loc"]
        where = f"task {int(place[0]) + 1}: " if place else ""
        raise ReadError(f"{path}: {where}{problem(error, skip=1)}") from None
    for number, task in enumerate(tasks, 1):
        annotation = _chosen(task, remarks)
        if annotation is None:
            remarks["tasks without an annotation, ignored"] += 1
            continue
        at = _At(path, number)
        claims = [span.claim(at) for span in _spans(at, annotation, remarks)]
        name = task.id if task.data.document is None else task.data.document
        yield found_at(path, number, name, task.data.text, claims, task.data.group)


read = reads(find)


def write(documents: Iterable[AnnotatedText], path: Path, *, by: str = "nerc") -> tuple[str, ...]:
    """Write tasks to import, each with a prediction of the model version `by`. Return what the form cannot express.

    The labelling interface needs `<Labels name="label" toName="text">` and `<Text name="text" value="$text"/>`; for attributes,
    `<Choices name="attributes" toName="text" perRegion="true" choice="multiple">`, too. Raises WriteError for discontinuous
    entities.
    """
    known = list(documents)

    def write_to(new: Path) -> None:
        with new.open("w", encoding="utf-8", newline="") as stream:
            for number, document in enumerate(known):
                stream.write(("," if number else "[") + "\n" + json.dumps(_task(document, by), ensure_ascii=False))
            stream.write("\n]\n" if known else "[]\n")

    def read_again(new: Path) -> Iterator[AnnotatedText]:
        return read(new, predicted=True)

    return checked(path, without(known, ("score", "concept")), write_to, read_again)


def _task(document: AnnotatedText, by: str) -> dict[str, Any]:
    """Return a task. Its score is the mean of its entities', so that a project can be sorted by it."""
    scores = [e.score for e in document.entities if e.score is not None]
    score = {"score": sum(scores) / len(scores)} if scores else {}
    regions = [result for number, entity in enumerate(document.entities, 1) for result in _results(number, entity)]
    return {
        "data": {"text": document.text, "document": document.id, **grouped(document)},
        "predictions": [{"model_version": by, **score, "result": regions}],
    }


def _results(number: int, entity: Entity) -> Iterator[dict[str, Any]]:
    """Yield the region of an entity, and the choices of the same region, which are its attributes."""
    at = {"start": entity.start, "end": entity.end, "text": entity.text}
    about = {"id": f"nerc-{number}", "to_name": "text"}
    score = {} if entity.score is None else {"score": entity.score}
    concept = {} if entity.concept is None else {"meta": {"text": [entity.concept]}}
    yield {
        **about,
        "from_name": "label",
        "type": "labels",
        "value": {**at, "labels": [entity.label]},
        **score,
        **concept,
    }
    if entity.attributes:
        chosen = [name if value == "true" else f"{name}={value}" for name, value in entity.attributes.items()]
        yield {**about, "from_name": ATTRIBUTES, "type": "choices", "value": {**at, "choices": chosen}}


@dataclass(frozen=True)
class _At:
    """Makes the error for a message about a task."""

    path: Path
    task: int

    def __call__(self, message: str) -> ReadError:
        return ReadError(f"{self.path}: task {self.task}: {message}")


def _chosen(task: _Task, remarks: Counter[str]) -> _Annotation | None:
    done = [a for a in task.annotations if not a.was_cancelled]
    counts = {
        "cancelled annotations, ignored": len(task.annotations) - len(done),
        "annotations of a task after the one taken, ignored": len(done) - 1,
        "predictions, ignored": len(task.predictions),
    }
    remarks.update({what: n for what, n in counts.items() if n > 0})
    return next((a for a in done if a.ground_truth), done[0] if done else None)


def _spans(at: _At, annotation: _Annotation, remarks: Counter[str]) -> list[Span]:
    """Return a span for each label of each region, with the attributes of the region."""
    spans: list[Span] = []
    attributes = _attributes(at, annotation)
    for number, result in enumerate(annotation.result, 1):
        if result.type == "choices" and result.id in attributes:
            continue
        if result.type != "labels":
            remarks[f"results of the type {result.type[:40]!r}, ignored"] += 1
            continue
        try:
            value = _Value.model_validate(result.value)
        except ValidationError as error:
            raise at(f"region {number}: {problem(error)}") from None
        if not value.labels:
            remarks["regions without a label, ignored"] += 1
        for label in value.labels:
            about = attributes.get(result.id or "", {})
            spans.append(Span(start=value.start, end=value.end, label=label, text=value.text, attributes=about))
    return spans


def _attributes(at: _At, annotation: _Annotation) -> dict[str, dict[str, str]]:
    """Return the attributes of each region that has choices, by its id.

    The choices of the control "attributes" are names, or `name=value`, as `write` has them; so are several choices of another
    control. Its only choice is the value, and the control's name the name.
    """
    regions = {result.id for result in annotation.result if result.type == "labels" and result.id is not None}
    found: dict[str, dict[str, str]] = {}
    for number, result in enumerate(annotation.result, 1):
        if result.type != "choices" or result.id is None or result.id not in regions:
            continue
        try:
            choices = _Chosen.model_validate(result.value).choices
        except ValidationError as error:
            raise at(f"region {number}: {problem(error)}") from None
        about = found.setdefault(result.id, {})
        if len(choices) == 1 and result.from_name not in ("", ATTRIBUTES):
            about[result.from_name] = choices[0]
            continue
        for choice in choices:
            name, _, value = choice.partition("=")
            about[name] = value or "true"
    return found
