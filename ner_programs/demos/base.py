"""What a demonstration is, the pool they come from, and what chooses among them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Protocol

from annotated_types import Interval
from numpy.typing import NDArray

from ner_programs.demos.arrays import kept as kept_array
from ner_programs.privacy import Privacy
from ner_programs.types import Document, Mention, learnable
from ner_programs.units import WINDOW, UnitKind, split

Shown = Annotated[int, Interval(ge=0, le=1000)]
"""How many demonstrations a selector shows: with more, no text is left to be asked about."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One labelled unit of text; `document` is the id of the document that it was cut from, `group` that one's group."""

    id: str
    document: str
    group: str
    text: str
    mentions: tuple[Mention, ...] = ()


class Pool(Sequence[Demonstration]):
    """The labelled units a program may show; shared, never copied, never changed.

    `arrays` are indexes that took a neural encoder to make, by name: a bundle stores and brings those of its selector. In the
    folder `cache`, if there is one, those made here are kept. `privacy` says where text may be sent to be encoded. Whoever
    opens the pool sets both. `origin` is the pool that this one is a part of, and the rows of it that it has.
    """

    def __init__(
        self, demonstrations: Iterable[Demonstration], arrays: Mapping[str, NDArray[Any]] | None = None
    ) -> None:
        self._all = tuple(demonstrations)
        self._made: dict[str, Any] = {}
        self.origin: tuple[Pool, list[int]] | None = None
        self.arrays: dict[str, NDArray[Any]] = dict(arrays or {})
        self.cache: Path | None = None
        self._privacy = Privacy()
        self._lock = Lock()

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the index `name` over this pool, made at first use and shared by all programs over it."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def array(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return the array `name` over this pool, a row for each demonstration: known, kept in `cache`, or made now, once."""
        with self._lock:
            if name not in self.arrays:
                self.arrays[name] = kept_array(self.cache, name, len(self), make)
            return self.arrays[name]

    @classmethod
    def of(cls, documents: Iterable[Document], unit: UnitKind = "sentence", window: int = WINDOW) -> Pool:
        """Cut labelled documents into units; an annotated span is never cut, its units are joined instead.

        Raises TypeError for a document that is held out.
        """
        return cls(d for document in learnable(documents, "a pool") for d in _units(document, unit, window))

    def without(self, ids: Collection[str]) -> Pool:
        """Return the pool less the demonstrations of these ids; vectors that the whole pool has are not made again."""
        rows = [row for row, d in enumerate(self._all) if d.id not in ids]
        part = Pool(self._all[row] for row in rows)
        part.origin, part.cache = (self, rows), self.cache
        return part

    @property
    def whole(self) -> Pool:
        """The pool that this one is a part of; itself, where it is whole."""
        return self if self.origin is None else self.origin[0].whole

    @property
    def privacy(self) -> Privacy:
        """Where text may be sent to be encoded: one for all parts of a pool."""
        return self.whole._privacy

    @privacy.setter
    def privacy(self, said: Privacy) -> None:
        self.whole._privacy = said

    @property
    def fingerprint(self) -> str:
        """What tells the pool from others: a hash of all that it holds."""
        made: str = self.once("fingerprint", lambda: sha256(ascii(self._all).encode()).hexdigest())
        return made

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


@lru_cache(maxsize=1 << 16)
def plain(text: str) -> str:
    """Return `text` as it is compared where the same text must not be met twice: without case, blanks as one."""
    return " ".join(text.casefold().split())


def allowed(demonstration: Demonstration, text: str, exclude: Collection[str]) -> bool:
    """Say whether a demonstration may be shown for `text`."""
    kin = demonstration.document in exclude or demonstration.group in exclude
    return not kin and plain(demonstration.text) != plain(text)


def permitted(demos: Iterable[Any], text: str, exclude: Collection[str]) -> list[Any]:
    """Return those of a predictor's own demonstrations that may be shown for `text`."""
    kin = set(exclude)
    same = plain(text)
    return [
        d for d in demos if plain(d.get("text") or "") != same and kin.isdisjoint((d.get("document"), d.get("group")))
    ]  # fmt: skip


def _units(document: Document, unit: UnitKind, window: int) -> Iterator[Demonstration]:
    text, spans = document.text, [(e.start, e.end) for e in document.entities]
    for n, piece in enumerate(split(text, unit, size=window, keep=spans)):
        # of a span that crosses the edge of its unit, only blanks lie outside
        inside = [e for e in document.entities if e.start < piece.end and piece.start < e.end]
        clipped = [(e.label, max(e.start, piece.start), min(e.end, piece.end)) for e in inside]
        mentions = tuple(Mention(text[start:end], label, start - piece.start) for label, start, end in clipped)
        yield Demonstration(
            f"{document.id}#{n}", document.id, document.group, document.text[piece.start : piece.end], mentions
        )
