"""Entity linking: ranks the concepts that a mention may mean.

The matches, from the most to the least reliable, in the order of their concepts:

- name: the mention is a name (after abbreviations are expanded);
- variant: it is a name with other word variants (`kb/names/mentions.py`), in any order;
- initials: its letters are the initials of a name;
- part: a part of an enumeration, or a part of the mention, is a name;
- spelling: a name is spelled similarly (TF-IDF of character 3-grams, exact search).

Reranking similar names by rapidfuzz's ratios was measured on dev and left out: none of four ratios was better in both knowledge
bases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import exp

from kb._frozen import Frozen
from kb.graph import KnowledgeBase
from kb.names.abbreviations import expand
from kb.names.mentions import Form, Forms, enumerated, initialism, parts
from kb.names.tokens import normalise

NEAREST = 30  # names with the most similar spelling; several may belong to one concept
_KEPT = 4096  # cached answers and contexts: mentions repeat within a document
# Logistic maps (offset, slope) from the evidence of a match to the probability that the first concept is right, fitted on dev
# by `python benchmarks/kb_linking.py --calibrate`.
CALIBRATION: Mapping[str, tuple[float, float]] = {
    "name": (1.18, 1.18),
    "variant": (-2.20, 2.84),
    "initials": (0.05, 0.66),
    "part": (0.25, 0.28),
    "spelling": (-3.53, 4.80),
}
_TIER = {"name": 4.0, "variant": 3.0, "initials": 2.0, "part": 0.0, "spelling": 0.0}
_PART = 1.2  # a part that is a name counts more than a spelling with the same evidence


@dataclass(frozen=True, slots=True)
class Link:
    """A concept id, the probability (0..1) that it is meant, and the kind of match: "name", "variant", "initials" ...

    The score of the first link is calibrated (`CALIBRATION`). Scores never increase along the ranking.
    """

    concept: str
    score: float
    how: str


@dataclass(frozen=True, slots=True)
class _Found:
    rank: float  # orders the matches
    evidence: float  # 0..1, the input of the calibration
    how: str


class Linker(Frozen):
    """Links mentions to the concepts of a knowledge base. Building it takes about 20 µs for each name."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self._forms = Forms.of(kb.concepts)
        self._find = kb.names.find
        self._answers: dict[tuple[str, frozenset[int], frozenset[str] | None], list[tuple[int, _Found]]] = {}
        self._contexts: dict[str, list[tuple[str, tuple[int, ...]]]] = {}

    def link(
        self,
        mention: str,
        *,
        document_abbreviations: Mapping[str, str] | None = None,
        types: Collection[str] | None = None,
        context: str | None = None,
        k: int = 10,
    ) -> list[Link]:
        """Return at most `k` concepts that `mention` may mean, best first; none if no name is similar.

        `document_abbreviations` (of `kb.names.abbreviations`) are expanded first. `types` keeps only concepts of these semantic
        types. `context` is the surrounding text: among the candidates of a short form, concepts that the context names
        elsewhere rank first. (For whole names this was measured and does not help.)
        """
        full = expand(mention, document_abbreviations or {})
        near = self._near(context, normalise(mention)) if context and initialism(full) else frozenset[int]()
        kept = None if types is None else frozenset(types)
        key = (full, near, kept)
        if key not in self._answers:
            if len(self._answers) >= _KEPT:
                self._answers.clear()
            self._answers[key] = self._ranked(full, near, kept)
        links: list[Link] = []
        for number, found in self._answers[key][:k]:
            score = min(_probability(found), links[-1].score if links else 1.0)
            links.append(Link(self._forms.ids[number], score, found.how))
        return links

    def link_all(
        self, mentions: Iterable[str], *, context: str | None = None, types: Collection[str] | None = None, k: int = 10
    ) -> list[list[Link]]:
        """Return the links of all mentions of one document. `context` is its text, which also defines abbreviations."""
        from kb.names.abbreviations import abbreviations

        known = abbreviations(context) if context else {}
        return [
            self.link(mention, document_abbreviations=known, types=types, context=context, k=k) for mention in mentions
        ]

    def forget(self) -> None:
        """Clear the caches; for benchmarks."""
        self._answers.clear()
        self._contexts.clear()

    def _near(self, context: str, mention: str) -> frozenset[int]:
        """Return the numbers of the concepts that the context names by other names than the mention."""
        if context not in self._contexts:
            if len(self._contexts) >= _KEPT // 64:
                self._contexts.clear()
            named = {normalise(match.text): match.concepts for match in self._find(context)}
            number = self._forms.number
            self._contexts[context] = [(name, tuple(number[id] for id in ids)) for name, ids in named.items()]
        return frozenset(number for name, ids in self._contexts[context] if name != mention for number in ids)

    def _ranked(self, mention: str, near: frozenset[int], types: frozenset[str] | None) -> list[tuple[int, _Found]]:
        best: dict[int, _Found] = {}
        for number, found in self._candidates(mention, near):
            if types is not None and self._forms.types[number] not in types:
                continue
            if number not in best or found.rank > best[number].rank:
                best[number] = found
        return sorted(best.items(), key=lambda item: (-item[1].rank, item[0]))[:100]

    def _candidates(self, mention: str, near: frozenset[int]) -> Iterator[tuple[int, _Found]]:
        forms, normal = self._forms, normalise(mention)
        exact = forms.place.get(normal)
        cosines = forms.nearest(normal, NEAREST)
        if exact is not None:
            yield from self._of(exact, "name", 1.0, near)
        loose = [place for place in forms.alike(normal) if place != exact]
        for place in loose:
            yield from self._of(place, "variant", cosines.get(place, 0.0), near)
        if exact is None and (letters := initialism(mention)):
            yield from self._initials(letters, near)
        if exact is None and not loose:
            yield from self._parts(mention, normal, near)
        for place, cosine in cosines.items():
            yield from self._of(place, "spelling", cosine, near)

    def _initials(self, letters: str, near: frozenset[int]) -> Iterator[tuple[int, _Found]]:
        """Yield the concepts of names with these initials; concepts in the context rank first.

        Initials are used only if no name is equal to the mention: otherwise they were right less often.
        """
        for place in self._forms.initials(letters):
            yield from self._of(place, "initials", float(not near.isdisjoint(self._forms.concepts[place])), near)

    def _parts(self, mention: str, normal: str, near: frozenset[int]) -> Iterator[tuple[int, _Found]]:
        whole = [piece for piece in enumerated(mention) if self._forms.named(piece)]
        for piece in whole:
            for place in self._forms.named(piece):
                yield from self._of(place, "part", 1.0, near)
        for piece, share in () if whole else parts(normal, self._forms):
            for place in self._forms.named(piece):
                yield from self._of(place, "part", share, near)

    def _of(self, place: int, how: str, evidence: float, near: frozenset[int]) -> Iterator[tuple[int, _Found]]:
        """Yield the concepts of a form; concepts in the context rank first."""
        numbers: Form = self._forms.concepts[place]
        if near and len(numbers) > 1:
            preferred = numbers[: self._forms.preferred[place]]
            numbers = tuple(sorted(numbers, key=lambda number: (number not in preferred, number not in near)))
        worth = _TIER[how] + evidence * (_PART if how == "part" else 1.0)
        for order, number in enumerate(numbers):
            yield number, _Found(worth - 0.01 * order, evidence, how)


def _probability(found: _Found) -> float:
    offset, slope = CALIBRATION[found.how]
    return 1 / (1 + exp(-(offset + slope * found.evidence)))
