"""What a demonstration is, the pool they come from, and what chooses among them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ner_programs.types import Document, Mention
from ner_programs.units import UnitKind, split


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One labelled unit of text; `document` is the id of the document that it was cut from, `group` that one's group."""

    id: str
    document: str
    group: str
    text: str
    mentions: tuple[Mention, ...] = ()


class Pool(Sequence[Demonstration]):
    """The labelled units a program may show; shared, never copied, never changed."""

    def __init__(self, demonstrations: Iterable[Demonstration]) -> None:
        self._all = tuple(demonstrations)
        self._made: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the index `name` over this pool, made at first use and shared by all programs over it."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @classmethod
    def of(cls, documents: Iterable[Document], unit: UnitKind = "sentence") -> Pool:
        """Cut labelled documents into units; an annotated span is never cut, its units are joined instead."""
        return cls(d for document in documents for d in _units(document, unit))

    def __getitem__(self, index: Any) -> Any:
        return self._all[index]

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Demonstration]:
        return iter(self._all)

    def __deepcopy__(self, memo: dict[int, Any]) -> Pool:
        return self


class Selector(Protocol):
    """A way to choose demonstrations for a text."""

    def __call__(self, text: str, exclude: Collection[str] = ()) -> list[Demonstration]:
        """Return demonstrations for `text`, best last: none with the same text, none from a document or group in `exclude`."""


def allowed(demonstration: Demonstration, text: str, exclude: Collection[str]) -> bool:
    """Say whether a demonstration may be shown for `text`."""
    return not (demonstration.document in exclude or demonstration.group in exclude or demonstration.text == text)


def permitted(demos: Iterable[Any], text: str, exclude: Collection[str]) -> list[Any]:
    """Return those of a predictor's own demonstrations that may be shown for `text`."""
    kin = set(exclude)
    return [
        d for d in demos if d.get("text") != text and kin.isdisjoint((d.get("document"), d.get("group")))
    ]  # fmt: skip


def _units(document: Document, unit: UnitKind) -> Iterator[Demonstration]:
    spans = [(e.start, e.end) for e in document.entities]
    for n, piece in enumerate(split(document.text, unit, keep=spans)):
        inside = [e for e in document.entities if piece.start <= e.start and e.end <= piece.end]
        mentions = tuple(Mention(e.text, e.label, e.start - piece.start) for e in inside)
        yield Demonstration(
            f"{document.id}#{n}", document.id, document.group, document.text[piece.start : piece.end], mentions
        )
