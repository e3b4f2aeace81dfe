"""The data types of nerc: documents, labels, mentions (strings in a model's answer), entities (spans of the text)."""

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
    """Return `text` if it is a str; else raise a TypeError of one line, which never quotes it."""
    if not isinstance(text, str):
        kind = "None" if text is None else type(text).__name__
        raise TypeError(f"{what} is a str, not {kind}{_HINTS.get(kind, '')}")
    return text


@dataclass(frozen=True, slots=True)
class Label:
    """A label and its definition, which the prompt shows."""

    name: str
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention in a model's answer: a surface string and a label, not yet aligned to the text.

    `start` is a hint of its offset, `score` its confidence (0..1). `provenance` names its sources, if known. `attributes` are
    those of a demonstration's mention, from which attributes are learned; no prompt shows them.
    """

    text: str
    label: str
    start: int | None = None
    score: float | None = None
    provenance: tuple[str, ...] = field(compare=False, default=())
    attributes: Attributes = field(compare=False, repr=False, default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """A labelled span of a document.

    `start` and `end` are character offsets, end exclusive, and `text == document.text[start:end]`. `fragments` are the pieces
    of a discontinuous entity; for all others, one piece: the span itself. Two entities are equal if span, fragments and label
    are equal. `concept` (a KB id), `score` (0..1), `attributes` and `provenance` are not compared.
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
        """Build the entity `text[start:end]` with its surface string."""
        return cls(start, end, label, text[start:end], **rest)

    def _repr_html_(self) -> str:
        """Return the HTML for a notebook: the marked surface, the offsets and the attributes."""
        from ner_programs.highlight import entity_html

        return entity_html(self)

    def shifted(self, by: int) -> Entity:
        """Return the entity with all offsets increased by `by`, as in a text that begins `by` characters earlier."""
        fragments = tuple((s + by, e + by) for s, e in self.fragments)
        return Entity(
            self.start + by, self.end + by, self.label, self.text, fragments, self.concept, self.score, self.attributes,
            self.provenance,
        )  # fmt: skip


class Entities(tuple[Entity, ...]):
    """The entities of one `text`, in its order. A notebook shows this tuple as the text with its entities marked."""

    text: str

    def __new__(cls, entities: Iterable[Entity] = (), text: str = "") -> Entities:
        """Make the tuple. The offsets of the entities are offsets into `text`."""
        made = super().__new__(cls, entities)
        made.text = text
        return made

    def _repr_html_(self) -> str:
        """Return the HTML for a notebook: the text with its entities marked."""
        from ner_programs.highlight import notebook_html

        return notebook_html(self.text, self)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verifier's decision about candidate `number` (from 1), or an addition (`number` 0).

    `label` is the new label for "label" and "add". `text` is the new surface for "span" and "add". `score` is its confidence
    (0..1).
    """

    kind: Decision
    number: int = 0
    label: str = ""
    text: str = ""
    score: float | None = field(compare=False, default=None)


@dataclass(frozen=True, slots=True)
class AnnotatedText:
    """The base class of `Document` and `HeldOut`: the data that annotating and scoring need.

    Documents of one `group` must be in the same part of a split (for instance those of one patient; by default the document
    alone). `related` are ids of other documents that must not be demonstrations for this one (for instance the neighbouring
    lines, if the corpus does not mark where an abstract ends).
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
        """Return the ids and groups that must not be demonstrations for this document."""
        return (self.id, self.group, *self.related)


@dataclass(frozen=True, slots=True)
class Document(AnnotatedText):
    """An annotated document: a note, an abstract, or a sentence (if the corpus has only those). Programs may learn from it."""


@dataclass(frozen=True, slots=True)
class HeldOut(AnnotatedText):
    """A test document: a program may annotate it and be scored on it, but nothing may learn from it.

    It is not a `Document`. So mypy rejects it as training data or as a demonstration, and `learnable` rejects it at run time.
    """


def learnable(given: Iterable[Document], what: str) -> tuple[Document, ...]:
    """Return `given` as a tuple; TypeError if one of them is not a `Document`, above all if it is held out."""
    known = tuple(given)
    for document in known:
        if not isinstance(document, Document):
            raise TypeError(
                f"{what} takes Documents, not {type(document).__name__}: test documents are only for scoring"
            )
    return known
