"""Stage 2, ExtractEntities: text, knowledge and demonstrations to the items of an answer (mentions), in one LM call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from ner_programs.demos import Demonstration, Selector, permitted
from ner_programs.formats import Format
from ner_programs.prompts.adapter import StageAdapter
from ner_programs.prompts.answers import NO_ANSWERS, Answers
from ner_programs.prompts.asking import ask, ended
from ner_programs.prompts.decisions import Marks
from ner_programs.prompts.rendering import DEMONSTRATIONS
from ner_programs.stages.retrieve import KnowledgeLines
from ner_programs.task import Item, Task
from ner_programs.types import Label
from ner_programs.waiting import Module, Wait


@dataclass(frozen=True, slots=True)
class Extraction:
    """What one call said; `unreadable` pieces of its answer, `unanswered` why there was none, `answers` how it ended."""

    items: tuple[Item, ...] = ()
    unreadable: int = 0
    unanswered: str = ""
    answers: Answers = NO_ANSWERS


class FormatCodec:
    """A format as the codec of the extraction stage."""

    def __init__(self, format: Format, task: Task) -> None:
        self.format, self.task = format, task
        (self.field,) = task.signature.output_fields
        self.describe, self.schema = format.describe, format.schema
        if hasattr(format, "grammar"):
            self.grammar = format.grammar
        self.marks: Marks | None = getattr(format, "marks", None)

    def encode(self, fields: Mapping[str, Any]) -> str:
        """Write the answer of a demonstration."""
        return self.format.write(fields["text"], [self.task.as_item(i) for i in fields[self.field]])

    def decode(self, answer: str) -> dict[str, Any]:
        """Read an answer; what could not be read is counted."""
        reading = self.format.read(answer)
        return {self.field: reading.items(self.task.as_fields), "unreadable": reading.unreadable, "echo": reading.echo}


class ExtractEntities(Module):
    """Asks for the items of one unit of text.

    Demonstrations are those an optimizer has put into the predictor, then those the selector finds, best last.
    """

    def __init__(
        self,
        task: Task,
        format: Format,
        labels: Sequence[Label],
        instruction: str,
        lines: KnowledgeLines,
        select: Selector | None,
        held: tuple[bool, float, float] = (True, 0.0, 0.0),
    ) -> None:
        """Hold answers to their form as `held` says: constrained, opening, closing (see `ProgramSpec`)."""
        super().__init__()
        self.predict = dspy.Predict(task.signature.with_instructions(instruction))
        self.codec = FormatCodec(format, task)
        self.adapter = StageAdapter(self.codec, labels, *held)
        self.task, self.format, self.lines, self.select = task, format, lines, select
        self._shown = _Shown(self.as_demo)

    async def steps(self, wait: Wait, text: str, knowledge: str, exclude: Sequence[str] = ()) -> Extraction:
        """Ask for the items of `text`; demonstrations from the documents in `exclude` are not shown."""
        demos = self.demos(text, exclude)
        said = await ask(wait, self.predict, self.adapter, text=text, knowledge=knowledge, demos=demos)
        items = tuple(self.task.as_item(fields) for fields in said.get(self.codec.field) or ())
        return Extraction(items, *ended(said))

    def demos(self, text: str, exclude: Sequence[str] = ()) -> list[Any]:
        """Return the demonstrations for `text`, best last."""
        fixed = permitted(self.predict.demos, text, exclude)
        chosen = self.select(text, exclude) if self.select else []
        return [*fixed, *map(self._shown, chosen)]

    def as_demo(self, demonstration: Demonstration) -> dict[str, Any]:
        """Return a demonstration with every field of the predictor; its knowledge is not what only its own document says."""
        d = demonstration
        origin = {"id": d.id, "document": d.document, "group": d.group}
        return {
            **origin,
            "text": d.text,
            "knowledge": self.lines(d.text, exclude=(d.document, d.group)),
            self.codec.field: [self.task.as_fields(item) for item in self.task.items(d)],
        }


class _Shown:
    """Makes each demonstration of a pool a demonstration of the predictor once: what is the same object is rendered once.

    A pool never changes, and neither does what its demonstrations are made with, so copies of a program share them.
    """

    def __init__(self, make: Callable[[Demonstration], dict[str, Any]]) -> None:
        self._make = make
        self._made: dict[int, tuple[Demonstration, dict[str, Any]]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> _Shown:
        return self

    def __call__(self, demonstration: Demonstration) -> dict[str, Any]:
        """Return the demonstration as a dict, the same dict as before."""
        known = self._made.get(id(demonstration))
        if known is None or known[0] is not demonstration:
            if len(self._made) >= DEMONSTRATIONS:
                self._made.clear()
            known = self._made[id(demonstration)] = demonstration, self._make(demonstration)
        return known[1]
