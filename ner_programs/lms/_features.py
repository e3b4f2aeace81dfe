"""Tokens and their features: what the in-context CRF sees of a text and of the spans that knowledge names in it.

Nothing here knows a label name or a corpus. All offsets are character offsets, end exclusive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

Offsets = tuple[int, int]
_TOKEN = re.compile(r"[^\W\d_]+|\d+|\S")
_RUN = re.compile(r"(.)\1{2,}")


@dataclass(frozen=True, slots=True)
class Hint:
    """A span of the text that a knowledge line names; `label` is what that line says it is, "" where it does not say."""

    start: int
    end: int
    label: str


def tokens(text: str) -> list[Offsets]:
    """Cut a text into runs of letters, runs of digits and single other non-blank characters."""
    return [match.span() for match in _TOKEN.finditer(text)]


def cut(offsets: Iterable[Offsets], edges: Iterable[int]) -> list[Offsets]:
    """Cut tokens also where `edges` fall inside them, so that annotated spans end where tokens end."""
    inner = set(edges)
    pieces: list[Offsets] = []
    for start, end in offsets:
        for edge in range(start + 1, end):
            if edge in inner:
                pieces.append((start, edge))
                start = edge
        pieces.append((start, end))
    return pieces


def hint_tags(offsets: Sequence[Offsets], hints: Iterable[Hint]) -> list[str]:
    """Tag every token that a hint overlaps: "B" or "I" and the hint's label; "" elsewhere. The longest hint wins."""
    tags = [""] * len(offsets)
    for hint in sorted(hints, key=lambda h: (h.start - h.end, h.start)):
        covered = [i for i, (start, end) in enumerate(offsets) if start < hint.end and end > hint.start]
        if covered and not any(tags[i] for i in covered):
            for i in covered:
                tags[i] = "I" + hint.label
            tags[covered[0]] = "B" + hint.label
    return tags


@lru_cache(maxsize=50_000)
def _word(word: str) -> tuple[str, str, str, tuple[str, ...]]:
    """Lower-cased form, last three letters, shape, and the features a token has by itself."""
    low = word.lower()
    shape = "".join("A" if c.isupper() else "a" if c.isalpha() else "0" if c.isdigit() else c for c in word)
    shape = _RUN.sub(r"\1\1\1", shape)
    own = ["w=" + low, "=" + shape]
    own += [f"p{n}={low[:n]}" for n in (2, 3, 4) if len(low) > n]
    own += [f"s{n}={low[-n:]}" for n in (2, 3, 4) if len(low) > n]
    if word != low:
        own.append("W=" + word)
    return low, low[-3:], shape, tuple(own)


def features(text: str, offsets: Sequence[Offsets], hints: Iterable[Hint]) -> list[list[str]]:
    """Return the features of every token."""
    words = [_word(text[start:end]) for start, end in offsets]
    low = ["", "", *(word[0] for word in words), "", ""]
    tail = ["", *(word[1] for word in words), ""]
    hint = ["", *hint_tags(offsets, hints), ""]
    rows = []
    for i, word in enumerate(words):
        before2, before, here, after, after2 = low[i : i + 5]
        row = ["1", *word[3], "-1=" + before, "+1=" + after, "-2=" + before2, "+2=" + after2]
        row += [f"-b={before} {here}", f"+b={here} {after}", "-s=" + tail[i], "+s=" + tail[i + 2]]
        if any(hint[i : i + 3]):
            row += ["h=" + hint[i + 1], f"-h={hint[i]}|{hint[i + 1]}", f"+h={hint[i + 1]}|{hint[i + 2]}"]
        rows.append(row)
    return rows
