"""`ProgramSpec`: plain data that builds an uncompiled program, given a knowledge base and a pool of demonstrations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from ner_programs.components import resolve
from ner_programs.errors import ComponentError
from ner_programs.guidelines import Rule
from ner_programs.guidelines import plain as plain_rule
from ner_programs.types import Label
from ner_programs.units import OVERLAP, WINDOW, UnitKind

if TYPE_CHECKING:
    from kb import KnowledgeBase
    from ner_programs.demos import Pool
    from ner_programs.program import NERProgram
    from ner_programs.task import Task

NARROWEST = 16
"""Minimum `window`, in characters. A smaller window has too little context."""
DEEPEST = 8


def plain_data(value: Any, depth: int = 0) -> Any:
    """Return plain data unchanged; ValueError if it is nested too deeply or has a number that is not finite or too large."""
    if depth > DEEPEST:
        raise ValueError(f"it nests deeper than {DEEPEST}")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) or len(key) > 200:
                raise ValueError("a key is a string of at most 200 characters")
            plain_data(inner, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            plain_data(inner, depth + 1)
    elif isinstance(value, int | float) and not (isfinite(value) and abs(value) < 1 << 53):
        raise ValueError("a number is not finite, or too large")
    return value


Component = Annotated[dict[str, Any], AfterValidator(plain_data)]
"""For instance `{"name": "walk", "hops": 1}`: the module that builds the component, and its options."""
Text = Annotated[str, Field(max_length=1_000_000)]
_RULE = TypeAdapter(Rule)

_LABEL = re.compile(r"[^\W_](?:[\w .+/&()-]{0,58}[\w+)])?")


class ProgramSpec(BaseModel):
    """The options of a program, as plain data; the same in a TOML spec and in a bundle.

    `labels` maps each label to its definition. `window` is the maximum size of a window, in characters; windows of a long text
    overlap by `overlap` characters, so that an entity of that length is whole in one of them. `types` maps semantic
    types of the knowledge base to labels, or to "" for none. `seeds` chooses what finds the names to look up: the dictionary
    ("text"), or the LM as well ("lm"). With `link`, every entity gets its most probable concept.
    `attributes` finds the clinical attributes of entities, after everything else.
    If `constrained`, decoding follows the grammar of the format, if the LM supports it. `opening` and `closing` are then added
    to the log-odds of the tokens that open and close a mark, in nats (a small LM copies the text and never opens one).
    `occurrences` decides which occurrences of its surface a mention without an offset marks: all of them, or the next one.
    `rules` are rules that an optimizer has added to the instruction, as data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: dict[str, Text] = Field(min_length=1, max_length=10_000)
    guidelines: Text = ""
    unit: UnitKind = "sentence"
    window: int = Field(default=WINDOW, ge=NARROWEST, le=10_000_000)
    overlap: int = Field(default=0, ge=0)
    format: Component = {"name": "json_list"}
    demos: Component | None = None
    retriever: Component = {"name": "none"}
    seeds: Literal["text", "lm"] = "text"
    link: bool = False
    verify: Component | None = None
    attributes: Component | None = None
    occurrences: Literal["all", "ordered"] = "all"
    types: dict[str, str] = {}
    constrained: bool = True
    opening: float = Field(default=0.0, ge=-100, le=100)
    closing: float = Field(default=0.0, ge=-100, le=100)
    knowledge_size: int = Field(default=1500, ge=0, le=1_000_000)
    rules: list[Component] = []

    @field_validator("rules")
    @classmethod
    def _rules(cls, rules: list[Component]) -> list[Component]:
        return [plain_rule(_RULE.validate_python(rule)) for rule in rules]

    @field_validator("labels")
    @classmethod
    def _names(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if not _LABEL.fullmatch(name):
                raise ValueError(
                    f"a label is at most 60 letters, digits, blanks and . + / & ( ) - _, a letter or digit first, not {name!r}"
                )
        return labels

    @model_validator(mode="after")
    def _overlaps(self) -> Self:
        if self.overlap * OVERLAP > self.window:
            raise ValueError(f"overlap: at most an eighth of the window, {self.window // OVERLAP}")
        return self

    @model_validator(mode="after")
    def _types(self) -> Self:
        if odd := [label for label in self.types.values() if label and label not in self.labels]:
            raise ValueError(f"types: there is no label {odd[0][:60]!r}; there are: {', '.join(self.labels)}")
        return self

    @property
    def task(self) -> Task:
        """What programs of this spec do. The spec class of another task returns another."""
        from ner_programs.ner import NER

        return NER

    def build(
        self, kb: KnowledgeBase | None = None, pool: Pool | None = None, *, trust: Sequence[str] | None = None
    ) -> NERProgram:
        """Build the program. `trust` lists the foreign packages from which components may be imported (None: all).

        Raises ComponentError if a component or one of its options does not exist.
        """
        from ner_programs.demos import Pool
        from ner_programs.demos.contributions import Contributions
        from ner_programs.program import NERProgram
        from ner_programs.stages.extract import ExtractEntities
        from ner_programs.stages.retrieve import KnowledgeLines, RetrieveKnowledge
        from ner_programs.stages.verify import Verifier, VerifyEntities

        labels = tuple(Label(name, definition) for name, definition in self.labels.items())
        pool = pool if pool is not None else Pool(())
        context: dict[str, Any] = {
            "trust": trust,
            "labels": labels,
            "kb": kb,
            "pool": pool,
            "guidelines": self.guidelines,
        }
        retriever = resolve("kb.retrievers", self.retriever, **context)
        all_of = (
            pool.whole
        )  # also documents left out of the pool: knowledge that they contribute must be known as theirs
        own = all_of.once(f"contributions {kb.fingerprint if kb else ''}", lambda: Contributions(all_of, kb))
        lines = KnowledgeLines(retriever, labels, self.types, self.knowledge_size, own.only)
        asks = self.seeds == "lm" and self.retriever["name"] != "none"
        retrieve = RetrieveKnowledge(lines, labels if asks else None)
        select = resolve("ner_programs.demos", self.demos, **context) if self.demos else None
        form = resolve("ner_programs.formats", self.format, **context)
        instruction = f"{self.task.signature.instructions}\n\n{self.guidelines}".strip()
        held = (self.constrained, self.opening, self.closing)
        extract = ExtractEntities(self.task, form, labels, instruction, lines, select, held)

        def inner(of: Component) -> Verifier:  # a verifier may ask another
            given = {**context, "extract": extract, "inner": inner}
            verifier: Verifier = resolve("ner_programs.verifiers", of, **given)
            return verifier

        verify = VerifyEntities(inner(self.verify)) if self.verify else None
        program = NERProgram(self, retrieve, extract, verify, kb=kb, pool=pool)
        if self.attributes:
            program.attributes = resolve("ner_programs.attributes", self.attributes, **context)
        return program

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return the spec with `changes`. A component's options are merged unless `changes` names another component."""
        ours = self.model_dump()
        for key, value in changes.items():
            old = ours.get(key)
            merge = (
                isinstance(value, Mapping)
                and isinstance(old, dict)
                and value.get("name", old.get("name")) == old.get("name")
            )
            ours[key] = {**old, **value} if merge and old else value
        try:
            return type(self).model_validate(ours)
        except ValidationError as error:
            first = error.errors()[0]
            where, known = ".".join(map(str, first["loc"])), ", ".join(type(self).model_fields)
            hint = f"; there are: {known}" if first["type"] == "extra_forbidden" else ""
            raise ComponentError(f"{where}: {first['msg']}{hint}") from error
