"""Splits documents into units. A unit is the text of one prompt: a sentence, a window of sentences, or the whole document."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from syntok import segmenter

UnitKind = Literal["sentence", "document", "window"]
WINDOW = 2000
"""The default maximum size of a window, in characters."""
OVERLAP = 8
"""A window overlaps with the next by at most its size / OVERLAP."""

_LINE = re.compile(r"[^\n\r\v\f\u2028\u2029]+")
# Where a sentence may end inside a line. syntok decides; a line without such a place is not given to it.
_MAYBE_END = re.compile(r"[.!?…。！？][^\w\s]{0,3}\s++\S")
# "1." or "(a)" before a list item is not a sentence.
_ENUMERATOR = re.compile(r"\s*[(\[]?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)\]]+\s*")


@dataclass(frozen=True, slots=True, order=True)
class Unit:
    """The stretch `text[start:end]` of a document: character offsets, end exclusive."""

    start: int
    end: int


def split(
    text: str,
    unit: UnitKind = "sentence",
    *,
    size: int = WINDOW,
    overlap: int = 0,
    keep: Iterable[tuple[int, int]] = (),
) -> list[Unit]:
    """Split `text` into units: in order, without blanks at the edges, and without overlap if none is asked for.

    Every character that is not blank is in a unit. `sentence` splits at line ends, then inside lines. `window` packs
    consecutive sentences into units of at most `size` characters (a longer sentence is one unit). `document` is one unit.
    With an `overlap` every stretch of at most so many characters lies whole in a window: a window begins so far before the end
    of the one before it, at a sentence if one begins near there, else at a word. A sentence longer than a window is cut.
    `keep` are spans, for instance gold entities, that must not be split: units that such a span crosses are merged. Use
    `document` for a corpus that is already split into sentences. Raises ValueError for another `unit`, for a `size` below 1,
    for an `overlap` above an eighth of it, and for both `overlap` and `keep`.
    """
    if unit not in ("sentence", "document", "window"):
        raise ValueError(f"a unit is 'sentence', 'document' or 'window', not {unit!r}")
    if size < 1:
        raise ValueError(f"the size of a window must be at least 1, not {size}")
    if not 0 <= overlap * OVERLAP <= size or (overlap and keep):
        raise ValueError(f"windows of {size} characters overlap by at most {size // OVERLAP}, and keep no spans whole")
    if unit == "window" and overlap:
        return list(_overlapping(text, size, overlap))
    if unit == "document":
        return list(_trimmed(text, 0, len(text)))
    units = _merged([Unit(start, end) for start, end in _sentences(text)], text, keep)
    return list(_packed(units, size)) if unit == "window" else units


@lru_cache(maxsize=4096)
def _sentences(text: str) -> tuple[tuple[int, int], ...]:
    """Return the sentences of `text`. Cached, because an optimizer runs a program on the same documents many times."""
    found: list[tuple[int, int]] = []
    for line in _LINE.finditer(text):
        edges = [0, *_cuts(line.group()), line.end() - line.start()]
        for start, end in pairwise(edges):
            found += ((u.start, u.end) for u in _trimmed(text, line.start() + start, line.start() + end))
    return tuple(found)


def _cuts(line: str) -> list[int]:
    """Return the offsets inside `line` at which a sentence begins, without the first.

    A boundary that syntok proposes counts only after a blank. So the units are exact whatever syntok does with unusual
    characters, and strings such as "3.5mg.It" are not split.
    """
    if not _MAYBE_END.search(line):
        return []
    cuts: list[int] = []
    last = 0
    for paragraph in segmenter.analyze(line):
        for sentence in paragraph:
            cut = sentence[0].offset
            if last < cut < len(line) and line[cut - 1].isspace() and not _ENUMERATOR.fullmatch(line, last, cut):
                cuts.append(cut)
                last = cut
    return cuts


def _trimmed(text: str, start: int, end: int) -> Iterator[Unit]:
    """Yield `text[start:end]` without the blanks at its edges; nothing if it is all blank."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield Unit(start, end)


def _merged(units: list[Unit], text: str, keep: Iterable[tuple[int, int]]) -> list[Unit]:
    """Merge the units that a `keep` span crosses."""
    kept = [unit for start, end in keep for unit in _trimmed(text, max(start, 0), min(end, len(text)))]
    if not kept:
        return units
    starts = [unit.start for unit in units]
    ends = [unit.end for unit in units]
    reach = list(range(len(units)))  # unit i extends at least to the end of unit reach[i]
    for span in kept:
        first, last = bisect_right(ends, span.start), bisect_left(starts, span.end) - 1
        reach[first] = max(reach[first], last)
    merged: list[Unit] = []
    at = 0
    while at < len(units):
        last = at
        step = at
        while step <= last:
            last = max(last, reach[step])
            step += 1
        merged.append(Unit(units[at].start, units[last].end))
        at = last + 1
    return merged


def _packed(units: list[Unit], size: int) -> Iterator[Unit]:
    """Pack consecutive units into windows of at most `size` characters."""
    window: Unit | None = None
    for unit in units:
        if window and unit.end - window.start <= size:
            window = Unit(window.start, unit.end)
            continue
        if window:
            yield window
        window = unit
    if window:
        yield window


def _overlapping(text: str, size: int, overlap: int) -> Iterator[Unit]:
    """Yield windows of at most `size` characters. Each but the last advances by a quarter of `size` or more."""
    sentences = _sentences(text)
    starts, ends = [start for start, _ in sentences], [end for _, end in sentences]
    begin, last = 0, len(text.rstrip())
    while begin < last:
        end = min(begin + size, last)
        if end < last:
            end = _cut(text, ends, begin + size // 2 + 1, end)
        yield from _trimmed(text, begin, end)
        if end == last:
            break
        begin = _cut(text, starts, end - 2 * overlap, end - overlap)


def _cut(text: str, places: list[int], lowest: int, highest: int) -> int:
    """Return the last of `places` from `lowest` to `highest`, else the last place there beside a blank, else `highest`."""
    found = bisect_right(places, highest) - 1
    if found >= 0 and places[found] >= lowest:
        return places[found]
    blank = (
        at for at in range(highest, max(lowest, 1) - 1, -1) if text[at - 1].isspace() or text[at : at + 1].isspace()
    )
    return next(blank, highest)
