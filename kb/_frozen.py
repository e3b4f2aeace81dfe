"""A base class of immutable objects that are never copied."""

from __future__ import annotations

from typing import Self


class Frozen:
    """Shallow and deep copies are the object itself, because optimizers deep-copy a program for every candidate."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self
