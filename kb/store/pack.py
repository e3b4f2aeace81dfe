"""Arrays and strings in one block of bytes, in memory or memory-mapped: all that a knowledge base is read from.

Reading needs no numpy: single numbers come out of a memoryview twice as fast, and opening need not wait for an import.
Sections are made by `kb/store/packing.py`: UTF-8, or little-endian numbers, each array as wide as its largest number needs.
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

# Name of a section -> where it begins, how many bytes it has, and of which kind: utf8, or the type of its numbers.
Places = Mapping[str, tuple[int, int, str]]
_CODES: dict[str, Literal["B", "H", "I", "Q"]] = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}


def encoded(text: str) -> bytes:
    """UTF-8; lone surrogates, which broken sources yield, come through."""
    return text.encode("utf-8", "surrogatepass")


class Pack(Frozen):
    """Named sections of a block that never changes. Pickles to a copy in memory."""

    __slots__ = ("block", "places")

    def __init__(self, block: bytes | mmap, places: Places) -> None:
        if sys.byteorder != "little":
            raise KnowledgeError("knowledge bases are little-endian, this machine is not")
        self.block, self.places = block, places

    def __reduce__(self) -> tuple[Any, ...]:
        return Pack, (self.block[:], dict(self.places))

    def section(self, name: str) -> memoryview:
        """The bytes of a section, not copied."""
        begin, size, _ = self.places[name]
        return memoryview(self.block)[begin : begin + size]

    def numbers(self, name: str) -> memoryview[int]:
        """The numbers of a section; an index gives an int, `[a:b].tolist()` a list."""
        view = self.section(name)
        return view.cast(_CODES[self.places[name][2]]) if view.nbytes else memoryview(array("B"))  # empty: no cast

    def strings(self, name: str) -> Strings:
        """The strings `name` (sections `.text`, and `.starts` with where each begins and the last ends)."""
        return Strings(self.block, self.places[f"{name}.text"][0], self.numbers(f"{name}.starts"))

    def table(self, name: str) -> Table:
        """The strings `name` with the way from a string to its number (sections `.buckets`, `.order`)."""
        strings = self.strings(name)
        return Table(strings, self.numbers(f"{name}.buckets"), self.numbers(f"{name}.order"))


class Strings:
    """Strings by number, from 0; decoded when asked for."""

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
        """The string as bytes."""
        begin, starts = self._begin, self._starts
        return self._block[begin + starts[number] : begin + starts[number + 1]]


class Table(Strings):
    """Distinct strings, and the number of each: `order` has the numbers by bucket, `buckets` where each bucket begins.

    The bucket of a string is the CRC-32 of its bytes, cut to the number of buckets (a power of two): the same on every
    machine and in every process, and ten times as fast from Python as a cryptographic digest.
    """

    __slots__ = ("_buckets", "_mask", "_order")

    def __init__(self, strings: Strings, buckets: memoryview, order: memoryview) -> None:
        super().__init__(strings._block, strings._begin, strings._starts)
        self._buckets, self._order, self._mask = buckets, order, len(buckets) - 2

    def find(self, text: str) -> int:
        """The number of `text`, or -1."""
        word = text.encode("utf-8", "surrogatepass")
        bucket = crc32(word) & self._mask
        begin, starts = self._begin, self._starts
        for place in range(self._buckets[bucket], self._buckets[bucket + 1]):
            number = self._order[place]
            if self._block[begin + starts[number] : begin + starts[number + 1]] == word:
                return number
        return -1
