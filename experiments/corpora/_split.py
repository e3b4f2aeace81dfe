"""Splits documents into train, dev and test, or into folds, by a hash of their group."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict

from experiments.errors import ReadError
from ner_programs.types import Document


@dataclass(frozen=True)
class Split:
    """The option `split = { by = "patient", dev = 0.2, test = 0.2 }`; the rest is train. Or `split = { folds = 5 }`.

    With folds, `fold = 2` uses the second fold as test, the third as dev and the others as train. Without a `fold` there is no
    test, and the first fold is dev: this is the split for the final program of a cross-validated run
    (`experiments/runs/folds.py`).

    "patient" is a synonym of "group". The reader gets it from the field `group` or `patient` of a JSON line, or (if `by` is
    given) from a BRAT file name up to its first "_" or "-". Without `by`, groups stay together if documents have them.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    by: Literal["document", "group", "patient"] | None = None
    dev: float | None = None
    test: float | None = None
    folds: int | None = None
    fold: int | None = None

    def __post_init__(self) -> None:
        if self.folds is None:
            dev, test = self._shares
            if not (dev >= 0 and test >= 0 and dev + test < 1):
                raise ValueError(f"split: dev {dev} and test {test} must leave something for train")
            if self.fold is not None:
                raise ValueError("split: `fold` says which of how many `folds` is tested on; give both")
        elif self.dev is not None or self.test is not None:
            raise ValueError("split: give either folds, or the shares of dev and test")
        elif self.folds < 3:
            raise ValueError(f"split: {self.folds} folds leave nothing for train, beside one for test and one for dev")
        elif self.fold is not None and not 1 <= self.fold <= self.folds:
            raise ValueError(f"split: there is no fold {self.fold} of {self.folds}")

    @property
    def _shares(self) -> tuple[float, float]:
        return (0.2 if self.dev is None else self.dev), (0.2 if self.test is None else self.test)

    def parts(self, documents: tuple[Document, ...]) -> dict[str, tuple[Document, ...]]:
        """Return the documents of each part, in order."""
        named = any(d.group != d.id for d in documents)
        by = self.by or ("group" if named else "document")
        if self.folds is None:
            return split(documents, *self._shares, by)
        pieces = folds(documents, self.folds, by)
        test = self.fold and self.fold - 1
        dev = 0 if test is None else (test + 1) % self.folds
        part_of = {
            d.id: "test" if i == test else "dev" if i == dev else "train" for i, p in enumerate(pieces) for d in p
        }
        return {part: tuple(d for d in documents if part_of[d.id] == part) for part in ("train", "dev", "test")}


def split(
    documents: tuple[Document, ...], dev: float = 0.2, test: float = 0.2, by: str = "document"
) -> dict[str, tuple[Document, ...]]:
    """Assign each group by its hash in [0, 1): test below `test`, then dev, then train.

    A group is never divided, and a new document moves no other one. The exception is a part that would be empty: with at least
    three groups, it gets the group with the nearest hash.
    """
    keys = _keys(documents, by)
    ranked = sorted(set(keys.values()), key=_position)
    to_test, to_dev = _cuts([_position(key) for key in ranked], dev, test)
    part_of = {key: "test" if i < to_test else "dev" if i < to_dev else "train" for i, key in enumerate(ranked)}
    return {part: _those(documents, keys, part_of, part) for part in ("train", "dev", "test")}


def folds(documents: tuple[Document, ...], number: int, by: str = "document") -> list[tuple[Document, ...]]:
    """Distribute the groups, in the order of their hashes, over `number` folds, whose sizes differ by at most one group.

    Raises ReadError if there are fewer groups than folds.
    """
    keys = _keys(documents, by)
    ranked = sorted(set(keys.values()), key=_position)
    if len(ranked) < number:
        raise ReadError(f"split into {number} folds: there are only {len(ranked)} groups of documents to deal out")
    fold_of = {key: rank % number for rank, key in enumerate(ranked)}
    return [tuple(d for d in documents if fold_of[keys[d.id]] == fold) for fold in range(number)]


def _keys(documents: tuple[Document, ...], by: str) -> dict[str, str]:
    """Return the group key of each document. Raises ReadError if the documents have no groups."""
    if by != "document" and documents and all(d.group == d.id for d in documents):
        raise ReadError(f'split by "{by}": no document says which {by} it belongs to; use by = "document"')
    return {d.id: d.id if by == "document" else d.group for d in documents}


def _those(
    documents: Iterable[Document], keys: dict[str, str], part_of: dict[str, str], part: str
) -> tuple[Document, ...]:
    return tuple(d for d in documents if part_of[keys[d.id]] == part)


def _position(key: str) -> float:
    """Hash a key to [0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64


def _cuts(positions: list[float], dev: float, test: float) -> tuple[int, int]:
    """Return how many of the sorted positions are test, and how many are test or dev. No part is empty if avoidable."""
    to_test, to_dev = bisect_left(positions, test), bisect_left(positions, test + dev)
    if len(positions) >= 3:
        least_test, least_dev = int(test > 0), int(dev > 0)
        to_test = min(max(to_test, least_test), len(positions) - 1 - least_dev)
        to_dev = min(max(to_dev, to_test + least_dev), len(positions) - 1)
    return to_test, to_dev
