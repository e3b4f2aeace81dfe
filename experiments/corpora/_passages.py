"""A document that a file holds in passages, each with its offset: one text, and where a span of the file lies in it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple, get_args

WIDEST = 100  # blanks between two passages
Unit = Literal["characters", "utf-16", "utf-8"]
UNITS: tuple[Unit, ...] = get_args(Unit)


class _Place(NamedTuple):
    """A passage: where it begins and ends in the file's count, where it begins in the text, and the count at each character."""

    begin: int
    end: int
    at: int
    marks: Sequence[int]

    @property
    def wide(self) -> bool:
        """Whether a character counts as more than one."""
        return not isinstance(self.marks, range)

    def character(self, offset: int) -> int:
        """Return the place in the text that an offset of the file means; -1 where that is within a character."""
        mark = offset - self.begin
        found = bisect_left(self.marks, mark)
        return self.at + found if self.marks[found] == mark else -1


class Passages(NamedTuple):
    """The text, and where its passages lie in it and in the file."""

    text: str
    places: tuple[_Place, ...]

    @classmethod
    def of(cls, passages: Iterable[tuple[int, str]], unit: Unit = "characters") -> Passages:
        """Join `(offset, text)` passages by as many blanks as the offsets, which count in `unit`, leave room for.

        So offsets that count from the document's start stay as they are. Where passages overlap (each counts from its own
        start), or are far apart, it is one blank.
        """
        texts: list[str] = []
        places: list[_Place] = []
        length = end = 0
        for offset, text in passages:
            if places:
                gap = offset - end
                texts.append(" " * (gap if 0 <= gap <= WIDEST else 1))
                length += len(texts[-1])
            texts.append(text)
            marks = _marks(text, unit)
            end = offset + marks[-1]
            places.append(_Place(offset, end, length, marks))
            length += len(text)
        return cls("".join(texts), tuple(places))

    def fragments(self, spans: Iterable[tuple[int, int]], own: tuple[int, int] = (0, 0)) -> list[tuple[int, int]]:
        """Return `(start, end)` spans of the file as spans of the text; `own` are the passages to try first.

        Those that lie in several passages are sorted. ValueError where one does not lie in the text.
        """
        places = (*self.places[slice(*own)], *self.places)
        found: list[tuple[int, int]] = []
        for first, last in spans:
            start = next((p.character(first) for p in places if p.begin <= first < p.end), -1)
            stop = next((p.character(last) for p in places if p.begin < last <= p.end), -1)
            if not 0 <= start < stop:
                raise ValueError(f"{first}..{last} is no span of the text")
            found.append((start, stop))
        return sorted(found) if len(self.places) > 1 else found


def _marks(text: str, unit: Unit) -> Sequence[int]:
    """Return the count at each character and at the end."""
    if unit == "characters" or text.isascii() or (unit == "utf-16" and max(text) <= "\uffff"):
        return range(len(text) + 1)
    wide = (1 + (c > "\uffff") if unit == "utf-16" else len(c.encode("utf-8", "surrogatepass")) for c in text)
    return list(accumulate(wide, initial=0))
