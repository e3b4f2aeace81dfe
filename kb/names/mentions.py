"""Lookups of names for the linker (variants, initials, similar spelling), and the parts of a mention that may be names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kb.concept import Concept
from kb.names.grams import GramIndex
from kb.names.tokens import normalise

Form = tuple[int, ...]  # numbers of the concepts that a name in normal form may mean, the most probable first
Places = Sequence[int]

# Words that names may have or lack without a change of meaning.
_LINKING_WORDS = frozenset("a an and by due from in of the to type with".split())  # noqa: SIM905
_BETWEEN = re.compile(r"\s*(?:,|/|&|\band/or\b|\band\b|\bor\b)\s*")
_MOST_ALIKE = 50
_LONGEST_INITIALS = 6
LEAST = 3  # concepts
SHARE = 0.05
_MOST = 5  # words in one slot of one concept, at most: more are a list of different things


@dataclass(frozen=True, slots=True, eq=False)
class Forms:
    """Names in normal form (`names`, with their `place`), their `concepts`, and lookups.

    The first `preferred` of a form's concepts have it as preferred name. `ids` and `types` are those of the concepts, by
    number; `number` maps an id to its number.
    """

    ids: Sequence[str]
    types: Sequence[str]
    number: Mapping[str, int]
    names: Sequence[str]
    concepts: Sequence[Form]
    preferred: Sequence[int]
    place: Mapping[str, int]
    _variant: Mapping[str, str]
    _alike: Mapping[str, list[int]]
    _initials: Mapping[str, list[int]]
    _grams: GramIndex

    @classmethod
    def of(cls, concepts: Iterable[Concept]) -> Forms:
        """Index all names of all concepts.

        The concepts of a name are sorted: those with this preferred name first, then those with more cross-references, since
        texts prefer widely cross-referenced concepts.
        """
        ids, types, groups = list[str](), list[str](), list[list[str]]()
        owners: dict[str, list[tuple[bool, int, int]]] = {}
        for number, concept in enumerate(concepts):
            names = list(dict.fromkeys(filter(None, map(normalise, (concept.name, *concept.synonyms)))))
            for name in names:
                owners.setdefault(name, []).append((name != names[0], -len(concept.xrefs), number))
            ids.append(concept.id)
            types.append(concept.type)
            groups.append(names)
        known, variant = list(owners), variants(groups)
        alike, initials = dict[str, list[int]](), dict[str, list[int]]()
        for place, name in enumerate(known):
            alike.setdefault(_key(name, variant), []).append(place)
            for letters in _initials_of(name):
                initials.setdefault(letters, []).append(place)
        return cls(
            ids=ids,
            types=types,
            number={id: number for number, id in enumerate(ids)},
            names=known,
            concepts=[tuple(number for _, _, number in sorted(owners[name])) for name in known],
            preferred=[sum(not synonym for synonym, _, _ in owners[name]) for name in known],
            place={name: place for place, name in enumerate(known)},
            _variant=variant,
            _alike=alike,
            _initials=initials,
            _grams=GramIndex(known),
        )

    def nearest(self, normal: str, count: int) -> dict[int, float]:
        """Map the places of the names with the most similar spelling to their cosines, best first."""
        places, cosines = self._grams.nearest(normal, count)
        return dict(zip(places.tolist(), cosines.tolist(), strict=True))

    def alike(self, normal: str) -> Places:
        """Return the places of names with the same words: in any order, by any variant, ignoring linking words."""
        return self._alike.get(_key(normal, self._variant), ())[:_MOST_ALIKE]

    def initials(self, letters: str) -> Places:
        """Return the places of the names with these initials."""
        return self._initials.get(letters, ())[:_MOST_ALIKE]

    def named(self, normal: str) -> Places:
        """Return the place of the name itself; if it is not in the index, the places of similar names (`alike`)."""
        place = self.place.get(normal)
        return self.alike(normal) if place is None else (place,)


def enumerated(mention: str) -> list[str]:
    """Return the parts of an enumeration, in normal form, each with the common end.

    >>> enumerated("blue and great tits")
    ['blue tit', 'great tit']
    """
    *before, last = _BETWEEN.split(mention)
    words = normalise(last).split()
    if not before or not words:
        return []
    heads = [" ".join(words[at:]) for at in range(1, len(words))] or [""]
    pieces = [f"{normalise(piece)} {head}".strip() for piece in before if normalise(piece) for head in heads]
    return [*pieces, " ".join(words)]


def parts(normal: str, forms: Forms) -> Iterator[tuple[str, float]]:
    """Yield the longest word sequences that are names, the last ones first, each with its share (0..1) of the letters.

    A sequence that is not at the end of the mention counts a tenth less, because the head of a name is at its end.
    """
    words = normal.split()
    letters = sum(map(len, words)) or 1
    for length in range(len(words) - 1, 0, -1):
        found = False
        for start in range(len(words) - length, -1, -1):
            piece = " ".join(words[start : start + length])
            if forms.named(piece):
                found = True
                share = sum(map(len, words[start : start + length])) / letters
                yield piece, share * (1.0 if start + length == len(words) else 0.9)
        if found:
            return


def initialism(mention: str) -> str:
    """Return the letters of a mention that may be initials ("A-TS" gives "ats"); "" for any other mention."""
    letters = mention.replace("-", "").replace(".", "")
    capitals = sum(map(str.isupper, letters))
    return letters.lower() if letters.isalnum() and capitals > 1 and len(letters) <= _LONGEST_INITIALS else ""


def _initials_of(name: str) -> set[str]:
    """Return the initials of all words, of all but the last word (often a generic head), and without linking words."""
    words = name.split(" ")
    telling = [word for word in words if word not in _LINKING_WORDS]
    found = {"".join(word[0] for word in words), "".join(word[0] for word in words[:-1])}
    found.add("".join(word if word.isdecimal() else word[0] for word in telling))
    return {letters for letters in found if 1 < len(letters) <= _LONGEST_INITIALS}


def _key(name: str, variant: Mapping[str, str]) -> str:
    return " ".join(sorted({variant.get(word, word) for word in name.split(" ") if word not in _LINKING_WORDS}))


def variants(concepts: Iterable[Sequence[str]]) -> Mapping[str, str]:
    """Map words to their more frequent variants ("colour" and "color"), from names in normal form grouped by concept.

    Variants are mined: if two names of a concept differ in one word, the two words may be exchangeable. A pair is accepted if
    it occurs in several concepts and in a sufficient share of all names with the rarer word. Names of one word are left out.
    """
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
    """Follow the more frequent words to the end. There is an end, because frequency grows at each step."""
    while word in best:
        word = best[word][1]
    return word
