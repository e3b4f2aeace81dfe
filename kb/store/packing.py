"""Writes the blocks that `kb/store/pack.py` reads. The bytes are the same on every machine and in every process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from kb.store.pack import Pack, encoded

Numbers = NDArray[np.integer[Any]]
_ALIGNMENT = 64  # bytes: a cache line, and more than any number needs


class Packer:
    """Collects sections in order. Each begins at a multiple of 64 bytes; zeros fill the gaps."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._places: dict[str, tuple[int, int, str]] = {}
        self._end = 0

    def section(self, name: str, content: bytes, kind: str) -> None:
        """Add a section; `kind` is "utf8", or that of its numbers ("u8" to "u64")."""
        gap = -self._end % _ALIGNMENT
        self._places[name] = (self._end + gap, len(content), kind)
        self._chunks += [bytes(gap), content]
        self._end += gap + len(content)

    def numbers(self, name: str, values: Iterable[int] | Numbers) -> None:
        """Add non-negative numbers, each with as few bytes as the largest needs."""
        numbers = values if isinstance(values, np.ndarray) else np.fromiter(values, np.uint64)
        kind = np.min_scalar_type(int(numbers.max(initial=0))).newbyteorder("<")
        self.section(name, numbers.astype(kind).tobytes(), f"u{8 * kind.itemsize}")

    def strings(self, name: str, texts: Iterable[str]) -> None:
        """Add strings: their bytes and the begin of each."""
        self._encoded(name, list(map(encoded, texts)))

    def table(self, name: str, texts: Iterable[str]) -> None:
        """Add distinct strings with a hash lookup of their numbers. There are 2 to 4 buckets for each string."""
        words = list(map(encoded, texts))
        self._encoded(name, words)
        size = 1 << (2 * len(words)).bit_length()
        bucket = np.fromiter(map(crc32, words), np.uint32, len(words)) & np.uint32(size - 1)
        self.numbers(f"{name}.buckets", starts_of(bucket, size))
        self.numbers(f"{name}.order", np.argsort(bucket, kind="stable"))

    def done(self) -> Pack:
        """Return everything in one block, and empty the packer."""
        block = b"".join(self._chunks)
        self._chunks.clear()
        return Pack(block, self._places)

    def _encoded(self, name: str, words: Sequence[bytes]) -> None:
        self.section(f"{name}.text", b"".join(words), "utf8")
        ends = np.cumsum(np.fromiter(map(len, words), np.uint64, len(words)), dtype=np.uint64)
        self.numbers(f"{name}.starts", np.concatenate([np.zeros(1, np.uint64), ends]))


def starts_of(keys: Numbers, size: int) -> Numbers:
    """Return the begin of each of `size` keys in sorted `keys`, and the end of the last: `size + 1` numbers."""
    counts = np.bincount(keys, minlength=size)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]).astype(np.uint32)
