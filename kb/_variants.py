"""Words that stand for one another in the names of one concept: "colour" and "color", "2" and "ii", "renal" and "kidney".

Nobody lists them: two names of a concept that differ in one word say that the two words may be exchanged, and pairs that
do so in several concepts, and in a fair share of all names with the rarer word, are believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

LEAST = 3  # concepts
SHARE = 0.05
_MOST = 5  # words that fill one slot of one concept; more are a list of different things


def variants(concepts: Iterable[Sequence[str]]) -> Mapping[str, str]:
    """Word -> the commoner word that stands for it, of names in normal form grouped by concept. Words alone are left out."""
    together: Counter[tuple[str, str]] = Counter()
    times: Counter[str] = Counter()
    for names in concepts:
        words = [name.split(" ") for name in names]
        for name in words:
            times.update(set(name))
        if len(words) > 1:
            together.update(_exchanged(words))
    best: dict[str, tuple[int, str]] = {}
    for (one, other), count in sorted(together.items()):
        rare, common = sorted((one, other), key=lambda word: (times[word], word))
        if count >= max(LEAST, SHARE * times[rare]) and not (rare.isdecimal() and common.isdecimal()):
            best[rare] = max(best.get(rare, (0, "")), (count, common))
    return {word: _last(word, best) for word in best}


def _exchanged(names: Sequence[Sequence[str]]) -> set[tuple[str, str]]:
    slots: dict[tuple[str, ...], set[str]] = {}
    for words in names:
        for place, word in enumerate(words):
            slots.setdefault((*words[:place], "", *words[place + 1 :]), set()).add(word)
    filled = (words for context, words in slots.items() if len(context) > 1 and 1 < len(words) <= _MOST)
    return {(one, other) for words in filled for one in words for other in words if one < other}


def _last(word: str, best: Mapping[str, tuple[int, str]]) -> str:
    """Follows the commoner words to the end; each is commoner than the one before, so there is one."""
    while word in best:
        word = best[word][1]
    return word
