"""Which texts are drawn for a share of the calls, so that a beginning of them has its share of everything."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, TypeVar

Labelled = TypeVar("Labelled", bound=Any)
"""A document, or an example: something with `entities`."""


def drawn(pieces: Sequence[Labelled], most: int, seed: int | str) -> list[Labelled]:
    """Return `most` of `pieces`, or all where there are fewer, drawn by seed."""
    return random.Random(seed).sample(list(pieces), min(len(pieces), most))


def of_few_groups(pieces: Sequence[Labelled], most: int, each: int, seed: int | str) -> list[Labelled]:
    """Return `most` of `pieces`, or all where there are fewer, drawn by seed: up to `each` of one `group`, then of the next."""
    order = drawn(pieces, len(pieces), seed)
    groups: dict[str, list[Labelled]] = {}
    for piece in order:
        groups.setdefault(piece.group, []).append(piece)
    some = [p for mine in groups.values() for p in mine[:each]]
    return [*some, *(p for mine in groups.values() for p in mine[each:])][:most]


def interleaved(pieces: Sequence[Labelled]) -> list[Labelled]:
    """Return pieces with and without `entities`, each in their order, so mixed that every beginning has its share of both."""
    parts = [p for p in pieces if p.entities], [p for p in pieces if not p.entities]
    places = [((i + 0.5) / len(part), n) for n, part in enumerate(parts) for i in range(len(part))]
    following = [iter(part) for part in parts]
    return [next(following[n]) for _, n in sorted(places)]
