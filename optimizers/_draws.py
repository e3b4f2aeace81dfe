"""Seeded samples of texts, ordered so that every prefix is representative."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, TypeVar

from ner_programs.task import Task, annotations_of

Labelled = TypeVar("Labelled", bound=Any)
"""A document, or an example: something with annotations."""


def drawn(pieces: Sequence[Labelled], most: int, seed: int | str) -> list[Labelled]:
    """Return a seeded sample of `most` pieces, or all if there are fewer."""
    return random.Random(seed).sample(list(pieces), min(len(pieces), most))


def of_few_groups(pieces: Sequence[Labelled], most: int, each: int, seed: int | str) -> list[Labelled]:
    """Return a seeded sample of `most` pieces, or all if there are fewer. It comes from few groups.

    Up to `each` pieces of one `group` come first, then up to `each` of the next, then the rest.
    """
    order = drawn(pieces, len(pieces), seed)
    groups: dict[str, list[Labelled]] = {}
    for piece in order:
        groups.setdefault(piece.group, []).append(piece)
    some = [p for mine in groups.values() for p in mine[:each]]
    return [*some, *(p for mine in groups.values() for p in mine[each:])][:most]


def interleaved(task: Task, pieces: Sequence[Labelled]) -> list[Labelled]:
    """Mix pieces with and without annotations so that every prefix has both in proportion. Each kind keeps its order."""
    parts = [p for p in pieces if annotations_of(task, p)], [p for p in pieces if not annotations_of(task, p)]
    places = [((i + 0.5) / len(part), n) for n, part in enumerate(parts) for i in range(len(part))]
    following = [iter(part) for part in parts]
    return [next(following[n]) for _, n in sorted(places)]
