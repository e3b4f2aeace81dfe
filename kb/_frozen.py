"""What never changes need not be copied."""

from __future__ import annotations

from typing import Self


class Frozen:
    """Copies are the object itself, deep ones too: optimizers deep-copy a program for every candidate."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self
