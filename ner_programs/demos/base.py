"""Demonstrations, the pool that they come from, and the protocol of selectors."""

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
from ner_programs.types import Document, Entity, Mention, learnable
from ner_programs.units import WINDOW, UnitKind, split

Shown = Annotated[int, Interval(ge=0, le=1000)]
"""Number of demonstrations that a selector returns."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One labelled unit of text; `document` is the id of its document, `group` the document's group."""

    id: str
    document: str
    group: str
    text: str
    mentions: tuple[Mention, ...] = ()

    @property
    def spans(self) -> list[tuple[int, int, str]]:
        """The mentions as (start, end, label), sorted: character offsets into the text, end exclusive."""
        return sorted((m.start or 0, (m.start or 0) + len(m.text), m.label) for m in self.mentions)

    @property
    def entities(self) -> tuple[Entity, ...]:
        """The mentions as entities, sorted, with their attributes."""
        placed = ((m, m.start or 0) for m in self.mentions)
        return tuple(
            sorted(Entity.of(self.text, at, at + len(m.text), m.label, attributes=m.attributes) for m, at in placed)
        )


class Pool(Sequence[Demonstration]):
    """The labelled units that a program may show. A pool is shared, never copied and never changed.

    `arrays` are vectors of neural encoders, by name; a bundle stores those of its selector. They are cached in the folder
    `cache`, if there is one. `privacy` has the rules for where text may be sent to be encoded. The creator of the pool sets
    both. `origin` is the pool that this one is a part of, with the rows of the part.
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
        """Return the index `name` of this pool, built on first use and shared by all its programs."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def array(self, name: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return the array `name` of this pool, with a row for each demonstration: from memory, from `cache`, or made now."""
        with self._lock:
            if name not in self.arrays:
                self.arrays[name] = kept_array(self.cache, name, len(self), make)
            return self.arrays[name]

    @classmethod
    def of(cls, documents: Iterable[Document], unit: UnitKind = "sentence", window: int = WINDOW) -> Pool:
        """Split labelled documents into units. Units are joined where an annotated span crosses their edge.

        Raises TypeError for a held-out document.
        """
        return cls(d for document in learnable(documents, "a pool") for d in labelled_units(document, unit, window))

    def without(self, ids: Collection[str]) -> Pool:
        """Return the pool without the demonstrations with these ids. Vectors of the whole pool are reused."""
        rows = [row for row, d in enumerate(self._all) if d.id not in ids]
        part = Pool(self._all[row] for row in rows)
        part.origin, part.cache = (self, rows), self.cache
        return part

    @property
    def whole(self) -> Pool:
        """The pool that this one is a part of, or itself."""
        return self if self.origin is None else self.origin[0].whole

    @property
    def privacy(self) -> Privacy:
        """The rules for where text may be sent to be encoded, the same for all parts of a pool."""
        return self.whole._privacy

    @privacy.setter
    def privacy(self, privacy: Privacy) -> None:
        self.whole._privacy = privacy

    @property
    def fingerprint(self) -> str:
        """A hash of the pool's content."""

        def content() -> str:
            said = [[sorted(m.attributes.items()) for m in d.mentions] for d in self._all]
            return ascii(self._all) + (ascii(said) if any(map(any, said)) else "")

        made: str = self.once("fingerprint", lambda: sha256(content().encode()).hexdigest())
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
    """Chooses demonstrations for a text."""

    def __call__(self, text: str, exclude: Collection[str] = ()) -> list[Demonstration]:
        """Return demonstrations for `text`, best last: none with the same text, none from a document or group in `exclude`."""


def plain(text: str) -> str:
    """Return `text` in the form that detects equal texts: case-folded, white space collapsed."""
    return " ".join(text.casefold().split())


_plain = lru_cache(maxsize=1 << 16)(plain)
"""Of demonstrations only: texts to annotate are many, and asked about once."""


def allowed(demonstration: Demonstration, text: str, exclude: Collection[str]) -> bool:
    """Return whether a demonstration may be shown for `text`."""
    return showing(text, exclude)(demonstration)


def showing(text: str, exclude: Collection[str]) -> Callable[[Demonstration], bool]:
    """Return a function that tells whether a demonstration may be shown for `text`."""
    same = plain(text)
    if not exclude:
        return lambda d: _plain(d.text) != same
    return lambda d: d.document not in exclude and d.group not in exclude and _plain(d.text) != same


def permitted(demos: Iterable[Any], text: str, exclude: Collection[str]) -> list[Any]:
    """Return the predictor's own demonstrations that may be shown for `text`."""
    kin = set(exclude)
    same = plain(text)
    return [
        d for d in demos if _plain(d.get("text") or "") != same and kin.isdisjoint((d.get("document"), d.get("group")))
    ]  # fmt: skip


def labelled_units(document: Document, unit: UnitKind, window: int) -> Iterator[Demonstration]:
    """Cut a document into units with their mentions. Units are joined where an annotated span crosses their edge."""
    text, spans = document.text, [(e.start, e.end) for e in document.entities]
    for n, piece in enumerate(split(text, unit, size=window, keep=spans)):
        # if a span crosses the edge of its unit, only blanks are outside
        inside = [e for e in document.entities if e.start < piece.end and piece.start < e.end]
        clipped = [(e, max(e.start, piece.start), min(e.end, piece.end)) for e in inside]
        mentions = tuple(
            Mention(text[start:end], e.label, start - piece.start, attributes=dict(e.attributes))
            for e, start, end in clipped
        )
        yield Demonstration(
            f"{document.id}#{n}", document.id, document.group, document.text[piece.start : piece.end], mentions
        )
