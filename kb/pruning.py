"""Finds names of a dictionary that are wrong more often than right on labelled text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable

from kb.names.tokens import normalise

Span = Hashable  # the identity of a match: character offsets (end exclusive), with the label if that counts, too
Matches = Iterable[tuple[Iterable[tuple[str, Span]], Collection[Span]]]


def misleading(matches: Matches, *, least: float = 0.5, credit: int = 0) -> frozenset[str]:
    """Return the normal forms whose precision on labelled text is below `least`.

    `matches` has for every labelled text the dictionary's matches (string and span) and the gold spans. Names without a match
    are not returned, because their precision is unknown. `credit` is a number of right matches added to each name, so that
    one wrong match does not drop it.

    Trap: a dictionary with mentions of the scored text is always right there. Score such mentions on other texts.
    """
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for here, gold in matches:
        spans = set(gold)
        for text, span in here:
            name = normalise(text)
            found[name] += 1
            right[name] += span in spans
    return frozenset(name for name, count in found.items() if right[name] + credit < least * (count + credit))
