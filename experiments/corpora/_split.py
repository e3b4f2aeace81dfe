"""Cut documents into train, dev and test by a hash of what must stay together."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict

from experiments._errors import ReadError
from ner_programs.types import Document


@dataclass(frozen=True)
class Split:
    """The option `split = { by = "patient", dev = 0.2, test = 0.2 }`; the rest is train.

    "patient" is another word for "group". Who the patient is, the reader says: the field `group` or `patient` of a JSON
    line, the part of a BRAT file name before its first "_" or "-" (where `by` asks for it). Without `by`, groups stay together
    wherever a document names one.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    by: Literal["document", "group", "patient"] | None = None
    dev: float = 0.2
    test: float = 0.2

    def __post_init__(self) -> None:
        if not (self.dev >= 0 and self.test >= 0 and self.dev + self.test < 1):
            raise ValueError(f"split: dev {self.dev} and test {self.test} must leave something for train")

    def parts(self, documents: tuple[Document, ...]) -> dict[str, tuple[Document, ...]]:
        """Return the documents of each part, in their order."""
        named = any(d.group != d.id for d in documents)
        return split(documents, self.dev, self.test, self.by or ("group" if named else "document"))


def split(
    documents: tuple[Document, ...], dev: float = 0.2, test: float = 0.2, by: str = "document"
) -> dict[str, tuple[Document, ...]]:
    """Put each group where its hash falls in [0, 1): test below `test`, then dev, then train.

    A group never straddles, and a new document moves no other, except where a part would be empty: with three groups or
    more every part that is asked for then gets the group whose hash is nearest.
    """
    if by != "document" and documents and all(d.group == d.id for d in documents):
        raise ReadError(f'split by "{by}": no document says which {by} it belongs to; use by = "document"')
    keys = {d.id: d.id if by == "document" else d.group for d in documents}
    ranked = sorted(set(keys.values()), key=_position)
    to_test, to_dev = _cuts([_position(key) for key in ranked], dev, test)
    part_of = {key: "test" if i < to_test else "dev" if i < to_dev else "train" for i, key in enumerate(ranked)}
    return {part: _those(documents, keys, part_of, part) for part in ("train", "dev", "test")}


def _those(
    documents: Iterable[Document], keys: dict[str, str], part_of: dict[str, str], part: str
) -> tuple[Document, ...]:
    return tuple(d for d in documents if part_of[keys[d.id]] == part)


def _position(key: str) -> float:
    """Return the place of a key in [0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64


def _cuts(positions: list[float], dev: float, test: float) -> tuple[int, int]:
    """Return how many of the sorted positions are test, and how many test or dev; no part empty if avoidable."""
    to_test, to_dev = bisect_left(positions, test), bisect_left(positions, test + dev)
    if len(positions) >= 3:
        least_test, least_dev = int(test > 0), int(dev > 0)
        to_test = min(max(to_test, least_test), len(positions) - 1 - least_dev)
        to_dev = min(max(to_dev, to_test + least_dev), len(positions) - 1)
    return to_test, to_dev
