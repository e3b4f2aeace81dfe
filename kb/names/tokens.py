"""Tokens with offsets and normal forms, and the normal form of a whole name.

Stored knowledge bases have normal forms, so a change of behaviour here needs a new `VERSION` in `kb/store/folder.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

# Combining marks belong to the letter before them: lower-casing may produce one, and decomposed text has many.
_WORD = r"\w\u0300-\u036f"
_DASHES = r"\-\u2010-\u2015\u2212"
_APOSTROPHES = r"'\u2018\u2019\u02bc\u00b4`"
_TOKEN = re.compile(
    rf"(?P<possessive>[{_APOSTROPHES}]\s?[sS](?![{_WORD}]))"  # "name's", and the tokenised "name ' s"
    rf"|(?P<token>[{_WORD}]+|[^\s{_DASHES}{_APOSTROPHES}/,.;:()\[\]\"\u201c\u201d])"
)
_PLAIN = dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-")
_SHORTEST_PLURAL = 4  # the final s of shorter words ("gas") and of three-letter abbreviations is not a plural


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text as parallel lists: normal forms, and character offsets into the text (end exclusive)."""

    normals: list[str]
    starts: list[int]
    ends: list[int]


def tokens(text: str) -> Tokens:
    """Split `text` into words and single symbols. Blanks, dashes, slashes, quotes and punctuation are separators."""
    normals: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _TOKEN.finditer(text.replace("_", " ")):
        if match.lastgroup == "token":
            normals.append(_normal(match.group()))
            starts.append(match.start())
            ends.append(match.end())
    return Tokens(normals, starts, ends)


def normalise(name: str) -> str:
    """Return the form in which names are compared: lower case, no punctuation, no possessives, plurals folded.

    >>> normalise("Bluebird's Blue-Feathers, type II")
    'bluebird blue feather type ii'
    """
    return " ".join(tokens(name).normals)


def spelling(name: str) -> str:
    """Return the name without blanks and with plain dashes: "A-B" also for the tokenised "A - B", but "AB" for "A B"."""
    return "".join(name.split()).translate(_PLAIN)


@lru_cache(maxsize=1 << 17)
def _normal(word: str) -> str:
    word = word.lower()
    if len(word) < _SHORTEST_PLURAL or not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("sses"):
        return word[:-2]
    return word if word.endswith(("ss", "us", "is")) else word[:-1]
