"""From a mention to the concepts it may mean, best first.

Ways, from the surest to the widest: a name as it stands (once abbreviations are written out); a name with other words for
the same (`kb/names/mentions.py`), in any order; initials; the parts of an enumeration or a part of the mention that is a name;
names with similar spelling (TF-IDF of character 3-grams, exact). What the surest way finds comes first. Ranking the similar
names anew by rapidfuzz's ratios was measured on dev and left out: no ratio of four was better in both knowledge bases.
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

NEAREST = 30  # names looked at for similar spelling; several may be of one concept
_KEPT = 4096  # answers and contexts kept: mentions repeat within a document
# Logistic maps (offset, slope) from the evidence of a way to the probability that the first concept is right, fitted on
# dev by `python benchmarks/kb_linking.py --calibrate`.
CALIBRATION: Mapping[str, tuple[float, float]] = {
    "name": (1.18, 1.18),
    "variant": (-2.20, 2.84),
    "initials": (0.05, 0.66),
    "part": (0.25, 0.28),
    "spelling": (-3.53, 4.80),
}
_TIER = {"name": 4.0, "variant": 3.0, "initials": 2.0, "part": 0.0, "spelling": 0.0}
_PART = 1.2  # a part that is a name counts more than spelling that is as similar as the part is long


@dataclass(frozen=True, slots=True)
class Link:
    """A concept id, how likely it is to be meant (0..1), and how it was found: "name", "variant", "initials" ...

    The score of the first link is calibrated (`CALIBRATION`); those after it never have a higher one.
    """

    concept: str
    score: float
    how: str


@dataclass(frozen=True, slots=True)
class _Found:
    rank: float  # orders what was found
    evidence: float  # 0..1, what the calibration maps
    how: str


class Linker(Frozen):
    """Links mentions to the concepts of a knowledge base; made once (about 20 µs a name), then only read."""

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
        """At most `k` concepts that `mention` may mean, best first; none if nothing is even similar.

        `document_abbreviations` (of `kb.names.abbreviations`) are written out first. `types` keeps the concepts of these
        semantic types. `context` is the text around: of what a short form may stand for, the concepts that the text names
        elsewhere go first (for whole names this was measured to be right no more often than the order they have anyway).
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
        """The links of every mention of one document, whose text `context` is: it also defines the abbreviations."""
        from kb.names.abbreviations import abbreviations

        known = abbreviations(context) if context else {}
        return [
            self.link(mention, document_abbreviations=known, types=types, context=context, k=k) for mention in mentions
        ]

    def forget(self) -> None:
        """Drop the answers kept for mentions that come again; for measuring."""
        self._answers.clear()
        self._contexts.clear()

    def _near(self, context: str, mention: str) -> frozenset[int]:
        """Numbers of the concepts that the context names by other names than the mention."""
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
        """Only where no name is so short (otherwise it was right in fewer cases); what the context names goes first."""
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
        """The concepts of a form; those that the context names go first."""
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
