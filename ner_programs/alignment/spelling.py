"""A text with Greek letters and HTML entities spelled out, and where each of its characters stands in the text itself."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_GREEK = r"\u0370-\u03ff\u1f00-\u1fff\u00b5"
# HTML entities; a micro sign before a unit; Greek letters, but not words of Greek.
_ODD = re.compile(
    r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,30});"
    r"|(?P<micro>[\u00b5\u03bc])(?=(?:g|l|m|mol)\b)"
    rf"|(?<![{_GREEK}])[{_GREEK}]{{1,3}}(?![{_GREEK}])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Spelled:
    """The text spelled out; character `i` of it stems from offsets `starts[i]` to `ends[i]`, end exclusive."""

    text: str
    starts: list[int]
    ends: list[int]


def spelled_out(text: str) -> Spelled | None:
    """Return `text` with "α" as "alpha", "&amp;" as "&" and "µg" as "ug"; None where there is nothing to spell out."""
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
    """Return the pieces of what is odd, offsets and spelling: an entity is one, of letters each."""
    if odd[0].startswith("&"):
        return [(*odd.span(), "".join(map(_name, html.unescape(odd[0]))))]
    if odd["micro"]:
        return [(*odd.span(), "u")]
    return [(i, i + 1, _name(odd.string[i])) for i in range(*odd.span())]


@lru_cache(maxsize=512)
def _name(character: str) -> str:
    """Return the name of a Greek letter; any other character as it is."""
    base = unicodedata.normalize("NFKD", character)[:1]
    name = unicodedata.name(base, "")
    if not name.startswith("GREEK") or "LETTER" not in name:
        return character
    return name.rpartition(" ")[2].lower().replace("lamda", "lambda")
