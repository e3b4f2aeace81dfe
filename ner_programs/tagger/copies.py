"""Features for mentions of the demonstrations that occur in other texts; the CRF learns how much to trust them.

The features of a demonstration come from the other demonstrations, never from its own mentions. Otherwise a copy would always
be right during training, and the CRF would trust copies too much in the query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ner_programs.tagger.features import Encoded

Stems = tuple[str, ...]
_LONGEST = 30  # tokens; longer mentions are not searched for, because the time grows with the square of the length


class Copies:
    """The mentions of demonstrations, as token stems, with the count of each label id."""

    def __init__(self, demonstrations: Sequence[tuple[Encoded, Sequence[str]]]) -> None:
        """`demonstrations` are texts with one tag per token: O, or B or I with a label id ("B-0")."""
        self._all: dict[Stems, dict[str, int]] = {}
        self._own: list[dict[Stems, dict[str, int]]] = []
        for text, tags in demonstrations:
            own: dict[Stems, dict[str, int]] = {}
            for stems, label in _mentions(text.stems, tags):
                for counts in (own.setdefault(stems, {}), self._all.setdefault(stems, {})):
                    counts[label] = counts.get(label, 0) + 1
            self._own.append(own)
        self._longest = min(max(map(len, self._all), default=0), _LONGEST)

    def as_rows(self) -> list[dict[str, Any]]:
        """Return the mentions as plain data: the stems of each, and the count of each label id."""
        return [{"stems": list(stems), "labels": counts} for stems, counts in self._all.items()]

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Copies:
        """Rebuild the object from `as_rows`. The mentions of single demonstrations are not stored."""
        made = cls([])
        made._all = {tuple(row["stems"]): dict(row["labels"]) for row in rows}
        made._longest = min(max(map(len, made._all), default=0), _LONGEST)
        return made

    def features(self, text: Encoded, demonstration: int | None = None) -> list[list[str]]:
        """Return a text's features with those of the copies in it. Copies are matched from the left, the longest first.

        `demonstration` is the number of the text if it is a demonstration. Its own mentions are then not counted.
        """
        own = {} if demonstration is None else self._own[demonstration]
        rows = text.rows
        at = 0
        while at < len(text.stems):
            length, label = self._found(text.stems, at, own)
            if length:
                rows = list(text.rows) if rows is text.rows else rows
                for i in range(at, at + length):
                    place, last = "B" if i == at else "I", i == at + length - 1
                    rows[i] = [*rows[i], f"m={place}{label}", f"me={place}{last:d}{label}"]
            at += length or 1
        return rows

    def _found(self, stems: Sequence[str], at: int, own: dict[Stems, dict[str, int]]) -> tuple[int, str]:
        for length in range(min(self._longest, len(stems) - at), 0, -1):
            mention = tuple(stems[at : at + length])
            if counts := self._all.get(mention):
                mine = own.get(mention, {})
                left = {label: n - mine.get(label, 0) for label, n in counts.items()}
                label = max(left, key=lambda label: left[label])  # on a tie, the first
                if left[label] > 0:
                    return length, label
        return 0, ""


def _mentions(stems: Sequence[str], tags: Sequence[str]) -> Iterator[tuple[Stems, str]]:
    start = 0
    for i, tag in enumerate([*tags, "O"]):
        if tag[0] != "I":
            if i > start and tags[start] != "O":
                yield tuple(stems[start:i]), tags[start][2:]
            start = i
