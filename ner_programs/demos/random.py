"""The same k demonstrations for every text, a seeded sample."""

from __future__ import annotations

import random
from collections.abc import Collection
from itertools import islice
from typing import Any

from ner_programs.demos.base import Demonstration, Pool, Shown, showing


class Random:
    """A seeded order of the pool. The first k allowed demonstrations are shown."""

    def __init__(self, pool: Pool, k: int, seed: int) -> None:
        self.k = k
        self.order = random.Random(seed).sample(list(pool), len(pool))

    def __deepcopy__(self, memo: dict[int, Any]) -> Random:
        return self

    def __call__(self, text: str, exclude: Collection[str] = ()) -> list[Demonstration]:
        """Return k demonstrations in the drawn order."""
        return list(islice(filter(showing(text, exclude), self.order), max(self.k, 0)))


def build(*, pool: Pool, k: Shown = 8, seed: int = 1) -> Random:
    """Build the selector over `pool`."""
    return Random(pool, k, seed)
