"""Samples, tokens and features of the in-context CRF: its input from a text and from the knowledge lines that match it.

No feature depends on a label's name or on a corpus. All offsets are character offsets, end exclusive.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from urllib.parse import quote

from ner_programs.prompts import prompt
from ner_programs.types import Label

Offsets = tuple[int, int]
_TOKEN = re.compile(r"[^\W\d_]+|\d+|\S")
_LONG_RUN = re.compile(r"(.)\1{2,}", re.DOTALL)
_RUN = re.compile(r"(.)\1+", re.DOTALL)
_AFFIXES = (1, 2, 3, 4, 5)
_SENTENCE = 800  # characters; the features of a longer text take megabytes, so the cache keeps fewer of them


@dataclass(frozen=True, slots=True)
class Hint:
    """A span of the text that a knowledge line names, with the content of that line (see `prompt.KnowledgeLine`)."""

    start: int
    end: int
    label: str
    denied: bool = False
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One text of the prompt: `spans` are the gold spans of a demonstration, `hints` the spans that knowledge lines name."""

    text: str
    spans: tuple[tuple[int, int, str], ...] = ()
    hints: tuple[Hint, ...] = ()


def tokens(text: str) -> list[Offsets]:
    """Split a text into runs of letters, runs of digits, and single other non-blank characters."""
    return [match.span() for match in _TOKEN.finditer(text)]


def cut(offsets: Iterable[Offsets], edges: Iterable[int]) -> list[Offsets]:
    """Split tokens at the `edges` inside them, so that gold spans begin and end at token boundaries."""
    inner = set(edges)
    pieces: list[Offsets] = []
    for start, end in offsets:
        for edge in range(start + 1, end):
            if edge in inner:
                pieces.append((start, edge))
                start = edge
        pieces.append((start, end))
    return pieces


def covered(offsets: Sequence[Offsets], start: int, end: int) -> range:
    """Return the range of token numbers that overlap `start..end`."""
    return range(bisect_right(offsets, start, key=lambda t: t[1]), bisect_left(offsets, end, key=lambda t: t[0]))


def named(offsets: Sequence[Offsets], hints: Iterable[Hint]) -> list[tuple[str, Hint] | None]:
    """Return for each token "B" or "I" and the hint that overlaps it, or None. The longest hint wins."""
    places: list[tuple[str, Hint] | None] = [None] * len(offsets)
    for hint in sorted(hints, key=lambda h: (h.start - h.end, h.start)):
        inside = covered(offsets, hint.start, hint.end)
        if inside and not any(places[i] for i in inside):
            for i in inside:
                places[i] = ("B" if i == inside[0] else "I", hint)
    return places


def hint_tags(places: Iterable[tuple[str, Hint] | None]) -> list[str]:
    """Tag each token with "B" or "I" and the label of its hint, or "!" if the line denies a label; "" without a hint.

    Labels are quoted, so that different labels stay different and no feature is truncated. The other parts of a line were tried
    as features and left out: docs/results/knowledge.md.
    """
    return ["" if p is None else p[0] + ("!" if p[1].denied else safe(p[1].label)) for p in places]


@lru_cache(maxsize=50_000)
def safe(said: str) -> str:
    """Quote a string of the prompt, for use in a feature."""
    return quote(said, safe="", errors="surrogatepass")


@dataclass(frozen=True, slots=True)
class Word:
    """The properties of a token alone: its lower-cased form, its stem, its kind (a shape without repetitions), its features."""

    low: str
    stem: str
    kind: str
    features: tuple[str, ...]


@lru_cache(maxsize=50_000)
def _word(word: str) -> Word:
    low = word.lower()
    shape = "".join("A" if c.isupper() else "a" if c.isalpha() else "0" if c.isdigit() else c for c in word)
    own = ["1", "w=" + low, "=" + _LONG_RUN.sub(r"\1\1\1", shape)]
    own += [f"p{n}={low[:n]}" for n in _AFFIXES if len(low) > n]
    own += [f"s{n}={low[-n:]}" for n in _AFFIXES if len(low) > n]
    if word != low:
        own.append("W=" + word)
    plural = len(low) > 3 and low.endswith("s") and not low.endswith("ss")
    return Word(low, low[:-1] if plural else low, _RUN.sub(r"\1", shape), tuple(own))


def features(words: Sequence[Word], places: Sequence[tuple[str, Hint] | None]) -> list[list[str]]:
    """Return the features of each token: its own, its neighbours', and those of the hints at it and beside it.

    These features did not improve dev F1 and were left out: word pairs, concept types and paths, the relation of a hint to its
    concept's name, how often its name was correct in train, how often a word occurs in names of the knowledge base
    (docs/in-context-crf.md).
    """
    low = ["", "", *(word.low for word in words), "", ""]
    hint = ["", *hint_tags(places), ""]
    rows = []
    for i, word in enumerate(words):
        before2, before, _, after, after2 = low[i : i + 5]
        row = ["-1=" + before, "+1=" + after, "-2=" + before2, "+2=" + after2, "-s=" + before[-3:], "+s=" + after[-3:]]
        if any(hint[i : i + 3]):
            row += ["h=" + hint[i + 1], f"-h={hint[i]}|{hint[i + 1]}", f"+h={hint[i + 1]}|{hint[i + 2]}"]
        if here := places[i]:
            row += _inside(hint[i + 1], here, places[i + 1 : i + 2], _length(places, i), (before, word.kind, after))
        if i > 1 and before == "(" and after == ")":  # a short form in parentheses; does a hint end before them?
            row += ["ab=" + hint[i - 1], f"ab={bool(hint[i - 1]):d}|{word.kind}"]
        rows.append([*word.features, *map(intern, row)])  # interned: a cached text then costs a third of the memory
    return rows


def _inside(
    tag: str, here: tuple[str, Hint], following: Sequence[tuple[str, Hint] | None], length: int, around: tuple[str, str, str]
) -> list[str]:  # fmt: skip
    """Return the features of a token inside a hint of `length` tokens: whether the hint ends there, and the words around it."""
    before, kind, after = around
    last = not (following and following[0] and following[0][1] is here[1])
    row = [f"hl={tag}{last:d}{min(length, 3)}", f"hs={tag}{last:d}{kind}"]
    if last:
        row.append(f"+he={tag}|{after}")
    if here[0] == "B":
        row.append(f"-hb={tag}|{before}")
    return row


def _length(places: Sequence[tuple[str, Hint] | None], at: int) -> int:
    hint = places[at]
    assert hint is not None
    return sum(1 for place in places[max(0, at - 3) : at + 4] if place and place[1] is hint[1])


def flat(spans: Iterable[tuple[int, int, str]], length: int) -> list[tuple[int, int, str]]:
    """Drop spans outside the text and spans that overlap a longer one (on a tie, the first is kept); sort by offset."""
    kept: list[tuple[int, int, str]] = []
    for start, end, label in sorted(spans, key=lambda s: (s[0] - s[1], s[0])):
        if 0 <= start < end <= length and all(end <= a or start >= b for a, b, _ in kept):
            kept.append((start, end, label))
    return sorted(kept, key=lambda s: s[0])


def tags_of(offsets: Sequence[Offsets], spans: Iterable[tuple[int, int, str]], ids: dict[str, int]) -> list[str]:
    """Return the tag of each token of a text. A new label gets the next id."""
    tags = ["O"] * len(offsets)
    for start, end, label in spans:
        part = "B"
        for i in covered(offsets, start, end):
            tags[i] = f"{part}-{ids.setdefault(label, len(ids))}"
            part = "I"
    return tags


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of a text as input of the CRF: character offsets, stems, and features."""

    offsets: list[Offsets]
    stems: list[str]
    rows: list[list[str]]


def encoded(text: str, hints: tuple[Hint, ...], edges: tuple[int, ...] = ()) -> Encoded:
    """Return the tokens and features of a text. Cached, because the same demonstrations occur in many prompts."""
    return (_sentence if len(text) < _SENTENCE else _document)(text, hints, edges)


def _encoded(text: str, hints: tuple[Hint, ...], edges: tuple[int, ...]) -> Encoded:
    text = _plain(text)
    offsets = cut(tokens(text), edges)
    words = [_word(text[start:end]) for start, end in offsets]
    return Encoded(offsets, [word.stem for word in words], features(words, named(offsets, hints)))


_sentence, _document = lru_cache(maxsize=4096)(_encoded), lru_cache(maxsize=512)(_encoded)


def _plain(text: str) -> str:
    """Replace each lone surrogate, which the library cannot encode, by one character."""
    return text.encode("utf-8", "replace").decode("utf-8")


def hints(text: str, knowledge: str, labels: Sequence[Label]) -> tuple[Hint, ...]:
    """Return the occurrences in `text` of the surfaces of the knowledge lines, in order of offset. The longest surface wins."""
    lines = prompt.parse_knowledge(knowledge, [label.name for label in labels])
    taken: set[int] = set()
    found: list[Hint] = []
    for line in sorted(lines, key=lambda line: (-len(line.surface), line.surface)):  # labels must not decide the order
        words = r"\s+".join(map(re.escape, line.surface.split()))
        for hit in re.finditer(rf"(?<!\w){words}(?!\w)", text) if words else ():
            if taken.isdisjoint(range(hit.start(), hit.end())):
                taken.update(range(hit.start(), hit.end()))
                found.append(Hint(hit.start(), hit.end(), line.label, line.denied, line.facts))
    return tuple(sorted(found, key=lambda h: h.start))
