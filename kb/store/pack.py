"""Arrays and strings in one block of bytes, in memory or memory-mapped: the storage of a knowledge base.

Reading uses no numpy: a memoryview returns single numbers twice as fast, and opening needs no import. Sections are written by
`kb/store/packing.py`: UTF-8, or little-endian numbers, each array as wide as its largest number needs.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Mapping
from mmap import mmap
from typing import Any, Literal
from zlib import crc32

from kb._frozen import Frozen
from kb.errors import KnowledgeError

# Name of a section -> its begin, its size in bytes, and its kind: utf8, or the type of its numbers.
Places = Mapping[str, tuple[int, int, str]]
_CODES: dict[str, Literal["B", "H", "I", "Q"]] = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}


def encoded(text: str) -> bytes:
    """Encode as UTF-8. Lone surrogates, which broken sources have, are kept."""
    return text.encode("utf-8", "surrogatepass")


class Pack(Frozen):
    """Named sections of an immutable block. Pickling copies the block into memory."""

    __slots__ = ("block", "places")

    def __init__(self, block: bytes | mmap, places: Places) -> None:
        if sys.byteorder != "little":
            raise KnowledgeError("knowledge bases are little-endian, this machine is not")
        self.block, self.places = block, places

    def __reduce__(self) -> tuple[Any, ...]:
        return Pack, (self.block[:], dict(self.places))

    def section(self, name: str) -> memoryview:
        """Return the bytes of a section without copying."""
        begin, size, _ = self.places[name]
        return memoryview(self.block)[begin : begin + size]

    def numbers(self, name: str) -> memoryview[int]:
        """Return the numbers of a section. An index gives an int, `[a:b].tolist()` a list."""
        view = self.section(name)
        return view.cast(_CODES[self.places[name][2]]) if view.nbytes else memoryview(array("B"))  # empty: no cast

    def strings(self, name: str) -> Strings:
        """Return the strings `name` (sections `.text`, and `.starts` with the begin of each and the end of the last)."""
        return Strings(self.block, self.places[f"{name}.text"][0], self.numbers(f"{name}.starts"))

    def table(self, name: str) -> Table:
        """Return the strings `name` with the lookup of their numbers (sections `.buckets`, `.order`)."""
        strings = self.strings(name)
        return Table(strings, self.numbers(f"{name}.buckets"), self.numbers(f"{name}.order"))


class Strings:
    """Strings by number, from 0, decoded on access."""

    __slots__ = ("_begin", "_block", "_starts")

    def __init__(self, block: bytes | mmap, begin: int, starts: memoryview) -> None:
        self._block, self._begin, self._starts = block, begin, starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> str:
        return str(self.raw(number), "utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def raw(self, number: int) -> bytes:
        """Return the string as bytes."""
        begin, starts = self._begin, self._starts
        return self._block[begin + starts[number] : begin + starts[number + 1]]


class Table(Strings):
    """Distinct strings with a hash lookup: `order` has the numbers by bucket, `buckets` the begin of each bucket.

    The bucket of a string is the CRC-32 of its bytes modulo the number of buckets (a power of two). It is the same on every
    machine and in every process, and ten times as fast from Python as a cryptographic digest.
    """

    __slots__ = ("_buckets", "_mask", "_order")

    def __init__(self, strings: Strings, buckets: memoryview, order: memoryview) -> None:
        super().__init__(strings._block, strings._begin, strings._starts)
        self._buckets, self._order, self._mask = buckets, order, len(buckets) - 2

    def find(self, text: str) -> int:
        """Return the number of `text`, or -1."""
        word = text.encode("utf-8", "surrogatepass")
        bucket = crc32(word) & self._mask
        begin, starts = self._begin, self._starts
        for place in range(self._buckets[bucket], self._buckets[bucket + 1]):
            number = self._order[place]
            if self._block[begin + starts[number] : begin + starts[number + 1]] == word:
                return number
        return -1
