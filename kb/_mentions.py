"""The names of a knowledge base as the linker asks for them, and the pieces of a mention that may be names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kb._grams import GramIndex
from kb._variants import variants
from kb.concept import Concept
from kb.names import normalise

Form = tuple[int, ...]  # numbers of the concepts that one name in normal form may mean, the likeliest first
Places = Sequence[int]

# Words that names have or lack without meaning another thing.
_LINKING_WORDS = frozenset("a an and by due from in of the to type with".split())  # noqa: SIM905
_BETWEEN = re.compile(r"\s*(?:,|/|&|\band/or\b|\band\b|\bor\b)\s*")
_MOST_ALIKE = 50
_LONGEST_INITIALS = 6


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
