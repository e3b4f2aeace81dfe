"""Reads Label Studio's JSON export: a list of tasks, each with `data.text` and `annotations` with regions of the type `labels`.

Of several annotations the ground truth is used, else the first. Predictions, cancelled annotations, other regions and tasks
without annotation are left out and counted. A split keeps documents of one `data.group` or `data.patient` together. Older
versions count offsets in UTF-16 units, which `mismatch = "repair"` converts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from experiments.corpora._mismatch import Found
from experiments.corpora._reader import Name, Options, Span, corpus_from, found_at, problem, reader, reads
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError


class _Value(BaseModel):
    model_config = ConfigDict(strict=True)
    start: int
    end: int
    text: str | None = None
    labels: list[Name] = []


class _Result(BaseModel):
    type: str
    value: dict[str, Any] = {}


class _Annotation(BaseModel):
    result: list[_Result]
    was_cancelled: bool = False
    ground_truth: bool = False


class _Data(BaseModel):
    model_config = ConfigDict(strict=True)
    text: str
    group: Name | int | None = Field(default=None, validation_alias=AliasChoices("group", "patient"))


class _Task(BaseModel):
    id: int | Name | None = None
    data: _Data
    annotations: list[_Annotation] = Field(validation_alias=AliasChoices("annotations", "completions"))
    predictions: list[Any] = []


_TASKS = TypeAdapter(list[_Task])


@reader
def build(*, path: Path, data: Path, options: Options) -> Corpus:
    """Read a file, a folder or a glob."""
    return corpus_from(find, path, data, options)


def find(path: Path, remarks: Counter[str]) -> Iterator[Found]:
    """Yield the annotated tasks of a file; `remarks` counts what is left out. ReadError names file and task."""
    try:
        tasks = _TASKS.validate_json(path.read_bytes())
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
        yield found_at(path, number, task.id, task.data.text, claims, task.data.group)


read = reads(find)


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
    """Return a span for each label of each region."""
    spans: list[Span] = []
    for number, result in enumerate(annotation.result, 1):
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
            spans.append(Span(start=value.start, end=value.end, label=label, text=value.text))
    return spans
