"""What every corpus and reader returns: three parts of documents, and what is to be known about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

from experiments.errors import ReadError
from ner_programs.types import AnnotatedText, Document, Entity, HeldOut, Label, learnable

Documents = tuple[Document, ...]
D = TypeVar("D", bound=AnnotatedText)
PARTS = ("train", "dev", "test")


@dataclass(frozen=True)
class Corpus:
    """Documents in three parts (a part may be empty), checked: ids are unique, every entity lies in its text.

    `labels` are those that the corpus defines; none means "those of the annotation", see `suggested_labels`. `unit` is
    what one prompt covers by default. `resampling` is what a bootstrap may draw: "document" draws groups (rows pooled
    by `Document.group`), "sentence" single rows, for want of known documents. `remarks` say what the reader dropped.

    The documents of `test` are `HeldOut`, which nothing that compiles, fits or shows takes (see `held_out`; plain ones become
    so here). What scores, counts or writes all three parts alike asks for `part("test")`.
    """

    name: str
    train: Documents = field(default=(), repr=False)  # a repr must not carry patient text into a log
    dev: Documents = field(default=(), repr=False)
    test: tuple[HeldOut, ...] = field(default=(), repr=False)
    labels: tuple[Label, ...] = ()
    unit: Literal["sentence", "document"] = "sentence"
    private: bool = True
    resampling: Literal["document", "sentence"] = "document"
    remarks: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""

    def __post_init__(self) -> None:
        learnable((*self.train, *self.dev), "train or dev")
        object.__setattr__(self, "test", held_out(self.test))
        seen: dict[str, str] = {}
        for part, document in self.parts():
            if document.id in seen:
                raise ReadError(f"{self.name}: document {document.id!r} is in {seen[document.id]} and again in {part}")
            seen[document.id] = part
            for entity in document.entities:
                if document.text[entity.start : entity.end] != entity.text:
                    raise ReadError(f"{self.name}: an entity of document {document.id!r} does not lie in its text")

    def part(self, name: str) -> tuple[AnnotatedText, ...]:
        """Return the documents of train, dev or test, to score or to count them."""
        found: tuple[AnnotatedText, ...] = {"train": self.train, "dev": self.dev, "test": self.test}[name]
        return found

    def parts(self) -> Iterator[tuple[str, AnnotatedText]]:
        """Yield every document with the name of its part."""
        for part in PARTS:
            for document in self.part(part):
                yield part, document

    @cached_property
    def suggested_labels(self) -> tuple[Label, ...]:
        """The corpus's own labels, else the names annotated in train and dev (in test, if there is nothing else)."""
        if self.labels:
            return self.labels
        known = label_names(self.train + self.dev) or label_names(self.test)
        return tuple(Label(name) for name in known)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over parts and all of a document: id, group, related, text, entities; the same anywhere."""
        digest = hashlib.sha256()
        for part, document in self.parts():
            entities = [(e.fragments, e.label, e.concept) for e in document.entities]
            row = (part, document.id, document.group, document.related, document.text, entities)
            digest.update(json.dumps(row, ensure_ascii=True).encode() + b"\n")
        return digest.hexdigest()


def held_out(documents: Iterable[AnnotatedText]) -> tuple[HeldOut, ...]:
    """Return documents as nothing may learn from them."""
    return tuple(
        d if isinstance(d, HeldOut) else HeldOut(d.id, d.text, d.entities, d.group, d.related) for d in documents
    )


def in_order(parts: Mapping[str, Documents]) -> tuple[Documents, Documents, tuple[HeldOut, ...]]:
    """Return train, dev and test; a part that is not there is empty."""
    return parts.get("train", ()), parts.get("dev", ()), held_out(parts.get("test", ()))


def label_names(documents: Iterable[AnnotatedText]) -> list[str]:
    """Return the sorted names of the labels annotated in the documents."""
    return sorted({entity.label for document in documents for entity in document.entities})


def flatten(document: D) -> tuple[D, int]:
    """Keep what flat NER can express: contiguous entities, of overlapping ones the longest (then the leftmost).

    Returns the document, with its entities in order, and how many were lost, for the report.
    """
    contiguous = [e for e in document.entities if len(e.fragments) == 1]
    kept: list[Entity] = []
    for entity in sorted(contiguous, key=lambda e: (e.start - e.end, e)):
        if all(entity.end <= other.start or other.end <= entity.start for other in kept):
            kept.append(entity)
    return replace(document, entities=tuple(sorted(kept))), len(document.entities) - len(kept)


def entity_from(text: str, fragments: Sequence[tuple[int, int]], label: str, **rest: Any) -> Entity:
    """Build an entity from its `(start, end)` pieces, in order; ValueError where they do not lie so in the text."""
    before = 0
    for start, end in fragments:
        if not before <= start < end <= len(text):
            raise ValueError(f"{start}..{end} is no span after {before} of a text of {len(text)} characters")
        before = end
    return Entity.of(text, fragments[0][0], before, label, fragments=tuple(fragments), **rest)
