"""One text, one meaning: what a text says several times is judged by all of its places.

Mentions that share a string within a document nearly always share a label (Finkel, Grenager and Manning 2005, "Incorporating
non-local information into information extraction systems by Gibbs sampling", section 3); here that is an average.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import sqrt

from ner_programs.tagger.features import Offsets

Found = tuple[int, int, int, float]  # first token, last token, label id, probability
WEIGHT = 0.5  # of one other place against a span's own; the others count by the root of their number
_SHORT = 4  # so short a string, in another case, is another string


def consistent(text: str, offsets: Sequence[Offsets], spans: Iterable[Found]) -> list[Found]:
    """Return the spans, each probability averaged with those of the same string at its other places in the text.

    A place that no span of `spans` has counts as probability 0.
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
    """How often a string stands in a text as whole words."""
    if text.count(string) < 2:
        return 1
    return len(re.findall(rf"(?<!\w){re.escape(string)}(?!\w)", text))
