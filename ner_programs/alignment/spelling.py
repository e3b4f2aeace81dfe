"""Spells out Greek letters and HTML entities in a text, with a map from each character to the original text."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_GREEK = r"\u0370-\u03ff\u1f00-\u1fff\u00b5"
# HTML entities; a micro sign before a unit; single Greek letters, but no Greek words.
_ODD = re.compile(
    r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});"
    r"|(?P<micro>[\u00b5\u03bc])(?=(?:g|l|m|mol)\b)"
    rf"|(?<![{_GREEK}])[{_GREEK}]{{1,3}}(?![{_GREEK}])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Spelled:
    """The spelled-out text. Its character `i` comes from the offsets `starts[i]` to `ends[i]` (end exclusive) of the text."""

    text: str
    starts: list[int]
    ends: list[int]


def spelled_out(text: str) -> Spelled | None:
    """Return `text` with "α" as "alpha", "&amp;" as "&" and "µg" as "ug"; None if there is nothing to spell out."""
    if text.isascii() and "&" not in text:
        return None
    parts, starts, ends, at = list[str](), list[int](), list[int](), 0
    for odd in _ODD.finditer(text):
        parts.append(text[at : odd.start()])
        starts += range(at, odd.start())
        ends += range(at + 1, odd.start() + 1)
        at = odd.end()
        for first, last, spelling in _spellings(odd):
            parts.append(spelling)
            starts += [first] * len(spelling)
            ends += [last] * len(spelling)
    if not parts:
        return None
    starts += range(at, len(text))
    ends += range(at + 1, len(text) + 1)
    return Spelled("".join([*parts, text[at:]]), starts, ends)


def _spellings(odd: re.Match[str]) -> list[tuple[int, int, str]]:
    """Return (start, end, spelling) for a match: one for an HTML entity, one for each Greek letter."""
    if odd[0].startswith("&"):
        return [(*odd.span(), "".join(map(_name, html.unescape(odd[0]))))]
    if odd["micro"]:
        return [(*odd.span(), "u")]
    return [(i, i + 1, _name(odd.string[i])) for i in range(*odd.span())]


@lru_cache(maxsize=512)
def _name(character: str) -> str:
    """Return the name of a Greek letter; any other character is returned as it is."""
    base = unicodedata.normalize("NFKD", character)[:1]
    name = unicodedata.name(base, "")
    if not name.startswith("GREEK") or "LETTER" not in name:
        return character
    return name.rpartition(" ")[2].lower().replace("lamda", "lambda")
