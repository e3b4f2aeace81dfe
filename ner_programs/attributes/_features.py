"""The features from which attributes are learned: the words around an entity, its own words, and the heading above it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from ner_programs.attributes._sentences import Sentence, sentences
from ner_programs.types import Entity

LEFT, RIGHT = 12, 8
"""How many words before and after an entity are looked at. Another entity counts as one word."""
_WORD = re.compile(r"[^\W\d_]+|\d+|\S")
_HEADING = re.compile(r"^[ \t]*([^\W\d_][^\n:.;,]{1,40}):", re.MULTILINE)
_BREAKS = {";", ":", ".", "but", "however", "although", "except"}
_STEM = 4  # letters of a word that "deny" and "denying" share
_BUCKETS = (0, 1, 2, 2, 3, 3, 3)  # the bucket of each distance; farther words share another one
Item = tuple[int, int, str]


class Headings:
    """The headings of a text: `Family History: ...` at the beginning of a line holds until the next one."""

    def __init__(self, text: str, before: str = "") -> None:
        found = [(m.start(), m[1].strip().lower()) for m in _HEADING.finditer(text)]
        self.starts = [start for start, _ in found]
        self.names = [before, *(name for _, name in found)]

    def at(self, place: int) -> str:
        """Return the heading that holds at a place, or ""."""
        return self.names[bisect_right(self.starts, place)]

    @property
    def last(self) -> str:
        """The heading that holds at the end."""
        return self.names[-1]


def features(text: str, entities: Sequence[Entity], headings: Headings) -> list[list[str]]:
    """Return the features of each entity of a text."""
    rows: list[list[str]] = [[] for _ in entities]
    for sentence in sentences(text, entities):
        items, cluster = _items(text, sentence)
        words = [word for _, _, word in items]
        for n, e in sentence.inside:
            at = cluster.get(n, len(items))  # an entity of blanks, behind the last word
            row = [f"L={e.label}", *_own(e.text)]
            row += _side("l", words[max(0, at - LEFT) : at][::-1])
            row += _side("r", words[at + 1 : at + 1 + RIGHT])
            if at:
                row.append(f"f={words[0]}")
            row += [f"h={word}" for word in headings.at(e.start).split()]
            rows[n] = row
    return rows


def _items(text: str, sentence: Sentence) -> tuple[list[Item], dict[int, int]]:
    """Return the words of a sentence, and for each entity the number of its item: entities that overlap are one item."""
    items: list[Item] = []
    spans = sorted((e.start, e.end, n, e.label) for n, e in sentence.inside)
    cluster: dict[int, int] = {}
    at = 0
    for match in _WORD.finditer(text, sentence.start, max(sentence.end, *(s[1] for s in spans))):
        start, end = match.span()
        if items and start < items[-1][1]:
            continue  # inside the last entity
        last, own = end, []
        while at < len(spans) and spans[at][0] < last:
            last = max(last, spans[at][1])
            own.append(spans[at])
            at += 1
        for _, _, n, _ in own:
            cluster[n] = len(items)
        items.append((start, last, f"<{own[0][3]}>" if own else match[0].lower()))
    return items, cluster


def _own(surface: str) -> Iterator[str]:
    words = [m[0].lower() for m in _WORD.finditer(surface)]
    yield f"o1={words[0]}" if words else "o1="
    for word in words:
        yield f"o={word}"
        yield f"op={word[:2]}"


def _side(name: str, words: Sequence[str]) -> Iterator[str]:
    """Yield the features of the words on one side of an entity, the nearest first."""
    broken, before = False, ""
    for distance, word in enumerate(words):
        near = _BUCKETS[distance] if distance < len(_BUCKETS) else 4
        yield f"{name}{near}={word}"
        yield f"{name}{'|' if broken else '.'}={word}"
        yield f"{name}~{word[:_STEM]}"
        yield f"{name}w={word} {before}"
        broken = broken or word in _BREAKS
        before = word
