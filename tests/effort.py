"""How much a test tries, and how it says that work ends: by a backstop so far off that no busy machine comes near it.

`NERC_THOROUGH=1` has every test try more: more examples of each law, more damaged files, more kills, every component.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

THOROUGH = os.environ.get("NERC_THOROUGH", "0") != "0"
MUCH = 120.0
"""CPU seconds. What is measured here takes one or less; what goes by the square of a long text, or worse, takes minutes."""


def often(usually: int, thorough: int) -> int:
    """Return how often a test tries something."""
    return thorough if THOROUGH else usually


@contextmanager
def soon() -> Iterator[None]:
    """Fail where the block takes this thread MUCH seconds of CPU: waiting for others counts as nothing."""
    began = time.thread_time()
    yield
    assert time.thread_time() - began < MUCH
