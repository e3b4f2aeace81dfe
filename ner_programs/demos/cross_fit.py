"""Models of a pool, fitted also without some of its documents, so that none decides about what it was learned from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from threading import Lock
from typing import Generic, TypeVar

from ner_programs.demos.base import Demonstration, Pool

BLOCKS = 5
M = TypeVar("M")


class CrossFitted(Generic[M]):
    """The models of one pool, fitted by `fit` when first asked for: of all its texts, or without some of its blocks."""

    def __init__(self, pool: Pool, fit: Callable[[Sequence[Demonstration]], M]) -> None:
        self.pool, self.fit = pool, fit
        self.blocks = blocks_of(pool)
        self._of: dict[str, set[int]] = {}
        for d, block in zip(pool, self.blocks, strict=True):
            for kin in (d.document, d.group):
                self._of.setdefault(kin, set()).add(block)
        self._fitted: dict[frozenset[int], M] = {}
        self._lock = Lock()

    def without(self, exclude: Collection[str]) -> M:
        """Return a model that has seen no document or group in `exclude`."""
        return self.of_others(self.among(exclude))

    def among(self, exclude: Collection[str]) -> frozenset[int]:
        """Return the blocks that documents or groups lie in."""
        return frozenset(block for kin in exclude for block in self._of.get(kin, ()))

    def of_others(self, out: frozenset[int]) -> M:
        """Return a model that has not seen the blocks in `out`."""
        with self._lock:
            if out not in self._fitted:
                self._fitted[out] = self.fit(
                    [d for d, block in zip(self.pool, self.blocks, strict=True) if block not in out]
                )
            return self._fitted[out]


def blocks_of(demonstrations: Sequence[Demonstration]) -> list[int]:
    """Return the block of each demonstration: runs of about as many, a group never in two."""
    blocks: dict[str, int] = {}
    for n, d in enumerate(demonstrations):
        blocks.setdefault(d.group, n * BLOCKS // len(demonstrations))
    return [blocks[d.group] for d in demonstrations]
