"""Joins the passages of a document, each with its offset, into one text, and maps spans of the file to the text."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple, get_args

WIDEST = 100  # maximum number of blanks between two passages
Unit = Literal["characters", "utf-16", "utf-8"]
UNITS: tuple[Unit, ...] = get_args(Unit)


class _Place(NamedTuple):
    """A passage: begin and end in the file's offsets, begin in the text (`at`), and the offset of each character (`marks`)."""

    begin: int
    end: int
    at: int
    marks: Sequence[int]

    @property
    def wide(self) -> bool:
        """Whether a character counts as more than one."""
        return not isinstance(self.marks, range)

    def character(self, offset: int) -> int:
        """Map an offset of the file to a position in the text; -1 if it is inside a character."""
        mark = offset - self.begin
        found = bisect_left(self.marks, mark)
        return self.at + found if self.marks[found] == mark else -1


class Passages(NamedTuple):
    """The text, and the positions of its passages in the text and in the file."""

    text: str
    places: tuple[_Place, ...]

    @classmethod
    def of(cls, passages: Iterable[tuple[int, str]], unit: Unit = "characters") -> Passages:
        """Join `(offset, text)` passages by as many blanks as their offsets (in `unit`) leave room for.

        So offsets from the document's start stay valid. If passages overlap (each has offsets from its own start) or are far
        apart, one blank separates them.
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
            marks = marks_of(text, unit)
            end = offset + marks[-1]
            places.append(_Place(offset, end, length, marks))
            length += len(text)
        return cls("".join(texts), tuple(places))

    def fragments(self, spans: Iterable[tuple[int, int]], own: tuple[int, int] = (0, 0)) -> list[tuple[int, int]]:
        """Map `(start, end)` spans of the file to spans of the text; `own` are the passages to try first.

        With several passages the result is sorted. Raises ValueError if a span is not inside the text.
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


def marks_of(text: str, unit: Unit) -> Sequence[int]:
    """Return the offset in `unit` of each character and of the end."""
    if unit == "characters" or text.isascii() or (unit == "utf-16" and max(text) <= "\uffff"):
        return range(len(text) + 1)
    wide = (1 + (c > "\uffff") if unit == "utf-16" else len(c.encode("utf-8", "surrogatepass")) for c in text)
    return list(accumulate(wide, initial=0))
