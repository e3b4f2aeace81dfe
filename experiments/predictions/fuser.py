"""Trains a fusion on texts with both predictions and gold and applies it to others, cross-validated or from other parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.corpora.corpus import flatten
from ner_programs.demos import Demonstration, Pool, plain
from ner_programs.fusion.model import BLOCKS, Answer, Fused, Fusion, block, fit
from ner_programs.fusion.reader import Hints, Reader
from ner_programs.program import NERProgram
from ner_programs.types import AnnotatedText, Document, Entity, Mention
from ner_programs.units import split
from ner_programs.verifiers.fuse import fuse_of


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of a document from the character offset `start`, with its gold and the experts' predictions.

    `predicted` are the predictions of each expert in the unit, `moved` the same with corrected boundaries.
    """

    at: Demonstration
    start: int
    predicted: Answer
    moved: Answer


class Fuser:
    """The evidence of the labelled pool, and the units of documents to learn from or to answer."""

    def __init__(self, program: NERProgram, pool: Pool) -> None:
        made = program.with_pool(pool).with_settings(verify={"name": "fuse"})
        fuse = fuse_of(made.verify and made.verify.verifier)
        assert fuse is not None
        self.spec, self.pool, self.evidence = program.spec, pool, fuse.evidence
        self.labels = list(program.spec.labels)
        self._readers: dict[tuple[str, ...], Reader | None] = {}  # by the ids of their texts

    def units(self, document: AnnotatedText, predicted: Answer) -> list[Unit]:
        """Split a document as a program does, but never inside a prediction."""
        out, text = self.evidence.conventions.among(document.kin), document.text
        known = (
            flatten(document)[0].entities if isinstance(document, Document) else ()
        )  # nothing is learned from held-out documents
        made = []
        keep = [(e.start, e.end) for one in predicted for e in one]
        for n, u in enumerate(split(text, self.spec.unit, size=self.spec.window, keep=keep)):
            piece = text[u.start : u.end]
            inside = [(e.label, max(e.start, u.start), min(e.end, u.end)) for e in known]
            gold = tuple(Mention(text[a:b], label, a - u.start) for label, a, b in inside if a < b)
            own = tuple(
                tuple(_clipped(e, u.start, piece) for e in one if e.start < u.end and u.start < e.end)
                for one in predicted
            )
            at = Demonstration(f"{document.id}#{n}", document.id, document.group, piece, gold)
            made.append(Unit(at, u.start, own, tuple(tuple(self.evidence.moved(piece, one, out)) for one in own)))
        return made

    def read_by(self, texts: Sequence[Demonstration], hints: Hints) -> Reader | None:
        """Return the reader (a CRF) of these texts. It is fitted once, because pairs of folds need the same one."""
        key = tuple(sorted(d.id for d in texts))
        if key not in self._readers:
            self._readers[key] = Reader.fit(texts, hints)
        return self._readers[key]

    def answer(self, fusion: Fusion, units: Sequence[Unit]) -> list[tuple[int, Fused]]:
        """Return the fused entities in the units of a document, each with the offset of its unit."""
        return [
            (u.start, f)
            for u in units
            for f in fusion(
                u.at.text, u.predicted, u.moved, self.evidence.hints(u.at.text, (u.at.document, u.at.group))
            )
        ]

    def read(self, reader: Reader, units: Sequence[Unit]) -> tuple[Entity, ...]:
        """Return the entities that the reader finds alone."""
        return tuple(
            e.shifted(u.start)
            for u in units
            for e in reader.spans(u.at.text, self.evidence.hints(u.at.text, (u.at.document, u.at.group)))
        )


Found = dict[str, tuple[tuple[Entity, ...], list[tuple[int, Fused]]]]
"""For each document id, the entities of the reader alone, and the fused ones."""


def from_others(fuser: Fuser, lessons: Sequence[Unit], units: Mapping[str, list[Unit]]) -> Found | None:
    """Answer documents with a fusion trained on others (`lessons`). Its reader is trained on their gold, too."""
    own = {u.at.document for u in lessons}
    texts = [*(d for d in fuser.pool if d.document not in own), *(u.at for u in lessons)]
    moved = {u.at.id: u.moved for u in lessons}
    predicted = {u.at.id: u.predicted for u in lessons}
    fusion = fit(texts, predicted, fuser.evidence.hints, lambda d: moved[d.id], fuser.labels, read=fuser.read_by)
    if fusion is None:
        return None
    return {id: (fuser.read(fusion.reader, some), fuser.answer(fusion, some)) for id, some in units.items()}


def in_folds(fuser: Fuser, documents: Sequence[Document], units: Mapping[str, list[Unit]]) -> tuple[Found | None, int]:
    """Answer documents cross-fitted, each by a fusion trained on the pool and the other folds. Also return their units' number.

    The answers are None if some fold leaves too little to learn from.
    """
    size = sum(map(len, units.values()))
    found: Found = {}
    for n in range(BLOCKS):
        fold = [d for d in documents if block(d.group) == n]
        some = from_others(fuser, _others(fold, documents, units), {d.id: units[d.id] for d in fold}) if fold else {}
        if some is None:
            return None, size
        found |= some
    return found, size


def _others(fold: Sequence[Document], documents: Sequence[Document], units: Mapping[str, list[Unit]]) -> list[Unit]:
    """Return the units that are independent of the fold: of other groups and kin, and with other text."""
    own, kin = {x for d in fold for x in (d.id, d.group)}, {x for d in fold for x in d.kin}
    texts = {plain(u.at.text) for d in fold for u in units[d.id]}
    rest = [d for d in documents if own.isdisjoint(d.kin) and kin.isdisjoint((d.id, d.group))]
    return [u for d in rest for u in units[d.id] if plain(u.at.text) not in texts]


def _clipped(entity: Entity, start: int, piece: str) -> Entity:
    """Return an entity relative to the piece of its document that begins at `start`, clipped to the piece."""
    a, b = max(entity.start - start, 0), min(entity.end - start, len(piece))
    return Entity.of(piece, a, b, entity.label, score=entity.score)
