"""Label consistency: averages the probabilities of all occurrences of a string in a text.

Mentions with the same string in a document nearly always have the same label (Finkel, Grenager and Manning 2005, "Incorporating
non-local information into information extraction systems by Gibbs sampling", section 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import sqrt

from ner_programs.tagger.features import Offsets

Found = tuple[int, int, int, float]  # first token, last token, label id, probability
WEIGHT = 0.5  # weight of one other occurrence (a span's own is 1); n others together weigh WEIGHT * sqrt(n)
_SHORT = 4  # characters; strings up to this length are compared with case


def consistent(text: str, offsets: Sequence[Offsets], spans: Iterable[Found]) -> list[Found]:
    """Return the spans, each probability averaged with those of the other occurrences of its string in the text.

    An occurrence that is not in `spans` has probability 0.
    """
    same: dict[tuple[str, int], list[Found]] = {}
    for span in spans:
        same.setdefault((_key(text[offsets[span[0]][0] : offsets[span[1]][1]]), span[2]), []).append(span)
    folded, kept = text.lower(), list[Found]()
    for (string, _), places in same.items():
        others = max(_times(text if len(string) <= _SHORT else folded, string), len(places)) - 1
        total, weight = sum(span[3] for span in places), WEIGHT * sqrt(others)
        for first, last, label, p in places:
            mean = (total - p) / others if others else p
            kept.append((first, last, label, (p + weight * mean) / (1 + weight)))
    return kept


def _key(string: str) -> str:
    return string if len(string) <= _SHORT else string.lower()


def _times(text: str, string: str) -> int:
    """Return how often a string occurs in a text as whole words."""
    if text.count(string) < 2:
        return 1
    return len(re.findall(rf"(?<!\w){re.escape(string)}(?!\w)", text))
