"""How a test says that work ends: by a backstop so far off that no busy machine comes near it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

MUCH = 120.0
"""CPU seconds. What is measured here takes one or less; what goes by the square of a long text, or worse, takes minutes."""


@contextmanager
def soon() -> Iterator[None]:
    """Fail where the block takes this thread MUCH seconds of CPU: waiting for others counts as nothing."""
    began = time.thread_time()
    yield
    assert time.thread_time() - began < MUCH
