"""Exact nearest-neighbour search over names, by the cosine of TF-IDF vectors of character 3-grams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_CUTS = (0.5, 0.3, 0.15, 0.0)  # cosine thresholds, tried in turn: only the few names above one are sorted


class GramIndex:
    """An inverted index from grams to names. Grams are within words, with a blank before and after each word.

    Term frequencies are logarithmic; vectors have length 1. Building takes about 10 µs for each name.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.size = len(names)
        grams, owners = _spelled(names)
        codes, gram = np.unique(grams, return_inverse=True)
        pairs, times = np.unique(gram * max(self.size, 1) + owners, return_counts=True)
        gram, owner = pairs // max(self.size, 1), pairs % max(self.size, 1)
        spread = np.bincount(gram, minlength=len(codes))
        self._number = {_letters(code): place for place, code in enumerate(codes.tolist())}
        self._idf = (np.log((1 + self.size) / (1 + spread)) + 1).astype(np.float32)
        weight = (1 + np.log(times)) * self._idf[gram]
        length = np.sqrt(np.bincount(owner, weights=weight**2, minlength=self.size))
        weight = (weight / length[owner]).astype(np.float32)
        self._starts = np.concatenate([[0], np.cumsum(spread)])
        self._owner, self._weight = owner.astype(np.int32), weight

    def nearest(self, name: str, count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return places and cosines of the `count` nearest names, best first, ties by place, without cosines of 0.

        The search is exact: every name with a gram of the query is scored, by one sparse product over the posting lists.
        """
        grams, query = self._query(name)
        if not len(grams):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        scores = self._scores(grams, query)
        for cut in _CUTS:
            places = np.flatnonzero(scores > cut)
            if len(places) >= count:
                break
        found = scores[places]
        if len(places) > count:
            least = np.partition(found, -count)[-count]
            places, found = places[found >= least], found[found >= least]
        order = np.lexsort((places, -found))[:count]
        return places[order], found[order]

    def _scores(self, grams: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float32]:
        from scipy.sparse import csc_array  # importing kb does not load scipy

        starts, ends = self._starts[grams], self._starts[grams + 1]
        lists = [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        owners = np.concatenate([self._owner[one] for one in lists])
        weights = np.concatenate([self._weight[one] for one in lists])
        columns = np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int32)
        scores: NDArray[np.float32] = csc_array((weights, owners, columns), shape=(self.size, len(grams))) @ query
        return scores

    def _query(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the known grams of a string and their weights. Unknown grams are left out."""
        words = (f" {word} " for word in name.split(" "))
        times = Counter(word[at : at + 3] for word in words for at in range(len(word) - 2))
        known = sorted((place, n) for gram, n in times.items() if (place := self._number.get(gram)) is not None)
        grams = np.array([place for place, _ in known], np.int64)
        weight = (1 + np.log(np.array([n for _, n in known], np.float32))) * self._idf[grams]
        return grams, weight / (np.sqrt((weight**2).sum()) or 1)


def _spelled(names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return every gram of every name as a number, and the place of its name."""
    text = "\n".join(f" {name} " for name in names)
    signs = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
    if len(signs) < 3:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    owners = np.cumsum(signs == ord("\n"))[1:-1]
    middle = signs[1:-1]
    within = (middle != ord(" ")) & (middle != ord("\n"))
    grams = (signs[:-2] << 42) | (middle << 21) | signs[2:]  # a character has at most 21 bits
    return grams[within], owners[within]


def _letters(code: int) -> str:
    mask = (1 << 21) - 1
    return chr(code >> 42) + chr(code >> 21 & mask) + chr(code & mask)
