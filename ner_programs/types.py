"""The words of the field: documents, labels, mentions (what a model says), entities (what lies in the text)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Attributes = Mapping[str, str]
Decision = Literal["keep", "reject", "label", "span", "add"]
_HINTS = {
    "bytes": "; decode it first: text.decode('utf-8')",
    "list": "; give one text at a time",
    "tuple": "; give one text at a time",
}


def checked_text(text: Any, what: str = "a text") -> str:
    """Return `text` if it is a str; TypeError in one line, which never quotes it, for anything else."""
    if not isinstance(text, str):
        kind = "None" if text is None else type(text).__name__
        raise TypeError(f"{what} is a str, not {kind}{_HINTS.get(kind, '')}")
    return text


@dataclass(frozen=True, slots=True)
class Label:
    """A label and the definition that a prompt gives of it."""

    name: str
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Mention:
    """What a model said: a surface string and a label; `start` is a hint of its offset, `score` its confidence (0..1).

    `provenance` says who found it, where that is known.
    """

    text: str
    label: str
    start: int | None = None
    score: float | None = None
    provenance: tuple[str, ...] = field(compare=False, default=())


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """A labelled span of a document.

    `start` and `end` are character offsets, end exclusive, and `text == document.text[start:end]`. `fragments` holds the
    pieces of a discontinuous entity (one piece, the span itself, for all others). Two entities are equal when span,
    fragments and label are; `concept` (a KB id), `score` (0..1), `attributes` and `provenance` are carried along.
    """

    start: int
    end: int
    label: str
    text: str = field(compare=False, default="")
    fragments: tuple[tuple[int, int], ...] = ()
    concept: str | None = field(compare=False, default=None)
    score: float | None = field(compare=False, default=None)
    attributes: Attributes = field(compare=False, default_factory=dict)
    provenance: tuple[str, ...] = field(compare=False, default=())

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"an entity needs 0 <= start < end, not {self.start}..{self.end}")
        if not self.fragments:
            object.__setattr__(self, "fragments", ((self.start, self.end),))

    @classmethod
    def of(cls, text: str, start: int, end: int, label: str, **rest: Any) -> Entity:
        """Build the entity `text[start:end]`, filling in its surface string."""
        return cls(start, end, label, text[start:end], **rest)

    def _repr_html_(self) -> str:
        """Return the entity as a notebook shows it: its surface, marked, with where it lies and what is known of it."""
        from ner_programs.highlight import entity_html

        return entity_html(self)

    def shifted(self, by: int) -> Entity:
        """Return the same entity in a text that begins `by` characters earlier."""
        fragments = tuple((s + by, e + by) for s, e in self.fragments)
        return Entity(
            self.start + by, self.end + by, self.label, self.text, fragments, self.concept, self.score, self.attributes,
            self.provenance,
        )  # fmt: skip


class Entities(tuple[Entity, ...]):
    """The entities of one `text`, in its order: a tuple that a notebook shows as the text with its entities marked."""

    text: str

    def __new__(cls, entities: Iterable[Entity] = (), text: str = "") -> Entities:
        """Make the tuple; `text` is the document that the offsets count in."""
        made = super().__new__(cls, entities)
        made.text = text
        return made

    def _repr_html_(self) -> str:
        """Return the text with its entities, as a notebook shows it."""
        from ner_programs.highlight import notebook_html

        return notebook_html(self.text, self)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier decided about candidate `number` (from 1), or an addition (`number` 0).

    `label` is the new label of "label" and "add"; `text` the new surface of "span" and "add"; `score` how sure it is (0..1).
    """

    kind: Decision
    number: int = 0
    label: str = ""
    text: str = ""
    score: float | None = field(compare=False, default=None)


@dataclass(frozen=True, slots=True)
class AnnotatedText:
    """What a `Document` and a `HeldOut` have in common: all that answering and scoring needs.

    `group` names what must stay together in a split (a patient; by default the document itself). `related` lists ids of
    other documents that must not be shown as demonstrations for this one (neighbouring lines of the same abstract where
    the corpus does not say where an abstract ends).
    """

    id: str
    text: str
    entities: tuple[Entity, ...] = ()
    group: str = ""
    related: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checked_text(self.text, f"the text of document {self.id!r}")
        if not self.group:
            object.__setattr__(self, "group", self.id)

    @property
    def kin(self) -> tuple[str, ...]:
        """Return the ids and groups that may not be shown as demonstrations for this document."""
        return (self.id, self.group, *self.related)


@dataclass(frozen=True, slots=True)
class Document(AnnotatedText):
    """What was annotated: a note, an abstract, or a sentence where the corpus has no more. Programs may learn from it."""


@dataclass(frozen=True, slots=True)
class HeldOut(AnnotatedText):
    """A document of the test part: it may be answered and scored, and nothing may learn from it.

    It is no `Document`, so mypy refuses it where something is compiled, fitted or shown, and `learnable` does at run time.
    """


def learnable(given: Iterable[Document], what: str) -> tuple[Document, ...]:
    """Return `given` as a tuple; TypeError where one of them is no `Document`, above all where it is held out."""
    known = tuple(given)
    for document in known:
        if not isinstance(document, Document):
            raise TypeError(
                f"{what} takes Documents, not {type(document).__name__}: test documents are only for scoring"
            )
    return known
