"""Checks that the sections of a knowledge base are consistent, so that no number in them points outside its target.

The check takes about 10 s for a million concepts, so `kb/store/folder.py` does it once for each file.
"""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from kb.errors import KnowledgeError
from kb.names.filter import LONGEST, UNSOUGHT
from kb.store.pack import Pack

Numbers = NDArray[np.unsignedinteger[Any]]
_CHUNK = 1 << 24  # bytes decoded at a time
_CROWD = 64  # maximum number of strings in one bucket of a table; there are two to four buckets for each string


def check_sections(pack: Pack) -> None:
    """Raise KnowledgeError, naming the section, if one has content that could break reading."""
    look = _Look(pack)
    concepts, forms, firsts = look.table("ids"), look.table("forms"), look.table("firsts")
    types, kinds, spellings = look.strings("types"), look.strings("kinds"), look.strings("spellings")
    for name in ("titles", "details"):
        look.require(name, look.strings(name) == concepts)
    look.below("type", types, concepts)
    for way in ("out", "in"):
        edges = len(look.numbers(f"{way}.end"))
        look.starts(f"{way}.starts", concepts, edges)
        look.below(f"{way}.kind", kinds, edges)
        look.below(f"{way}.end", concepts, edges)
    how = look.numbers("entry.how")
    look.starts("entry.starts", forms, len(how), least=1)
    look.require("entry.how", bool(((how <= spellings) | (how == UNSOUGHT)).all()))
    look.below("entry.concept", concepts, len(how))
    look.below("sought", forms + 1, 1)
    _check_lengths(look, firsts)
    _check_details(pack)


class _Look:
    """Checks single sections."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    def require(self, name: str, held: bool) -> None:
        """Raise KnowledgeError for a section if a condition does not hold."""
        if not held:
            raise KnowledgeError(f"section {name} does not fit the others")

    def numbers(self, name: str) -> Numbers:
        """Return the numbers of a section."""
        return np.frombuffer(self.pack.section(name), f"<u{int(self.pack.places[name][2][1:]) // 8}")

    def below(self, name: str, limit: int, count: int) -> None:
        """Require `count` numbers, each below `limit`."""
        numbers = self.numbers(name)
        self.require(name, len(numbers) == count and (not count or int(numbers.max()) < limit))

    def starts(self, name: str, count: int, end: int, least: int = 0) -> Numbers:
        """Require the begins of `count` consecutive rows up to `end`, each with at least `least` members; return them."""
        starts = self.numbers(name)
        self.require(name, len(starts) == count + 1 and int(starts[0]) == 0 and int(starts[-1]) == end)
        self.require(name, bool((starts[1:] > starts[:-1] if least else starts[1:] >= starts[:-1]).all()))
        return starts

    def strings(self, name: str) -> int:
        """Require strings of valid UTF-8; return their number."""
        text = self.pack.section(f"{name}.text")
        count = len(self.numbers(f"{name}.starts")) - 1
        self.require(f"{name}.starts", count >= 0)
        starts = self.starts(f"{name}.starts", count, len(text))
        signs = np.frombuffer(text, np.uint8)
        inside = starts[starts < len(text)]
        self.require(
            f"{name}.starts", bool((signs[inside] & 0xC0 != 0x80).all())
        )  # no string begins inside a character
        begin = 0
        while begin < len(text):
            after = np.searchsorted(starts, begin + _CHUNK)
            end = max(int(starts[min(int(after), count)]), begin + 1)
            try:
                str(text[begin:end], "utf-8", "surrogatepass")
            except UnicodeDecodeError:
                raise KnowledgeError(f"section {name}.text is not UTF-8") from None
            begin = end
        return count

    def table(self, name: str) -> int:
        """Require strings with a valid hash lookup; return their number."""
        count, buckets = self.strings(name), len(self.numbers(f"{name}.buckets")) - 1
        self.require(f"{name}.buckets", buckets > 0 and not buckets & (buckets - 1))
        starts = self.starts(f"{name}.buckets", buckets, count)
        sizes = (starts[1:] - starts[:-1]).astype(np.int64)
        self.require(f"{name}.buckets", int(sizes.max()) <= _CROWD)
        self.below(f"{name}.order", count, count)
        words = map(crc32, map(self.pack.strings(name).raw, range(count)))
        bucket = np.fromiter(words, np.uint32, count) & np.uint32(buckets - 1)
        order = self.numbers(f"{name}.order")
        self.require(f"{name}.order", bool((np.bincount(order.astype(np.int64), minlength=count) == 1).all()))
        self.require(f"{name}.order", np.array_equal(bucket[order], np.repeat(np.arange(buckets), sizes)))
        return count


def _check_lengths(look: _Look, firsts: int) -> None:
    """Require the lengths of names to be strictly descending for each first token: a search tries them in this order."""
    lengths = look.numbers("lengths").astype(np.int64)
    starts = look.starts("lengths.starts", firsts, len(lengths))
    fits = len(lengths) == 0 or (int(lengths.min()) >= 1 and int(lengths.max()) <= LONGEST)
    first = np.zeros(len(lengths) + 1, np.bool_)
    first[starts] = True
    look.require("lengths", fits and bool(((lengths[1:] < lengths[:-1]) | first[1:-1]).all()))


def _check_details(pack: Pack) -> None:
    for place, written in enumerate(pack.strings("details")):
        if written and not _is_details(written):
            raise KnowledgeError(f"section details.text: concept {place} is not a definition, synonyms and references")


def _is_details(written: str) -> bool:
    try:
        details = json.loads(written)
    except (ValueError, RecursionError):
        return False
    if not isinstance(details, list) or len(details) != 3 or not isinstance(details[0], str):
        return False
    return all(isinstance(row, list) and all(isinstance(item, str) for item in row) for row in details[1:])
