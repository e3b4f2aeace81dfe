"""An index of a text's letters and digits with their offsets, in which `align` searches for strings.

Two strings match if their letters and digits are equal in Unicode's compatibility form (full-width letters, ligatures, sub- and
superscripts are plain ones), case-folded and without accents. Blanks, hyphens and other symbols do not count. If there is no
match, Greek letters and HTML entities are spelled out ("TNF-alpha" matches "TNF-α"), then a few typing errors are allowed.
Numbers must always be equal: "type 2" is not a typing error of "type 1".
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import compress, pairwise
from typing import NamedTuple

from rapidfuzz.distance import OSA

from ner_programs.alignment.spelling import Spelled, spelled_out

_WORD = re.compile(r"[^\W_]+")
_IS_LETTER = bytes(chr(byte).isalnum() and byte < 128 for byte in range(256))
_LOOSE = re.compile(r"[\s\-\u2010-\u2015\u2212]+")
_NUMBER = re.compile(r"\d+")
_RAISED = re.compile(r"[²³¹\u2070-\u2089]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_ROMAN = re.compile(r"\b(?:i{1,3}|iv|vi{0,3}|ix|x)\b")
# Thai to Khmer, kana and ideographs are written without blanks: every character may begin or end a word.
_SOLID = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_CONTRARY = (("hyper", "hypo"), ("intra", "inter"))
_SHORTEST_FUZZY = 5
_LONGEST_SHORT_FORM = 5


class Spot(NamedTuple):
    """A place that matches a string: offsets, end exclusive; `cost` is 0 for equal letters, below 1 with typing errors."""

    cost: float
    start: int
    end: int


class TextIndex:
    """The letters and digits of a text, case-folded: `letters[i]` comes from `text[origin[i]]`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._known: dict[str, list[Spot]] = {}
        self._edges: list[int] = []
        self._spelled: tuple[Spelled, TextIndex] | None = None
        self._plain = text.isascii()
        if self._plain:
            self.letters = "".join(_WORD.findall(text)).lower()
            self.origin = list(compress(range(len(text)), text.encode().translate(_IS_LETTER)))
            return
        folded: list[str] = []
        self.origin = []
        for found in _WORD.finditer(text):
            word, start = found.group(), found.start()
            if word.isascii():
                folded.append(word.lower())
                self.origin += range(start, start + len(word))
                continue
            for at, character in enumerate(word, start):
                folded.append(_fold(character))
                self.origin += [at] * len(folded[-1])
        self.letters = "".join(folded)

    def _is_edge(self, at: int) -> bool:
        """Return whether a word ends or begins before `letters[at]`."""
        if at in (0, len(self.origin)):
            return True
        last, first = self.origin[at - 1], self.origin[at]
        if self._plain:
            return first - last > 1
        if first - last > 1:  # "e", accent, "s": the word continues
            return not all(map(_is_mark, self.text[last + 1 : first]))
        return first > last and bool(_SOLID.match(self.text[last]) or _SOLID.match(self.text[first]))

    def _word_edges(self) -> list[int]:
        if not self._edges:
            if self._plain:  # the same as below, many times faster
                self._edges = [at for at, (last, first) in enumerate(pairwise(self.origin), 1) if first - last > 1]
            else:
                self._edges = [at for at in range(1, len(self.origin)) if self._is_edge(at)]
            self._edges = [0, *self._edges, len(self.origin)]
        return self._edges

    def _is_whole(self, start: int, end: int) -> bool:
        return self._is_edge(start) and self._is_edge(end)

    def _is_beside_number(self, start: int, end: int) -> bool:
        """Return whether a hit is a whole word if "81mg" counts as two words."""
        return (self._is_edge(start) or self._ends_number(start)) and (self._is_edge(end) or self._ends_number(end))

    def _ends_number(self, at: int) -> bool:
        return self.letters[at - 1].isdigit() and self.letters[at].isalpha()

    def spots(self, surface: str) -> list[Spot]:
        """Return the places of whole words that match `surface`, left to right; similar ones if there is no exact match."""
        if surface not in self._known:
            self._known[surface] = self._search(surface)
        return self._known[surface]

    def _search(self, surface: str) -> list[Spot]:
        if spots := self._same(surface):
            return spots
        other = spelled_out(surface)
        wanted = other.text if other else surface
        spots = self._same(wanted) if other else []
        spots = spots or self._in_spelled(wanted, similar=False) or self._similar(surface, _letters(surface))
        return spots or self._in_spelled(wanted, similar=True)

    def _in_spelled(self, wanted: str, similar: bool) -> list[Spot]:
        """Return the places that match in the spelled-out text, with their offsets in the original text."""
        if self._spelled is None:
            spelled = spelled_out(self.text)
            if spelled is None:
                return []
            self._spelled = spelled, TextIndex(spelled.text)
        spelled, index = self._spelled
        spots = index._similar(wanted, _letters(wanted)) if similar else index._same(wanted)
        return [Spot(s.cost, spelled.starts[s.start], spelled.ends[s.end - 1]) for s in spots]

    def _same(self, surface: str) -> list[Spot]:
        """Return the places of whole words with the letters of `surface`."""
        key = _letters(surface)
        if not key:
            places = re.finditer(re.escape(surface), self.text) if surface else ()
            return [Spot(0.0, *place.span()) for place in places]
        hits = list(self._hits(key))
        for fits in (self._is_whole, self._is_beside_number):
            if spots := self._preferred(surface, key, [hit for hit in hits if fits(*hit)]):
                return spots
        return []

    def inside(self, surface: str) -> list[Spot]:
        """Return the places of the letters of `surface`, also inside longer words."""
        key = _letters(surface)
        return self._preferred(surface, key, list(self._hits(key))) if key else []

    def _hits(self, key: str) -> Iterator[tuple[int, int]]:
        """Yield the positions of `key` in `letters` that do not split a character that folds to several letters."""
        origin = self.origin
        for at in _find_all(self.letters, key):
            end = at + len(key)
            if (at == 0 or origin[at - 1] != origin[at]) and (end == len(origin) or origin[end - 1] != origin[end]):
                yield at, end

    def _preferred(self, surface: str, key: str, hits: list[tuple[int, int]]) -> list[Spot]:
        """Return the places of `hits`; if some differ only in blanks, hyphens and case, only these."""
        spots = [self._place(surface, start, end) for start, end in hits]
        texts = [self.text[spot.start : spot.end] for spot in spots]
        fits = list(zip(spots, texts, strict=True))
        verbatim = texts.count(surface)
        if verbatim == len(fits):
            return spots
        if (
            verbatim and len(key) <= _LONGEST_SHORT_FORM
        ):  # the abbreviations "ALL" and "AS" are not the words all and as
            fits = [(spot, text) for spot, text in fits if text.isupper() == surface.isupper()]
        if _NUMBER.search(key):
            fits = [(spot, text) for spot, text in fits if _same_numbers(surface, text)]
        wanted = _squeezed(surface)
        return [spot for spot, text in fits if _squeezed(text) == wanted] or [spot for spot, _ in fits]

    def _similar(self, surface: str, key: str) -> list[Spot]:
        """Return the whole words that match `key` with a few typing errors, left to right.

        The allowed errors cannot affect every piece of the key, so only places that share a piece are compared.
        """
        size = len(key)
        if size < _SHORTEST_FUZZY:
            return []
        edges = self._word_edges()
        allowed = 1 + size // 12
        count = min(allowed + 2, size // 2)
        cuts = [size * i // count for i in range(count + 1)]
        firsts = {hit - cut for cut, end in pairwise(cuts) for hit in _find_all(self.letters, key[cut:end])}
        windows = {
            (start, end)
            for first in firsts
            for start in _between(edges, first - allowed, first + allowed)
            for end in _between(edges, start + size - allowed, start + size + allowed)
        }
        spots = []
        for start, end in sorted(windows):
            errors = OSA.distance(key, self.letters[start:end], score_cutoff=allowed)
            if errors <= allowed:
                spot = self._place(surface, start, end)
                if not _differ(surface, self.text[spot.start : spot.end]):
                    spots.append(Spot(errors / size, spot.start, spot.end))
        return spots

    def _place(self, surface: str, start: int, end: int) -> Spot:
        """Return the span of `letters[start:end]`, with the symbols at the edges of `surface` if the text has them."""
        text = self.text
        first, last = self.origin[start], self.origin[end - 1] + 1
        while not self._plain and last < len(text) and _is_mark(text[last]):
            last += 1
        for symbol in _edge(surface):
            before = len(text[:first].rstrip())
            if not before or _symbol(text[before - 1]) != symbol:
                break
            first = before - 1
        for symbol in _edge(surface[::-1]):
            after = len(text) - len(text[last:].lstrip())
            if after == len(text) or _symbol(text[after]) != symbol:
                break
            last = after + 1
        return Spot(0.0, first, last)


def _edge(surface: str) -> str:
    """Return the symbols before the first letter or digit of `surface`, innermost first, without blanks and marks."""
    at = 0
    while at < len(surface) and not surface[at].isalnum():
        at += 1
    return "".join(_symbol(c) for c in reversed(surface[:at]) if not c.isspace() and not _is_mark(c)) if at else ""


def _symbol(character: str) -> str:
    """Return a symbol in its compatibility form: full-width and raised symbols become plain ones."""
    return character if character.isascii() else unicodedata.normalize("NFKC", character)


@lru_cache(maxsize=4096)
def _fold(character: str) -> str:
    """Return the folded letters and digits of a character: "É" becomes "e", "ß" becomes "ss"."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(c for c in folded if c.isalnum())


def _letters(surface: str) -> str:
    letters = "".join(_WORD.findall(surface))
    return letters.lower() if letters.isascii() else "".join(map(_fold, letters))


def _squeezed(surface: str) -> str:
    """Return `surface` in a form that ignores blanks, hyphens and case."""
    return unicodedata.normalize("NFKD", _LOOSE.sub("", surface).casefold())


def _numbers(surface: str) -> list[str]:
    return _NUMBER.findall(_THOUSANDS.sub("", unicodedata.normalize("NFKC", surface)))


def _same_numbers(one: str, other: str) -> bool:
    """Return whether two strings have the same numbers. A superscript may be separate or not ("10⁹", "10^9")."""
    some, others = _numbers(one), _numbers(other)
    return some == others or (bool(_RAISED.search(one + other)) and "".join(some) == "".join(others))


def _differ(one: str, other: str) -> bool:
    """Return whether two strings differ in more than typing errors: in a number, or in a prefix of contrary meaning."""
    one, other = one.casefold(), other.casefold()
    if _numbers(one) != _numbers(other) or _ROMAN.findall(one) != _ROMAN.findall(other):
        return True
    return any((a in one and b in other) or (b in one and a in other) for a, b in _CONTRARY)


def _is_mark(character: str) -> bool:
    """Return whether a character only modifies the previous one (an accent, a vowel sign)."""
    return character > "\u02ff" and unicodedata.category(character)[0] == "M"


def _find_all(text: str, piece: str) -> Iterator[int]:
    at = text.find(piece)
    while at >= 0:
        yield at
        at = text.find(piece, at + 1)


def _between(places: list[int], low: int, high: int) -> list[int]:
    return places[bisect_left(places, low) : bisect_right(places, high)]
