"""Samples, their tokens and features: what the in-context CRF sees of a text and of the spans that knowledge names in it.

Nothing here knows a label name or a corpus. All offsets are character offsets, end exclusive.
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
_SENTENCE = 800  # characters; the features of a longer text take megabytes, and fewer of them are kept


@dataclass(frozen=True, slots=True)
class Hint:
    """A span of the text that a knowledge line names, and what that line says of it (see `prompt.KnowledgeLine`)."""

    start: int
    end: int
    label: str
    denied: bool = False
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One text of the prompt: `spans` are the gold of a demonstration, `hints` what the prompt's knowledge names in it."""

    text: str
    spans: tuple[tuple[int, int, str], ...] = ()
    hints: tuple[Hint, ...] = ()


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


def covered(offsets: Sequence[Offsets], start: int, end: int) -> range:
    """Return the numbers of the tokens that `start..end` overlaps."""
    return range(bisect_right(offsets, start, key=lambda t: t[1]), bisect_left(offsets, end, key=lambda t: t[0]))


def named(offsets: Sequence[Offsets], hints: Iterable[Hint]) -> list[tuple[str, Hint] | None]:
    """Give every token that a hint overlaps its place in it, "B" or "I", and the hint. The longest hint wins."""
    places: list[tuple[str, Hint] | None] = [None] * len(offsets)
    for hint in sorted(hints, key=lambda h: (h.start - h.end, h.start)):
        inside = covered(offsets, hint.start, hint.end)
        if inside and not any(places[i] for i in inside):
            for i in inside:
                places[i] = ("B" if i == inside[0] else "I", hint)
    return places


def hint_tags(places: Iterable[tuple[str, Hint] | None]) -> list[str]:
    """Tag tokens with "B" or "I" and the label of their hint, "!" where it is said to have none; "" without a hint.

    Labels are quoted: whatever they contain, different labels stay different and no feature is cut short. What else a
    line says was tried as evidence and left out: docs/results/knowledge.md.
    """
    return ["" if p is None else p[0] + ("!" if p[1].denied else safe(p[1].label)) for p in places]


@lru_cache(maxsize=50_000)
def safe(said: str) -> str:
    """Quote what a prompt says, for use in a feature."""
    return quote(said, safe="", errors="surrogatepass")


@dataclass(frozen=True, slots=True)
class Word:
    """What a token is by itself: its lower-cased form, its stem, its kind (a shape without repetitions) and its features."""

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
    """Return the features of every token: its own, its neighbours', and what the hints say here and beside it.

    Left out since they did not pay on dev: word pairs, concept types and paths, how a hint relates to its concept's name,
    how often its name was right in train, how often names of the knowledge base have a word (docs/in-context-crf.md).
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
        if i > 1 and before == "(" and after == ")":  # a short form in parentheses, and whether a hint ends before them
            row += ["ab=" + hint[i - 1], f"ab={bool(hint[i - 1]):d}|{word.kind}"]
        rows.append([*word.features, *map(intern, row)])  # interned: a cached text then costs a third of the memory
    return rows


def _inside(
    tag: str, here: tuple[str, Hint], following: Sequence[tuple[str, Hint] | None], length: int, around: tuple[str, str, str]
) -> list[str]:  # fmt: skip
    """Features of a token inside a hint of `length` tokens: whether it ends there, and what stands at its edges."""
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
    """Drop what does not lie in the text and what overlaps a longer span (of equals: the first); sort by offset."""
    kept: list[tuple[int, int, str]] = []
    for start, end, label in sorted(spans, key=lambda s: (s[0] - s[1], s[0])):
        if 0 <= start < end <= length and all(end <= a or start >= b for a, b, _ in kept):
            kept.append((start, end, label))
    return sorted(kept, key=lambda s: s[0])


def tags_of(offsets: Sequence[Offsets], spans: Iterable[tuple[int, int, str]], ids: dict[str, int]) -> list[str]:
    """Tag the tokens of a text; a label not seen before gets the next id."""
    tags = ["O"] * len(offsets)
    for start, end, label in spans:
        part = "B"
        for i in covered(offsets, start, end):
            tags[i] = f"{part}-{ids.setdefault(label, len(ids))}"
            part = "I"
    return tags


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of a text as the CRF sees them: character offsets, stems, and the features of each."""

    offsets: list[Offsets]
    stems: list[str]
    rows: list[list[str]]


def encoded(text: str, hints: tuple[Hint, ...], edges: tuple[int, ...] = ()) -> Encoded:
    """Return tokens and features of a text, cached by content: demonstrations come back in prompt after prompt."""
    return (_sentence if len(text) < _SENTENCE else _document)(text, hints, edges)


def _encoded(text: str, hints: tuple[Hint, ...], edges: tuple[int, ...]) -> Encoded:
    text = _plain(text)
    offsets = cut(tokens(text), edges)
    words = [_word(text[start:end]) for start, end in offsets]
    return Encoded(offsets, [word.stem for word in words], features(words, named(offsets, hints)))


_sentence, _document = lru_cache(maxsize=4096)(_encoded), lru_cache(maxsize=512)(_encoded)


def _plain(text: str) -> str:
    """Replace lone surrogates, which the library cannot encode, one character by one."""
    return text.encode("utf-8", "replace").decode("utf-8")


def hints(text: str, knowledge: str, labels: Sequence[Label]) -> tuple[Hint, ...]:
    """Find in `text` what the knowledge lines name, longest first; in the order of the text."""
    lines = prompt.parse_knowledge(knowledge, [label.name for label in labels])
    taken: set[int] = set()
    found: list[Hint] = []
    for line in sorted(lines, key=lambda line: (-len(line.surface), line.surface)):  # then as said: no label decides
        words = r"\s+".join(map(re.escape, line.surface.split()))
        for hit in re.finditer(rf"(?<!\w){words}(?!\w)", text) if words else ():
            if taken.isdisjoint(range(hit.start(), hit.end())):
                taken.update(range(hit.start(), hit.end()))
                found.append(Hint(hit.start(), hit.end(), line.label, line.denied, line.facts))
    return tuple(sorted(found, key=lambda h: h.start))
