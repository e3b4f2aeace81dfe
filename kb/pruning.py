"""Names that labelled text shows to be wrong more often than right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from kb.names import normalise

Span = tuple[int, int]  # character offsets, end exclusive
Matches = Iterable[tuple[Iterable[tuple[str, Span]], Collection[Span]]]


def misleading(matches: Matches, *, least: float = 0.5) -> frozenset[str]:
    """Normal forms whose matches are gold spans in less than the share `least` of the cases.

    `matches` are, for every labelled text, what a dictionary found there (string and span) and the gold spans. Names that
    were found nowhere are not among the result: nothing is known of them. A dictionary that holds mentions of the very
    text it is scored on is always right there; score such mentions on other texts than their own.
    """
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for here, gold in matches:
        spans = set(gold)
        for text, span in here:
            name = normalise(text)
            found[name] += 1
            right[name] += span in spans
    return frozenset(name for name, count in found.items() if right[name] < least * count)
