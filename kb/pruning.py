"""Names that labelled text shows to be wrong more often than right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable

from kb.names.tokens import normalise

Span = (
    Hashable  # what says that a match is gold: character offsets (end exclusive), with the label where that counts too
)
Matches = Iterable[tuple[Iterable[tuple[str, Span]], Collection[Span]]]


def misleading(matches: Matches, *, least: float = 0.5, credit: int = 0) -> frozenset[str]:
    """Normal forms whose matches are gold spans in less than the share `least` of the cases.

    `matches` are, for every labelled text, what a dictionary found there (string and span) and the gold spans. Names that
    were found nowhere are not among the result: nothing is known of them. A dictionary that holds mentions of the very
    text it is scored on is always right there; score such mentions on other texts than their own. `credit` is how many right
    matches each name is given in advance, so that one wrong match need not be the end of a name.
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
