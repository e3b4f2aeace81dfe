"""The names of a knowledge base as the linker asks for them, and the pieces of a mention that may be names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kb.concept import Concept
from kb.names.grams import GramIndex
from kb.names.tokens import normalise

Form = tuple[int, ...]  # numbers of the concepts that one name in normal form may mean, the likeliest first
Places = Sequence[int]

# Words that names have or lack without meaning another thing.
_LINKING_WORDS = frozenset("a an and by due from in of the to type with".split())  # noqa: SIM905
_BETWEEN = re.compile(r"\s*(?:,|/|&|\band/or\b|\band\b|\bor\b)\s*")
_MOST_ALIKE = 50
_LONGEST_INITIALS = 6
LEAST = 3  # concepts
SHARE = 0.05
_MOST = 5  # words that fill one slot of one concept; more are a list of different things


@dataclass(frozen=True, slots=True, eq=False)
class Forms:
    """Names in normal form (`names`, with their `place`) and whose they are (`concepts`), and ways to look them up.

    The first `preferred` of a form's concepts are those whose preferred name it is.
    `ids` and `types` are those of the concepts, by number; `number` is the number of an id.
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
        """All names of all concepts. Of concepts with one name, those whose preferred name it is come first, then those
        with more cross references: what many vocabularies have is what texts mean."""
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
        """Place -> cosine of the names spelled most alike, best first."""
        places, cosines = self._grams.nearest(normal, count)
        return dict(zip(places.tolist(), cosines.tolist(), strict=True))

    def alike(self, normal: str) -> Places:
        """Places of the names of the same words: in any order, by any variant, with or without linking words."""
        return self._alike.get(_key(normal, self._variant), ())[:_MOST_ALIKE]

    def initials(self, letters: str) -> Places:
        """Places of the names that begin their words so."""
        return self._initials.get(letters, ())[:_MOST_ALIKE]

    def named(self, normal: str) -> Places:
        """Places of the name itself, else of its like."""
        place = self.place.get(normal)
        return self.alike(normal) if place is None else (place,)


def enumerated(mention: str) -> list[str]:
    """What "blue and great tits" enumerates, in normal form: the parts with the end that they share.

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
    """The longest runs of words that are names, the last ones first, each with its share (0..1) of the letters.

    A run that the mention goes on after counts a tenth less: the head of a name is its end.
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
    """The letters of a mention that may be initials ("A-TS" gives "ats"), "" for any other."""
    letters = mention.replace("-", "").replace(".", "")
    capitals = sum(map(str.isupper, letters))
    return letters.lower() if letters.isalnum() and capitals > 1 and len(letters) <= _LONGEST_INITIALS else ""


def _initials_of(name: str) -> set[str]:
    """All words; all but the last, which goes unsaid if it only says what kind of thing it is; no linking words."""
    words = name.split(" ")
    telling = [word for word in words if word not in _LINKING_WORDS]
    found = {"".join(word[0] for word in words), "".join(word[0] for word in words[:-1])}
    found.add("".join(word if word.isdecimal() else word[0] for word in telling))
    return {letters for letters in found if 1 < len(letters) <= _LONGEST_INITIALS}


def _key(name: str, variant: Mapping[str, str]) -> str:
    return " ".join(sorted({variant.get(word, word) for word in name.split(" ") if word not in _LINKING_WORDS}))


def variants(concepts: Iterable[Sequence[str]]) -> Mapping[str, str]:
    """Word -> the commoner word that stands for it ("colour" and "color"), of names in normal form grouped by concept.

    Nobody lists them: two names of a concept that differ in one word say that the two words may be exchanged. Pairs that do
    so in several concepts, and in a fair share of all names with the rarer word, are believed. Words alone are left out.
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
    """Follows the commoner words to the end; each is commoner than the one before, so there is one."""
    while word in best:
        word = best[word][1]
    return word
