"""The `Corpus` that every reader returns: train, dev and test documents, with labels and provenance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

from experiments.errors import ReadError
from ner_programs.privacy import PRIVATE, Privacy
from ner_programs.types import AnnotatedText, Document, Entity, HeldOut, Label, learnable

Documents = tuple[Document, ...]
D = TypeVar("D", bound=AnnotatedText)
PARTS = ("train", "dev", "test")


@dataclass(frozen=True)
class Corpus:
    """Documents in three parts (a part may be empty). Ids are unique, and every entity is inside its text.

    `labels` are those that the corpus defines; without them, those of the annotation count, see `suggested_labels`. `unit` is
    the default text of one prompt. `resampling` is the unit of a bootstrap: "document" draws groups (rows pooled by
    `Document.group`), "sentence" draws single rows, if documents are unknown. `remarks` report what the reader dropped.

    The documents of `test` are `HeldOut`: compiling, fitting and prompting refuse them (see `held_out`; plain documents are
    converted here). Code that scores, counts or writes all parts uses `part("test")`.
    """

    name: str
    train: Documents = field(default=(), repr=False)  # no patient text in a repr, which may be logged
    dev: Documents = field(default=(), repr=False)
    test: tuple[HeldOut, ...] = field(default=(), repr=False)
    labels: tuple[Label, ...] = ()
    unit: Literal["sentence", "document"] = "sentence"
    privacy: Privacy = PRIVATE
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
        """Return the documents of train, dev or test, for scoring or counting."""
        found: tuple[AnnotatedText, ...] = {"train": self.train, "dev": self.dev, "test": self.test}[name]
        return found

    def parts(self) -> Iterator[tuple[str, AnnotatedText]]:
        """Yield every document with the name of its part."""
        for part in PARTS:
            for document in self.part(part):
                yield part, document

    @cached_property
    def suggested_labels(self) -> tuple[Label, ...]:
        """The corpus's own labels, else the labels annotated in train and dev (or in test, if these are empty)."""
        if self.labels:
            return self.labels
        known = label_names(self.train + self.dev) or label_names(self.test)
        return tuple(Label(name) for name in known)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the parts and all fields of the documents: id, group, related, text, entities. Machine-independent."""
        digest = hashlib.sha256()
        for part, document in self.parts():
            entities = [(e.fragments, e.label, e.concept) for e in document.entities]
            row = (part, document.id, document.group, document.related, document.text, entities)
            digest.update(json.dumps(row, ensure_ascii=True).encode() + b"\n")
        return digest.hexdigest()


def held_out(documents: Iterable[AnnotatedText]) -> tuple[HeldOut, ...]:
    """Convert documents to `HeldOut`, from which nothing may learn."""
    return tuple(
        d if isinstance(d, HeldOut) else HeldOut(d.id, d.text, d.entities, d.group, d.related) for d in documents
    )


def in_order(parts: Mapping[str, Documents]) -> tuple[Documents, Documents, tuple[HeldOut, ...]]:
    """Return train, dev and test. A missing part is empty."""
    return parts.get("train", ()), parts.get("dev", ()), held_out(parts.get("test", ()))


def label_names(documents: Iterable[AnnotatedText]) -> list[str]:
    """Return the sorted names of the labels annotated in the documents."""
    return sorted({entity.label for document in documents for entity in document.entities})


def flatten(document: D) -> tuple[D, int]:
    """Keep only flat entities: contiguous ones, and of overlapping ones the longest (then the leftmost).

    Returns the document with sorted entities, and the number of entities left out.
    """
    contiguous = [e for e in document.entities if len(e.fragments) == 1]
    kept: list[Entity] = []
    for entity in sorted(contiguous, key=lambda e: (e.start - e.end, e)):
        if all(entity.end <= other.start or other.end <= entity.start for other in kept):
            kept.append(entity)
    return replace(document, entities=tuple(sorted(kept))), len(document.entities) - len(kept)


def entity_from(text: str, fragments: Sequence[tuple[int, int]], label: str, **rest: Any) -> Entity:
    """Build an entity from its sorted `(start, end)` pieces. Raises ValueError if they are not inside the text in order."""
    before = 0
    for start, end in fragments:
        if not before <= start < end <= len(text):
            raise ValueError(f"{start}..{end} is no span after {before} of a text of {len(text)} characters")
        before = end
    return Entity.of(text, fragments[0][0], before, label, fragments=tuple(fragments), **rest)
