"""Finds the abbreviations that a document defines: "long form (SF)" and "SF (long form)".

The method is that of Schwartz and Hearst, "A simple algorithm for identifying abbreviation definitions in biomedical text" (PSB
2003): the letters in the brackets are matched, from the right, with the words before the brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LONGEST_SHORT = 10  # characters; the limits are those of the paper
MOST_WORDS = 2  # of a short form
_OPENING, _CLOSING = "([", ")]"
_FIRST_PART = re.compile(r"[^;,]*")
_LAST_WORD = re.compile(r"\S+\Z")


@dataclass(frozen=True, slots=True)
class Abbreviation:
    """A short and a long form as written in the text, each with its character offset: `text[at:].startswith(form)`."""

    short: str
    long: str
    short_at: int
    long_at: int


def abbreviations(text: str) -> dict[str, str]:
    """Map short forms to long forms, as `text` defines them. The first definition of a short form counts.

    >>> abbreviations("Blue tits (BT) and the great spotted woodpecker (GSW).")
    {'BT': 'Blue tits', 'GSW': 'great spotted woodpecker'}
    """
    return {found.short: found.long for found in reversed(definitions(text))}


def definitions(text: str) -> list[Abbreviation]:
    """Return every definition in `text`, in the order of the brackets."""
    return [found for start, end in _brackets(text) if (found := _defined(text, start, end))]


def expand(mention: str, known: Mapping[str, str]) -> str:
    """Return `mention` with every short form in it (as a whole word) replaced by its long form, in one pass."""
    if not known:
        return mention
    if mention in known:
        return known[mention]
    if not any(short in mention for short in known):
        return mention
    forms = "|".join(re.escape(short) for short in sorted(known, key=lambda short: (-len(short), short)))
    return re.sub(rf"(?<!\w)(?:{forms})(?!\w)", lambda match: known[match[0]], mention)


def _brackets(text: str) -> Iterator[tuple[int, int]]:
    """Yield the inner span of every closed bracket, including nested ones, sorted by start."""
    opened: list[tuple[str, int]] = []
    pairs: list[tuple[int, int]] = []
    for place, character in enumerate(text):
        if character in _OPENING:
            opened.append((character, place + 1))
        elif character in _CLOSING and opened and opened[-1][0] == _OPENING[_CLOSING.index(character)]:
            pairs.append((opened.pop()[1], place))
    yield from sorted(pairs)


def _defined(text: str, start: int, end: int) -> Abbreviation | None:
    inside = _FIRST_PART.match(text, start, end)
    assert inside  # it also matches an empty string
    short, at = _trimmed(inside.group(), start)
    if _is_short(short):
        floor = max(0, start - 1 - 40 * (len(short) + 5))  # more characters than the words of a long form have
        window = _window(text, floor, start - 1, short)
        if found := _matched(text, short, at, window) or _initials(short, at, window):
            return found
    before = _LAST_WORD.search(text[: start - 1].rstrip())
    if before and _is_short(word := before.group().lstrip("([\"'")):
        content, at = _trimmed(text[start:end].partition(";")[0], start)
        return _matched(text, word, before.end() - len(word), (at, content))
    return None


def _window(text: str, floor: int, end: int, short: str) -> tuple[int, str]:
    """Return the words before the bracket in which a long form may begin, with their offset."""
    words = list(re.finditer(r"\S+", text[floor:end]))[-min(len(short) + 5, 2 * len(short)) :]
    if not words:
        return end, ""
    start, stop = floor + words[0].start(), floor + words[-1].end()
    return start, text[start:stop]


def _matched(text: str, short: str, short_at: int, window: tuple[int, str]) -> Abbreviation | None:
    """Return the shortest suffix of the window with the letters of `short` in order, the first at the start of a word."""
    offset, words = window
    place = len(words)
    for number in range(len(short) - 1, -1, -1):
        letter = short[number].lower()
        if not letter.isalnum():
            continue
        place -= 1
        while place >= 0 and (words[place].lower() != letter or (number == 0 and _inside_word(words, place))):
            place -= 1
        if place < 0:
            return None
    long = words[place:].rstrip(" ,;:")
    fits = len(long) > len(short) and short not in re.findall(r"[^\s()\[\]]+", long) and _balanced(long)
    return Abbreviation(short, long, short_at, offset + place) if fits else None


def _initials(short: str, short_at: int, window: tuple[int, str]) -> Abbreviation | None:
    """Return the last words if their initials are the letters of `short` in another order ("great tit (TG)", after the Latin).

    This is not in the paper. It applies only to short forms in capitals.
    """
    offset, words = window
    last = list(re.finditer(r"[^\W_]+", words))[-len(short) :]
    if not (short.isalpha() and short.isupper() and len(last) == len(short)):
        return None
    same = sorted(word.group()[0].upper() for word in last) == sorted(short)
    return Abbreviation(short, words[last[0].start() :], short_at, offset + last[0].start()) if same else None


def _inside_word(words: str, place: int) -> bool:
    return place > 0 and words[place - 1].isalnum()


def _is_short(short: str) -> bool:
    return (
        2 <= len(short) <= LONGEST_SHORT
        and len(short.split()) <= MOST_WORDS
        and short[0].isalnum()
        and any(map(str.isalpha, short))
    )


def _balanced(long: str) -> bool:
    return all(long.count(opening) == long.count(closing) for opening, closing in zip(_OPENING, _CLOSING, strict=True))


def _trimmed(text: str, offset: int) -> tuple[str, int]:
    left = text.lstrip(" \t\n\"'")
    return left.rstrip(" \t\n\"'"), offset + len(text) - len(left)
