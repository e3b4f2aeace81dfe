"""Verification with evidence: what labelled texts say is put together with what the LM said, without any LM call.

See `ner_programs.fusion` for the method. The verifier keeps, rejects, moves, relabels and adds; every entity that stands has
the fused score, and says by whom it was found. It learns from the LM's answers about some units of the pool, each given without
demonstrations of its own group (`optimizers` asks for them first). Without enough of these all candidates stand as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from kb import KnowledgeBase
from ner_programs.alignment.align import align
from ner_programs.components import resolve
from ner_programs.demos import Demonstration, Pool
from ner_programs.fusion.model import Answer, Fused, Fusion, Way, fit
from ner_programs.stages.extract import ExtractEntities
from ner_programs.stages.retrieve import KnowledgeLines
from ner_programs.stages.verify import Placed, Verification, apply
from ner_programs.tagger.crf import Hint
from ner_programs.tagger.features import hints
from ner_programs.types import Entity, Label, Verdict
from ner_programs.verifiers.boundary import conventions_of, moves

SIZE = 100_000
"""Characters of knowledge lines: what is named is not cut to the room that a prompt has."""
UNITS = 150


class Evidence:
    """What labelled texts and the knowledge base say, for any answers; shared by all programs over one pool."""

    def __init__(self, pool: Pool, lines: KnowledgeLines | None, labels: Sequence[Label]) -> None:
        self.pool, self.lines, self.labels = pool, lines, list(labels)
        self.conventions = conventions_of(pool)
        self._fitted: dict[Any, Fusion | None] = {}
        self._lock, self._locks = Lock(), dict[Any, Lock]()

    def hints(self, text: str, exclude: Collection[str] = ()) -> tuple[Hint, ...]:
        """Return what the knowledge base names in a text, without what only the documents in `exclude` say."""
        return () if self.lines is None else hints(text, self.lines(text, exclude=exclude), self.labels)

    def moved(self, text: str, entities: Sequence[Entity], out: frozenset[int]) -> Sequence[Entity]:
        """Return entities with edges as the labelled texts have them that are not in the blocks in `out`."""
        model = self.conventions.of_others(out) if entities else None
        if model is None:
            return entities
        return align(text, apply(entities, moves(model, text, entities)))

    def fusion(
        self, answers: Mapping[str, Sequence[Entity]], key: str, way: Way, out: frozenset[int]
    ) -> Fusion | None:  # fmt: skip
        """Return the fusion that is fitted to these answers (`key` is their digest), without the blocks in `out`; once."""
        with self._lock:
            lock = self._locks.setdefault((key, way, out), Lock())
        with lock:
            if (key, way, out) not in self._fitted:
                self._fitted[key, way, out] = self._fit(answers, way, out)
            return self._fitted[key, way, out]

    def _fit(self, answers: Mapping[str, Sequence[Entity]], way: Way, out: frozenset[int]) -> Fusion | None:
        block = {d.id: n for d, n in zip(self.pool, self.conventions.blocks, strict=True)}
        texts = [d for d in self.pool if block[d.id] not in out]

        def moved(d: Demonstration) -> Answer:
            return (self.moved(d.text, answers[d.id], out | {block[d.id]}),)

        alone = {id: (said,) for id, said in answers.items()}
        return fit(texts, alone, self.hints, moved, [label.name for label in self.labels], way)


class FuseVerifier:
    """Decides by both readers; `answers` are the LM's, by the id of a unit of the pool, from which it learns.

    `fusion` is what a bundle brings fitted.
    """

    def __init__(self, pool: Pool, evidence: Evidence, way: Way, units: int) -> None:
        self.pool, self.evidence, self.way, self.units = pool, evidence, way, units
        self.answers = {}
        self.fusion: Fusion | None = None

    @property
    def answers(self) -> Mapping[str, tuple[Entity, ...]]:
        """The LM's answers, by the id of a unit of the pool; set as a whole."""
        return self._answers

    @answers.setter
    def answers(self, said: Mapping[str, tuple[Entity, ...]]) -> None:
        self._answers = MappingProxyType(dict(said))
        rows = sorted((id, [(e.start, e.end, e.label, e.score) for e in found]) for id, found in said.items())
        self.key = hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def take(self, other: FuseVerifier) -> None:
        """Learn from another's answers, those about this pool; where all is the same, take what it has learned, too."""
        known = {d.id for d in self.pool}
        self.answers = {id: found for id, found in other.answers.items() if id in known}
        same = self.evidence is other.evidence and (self.way, self.key) == (other.way, other.key)
        self.fusion = other.fusion if same else None

    def fitted(self, exclude: Collection[str] = ()) -> Fusion | None:
        """Return what decides about a text, fitted without the blocks of the documents in `exclude`; None without answers."""
        out = self.evidence.conventions.among(exclude)
        if self.fusion is not None and not out:
            return self.fusion
        return self.evidence.fusion(self.answers, self.key, self.way, out) if self.answers else None

    def __call__(
        self, text: str, knowledge: str, candidates: Sequence[Entity], exclude: Sequence[str] = ()
    ) -> Verification:
        """Decide about the candidates of `text`, and what is to be added."""
        fusion = self.fitted(exclude)
        if fusion is None:
            return Verification()
        evidence = self.evidence
        moved = evidence.moved(text, candidates, evidence.conventions.among(exclude))
        stands = fusion(text, (candidates,), (moved,), evidence.hints(text, exclude))
        return Verification(verdicts(text, candidates, stands))

    def __deepcopy__(self, memo: dict[int, Any]) -> FuseVerifier:
        made = FuseVerifier(self.pool, self.evidence, self.way, self.units)
        made.answers, made.fusion = self.answers, self.fusion
        return made


def fuse_of(verifier: Any) -> FuseVerifier | None:
    """Return a verifier that fuses: this one, or one that it asks (`first`, `of`)."""
    if verifier is None or isinstance(verifier, FuseVerifier):
        return verifier
    return fuse_of(getattr(verifier, "first", None)) or fuse_of(getattr(verifier, "of", None))


def verdicts(text: str, candidates: Sequence[Entity], stands: Sequence[Fused]) -> tuple[Verdict, ...]:
    """Return the verdicts that turn candidates into what stands."""
    left, made = list(stands), list[Verdict]()
    found = [next((f for f in stands if (f.start, f.end) == (c.start, c.end)), None) for c in candidates]
    taken = {id(f) for f in found if f is not None}
    for n, (c, same) in enumerate(zip(candidates, found, strict=True), 1):
        near = same or next(
            (f for f in left if id(f) not in taken and f.label == c.label and f.start < c.end and c.start < f.end), None
        )
        if near is None or near not in left:
            made.append(Verdict("reject", n))
            continue
        left.remove(near)
        kind = "span" if same is None else "keep" if near.label == c.label else "label"
        made.append(_placed(kind, n, text, near))
    return (*made, *(_placed("add", 0, text, f) for f in left))


def _placed(kind: Any, number: int, text: str, f: Fused) -> Placed:
    return Placed(
        kind, number, f.label if kind in ("label", "add") else "", text[f.start : f.end], f.score, f.start, f.by
    )


def build(
    *, pool: Pool, labels: Sequence[Label], kb: KnowledgeBase | None, extract: ExtractEntities,
    way: Way = "stack", units: Annotated[int, Field(ge=1, le=100_000)] = UNITS, knowledge: bool = True,
) -> FuseVerifier:  # fmt: skip
    """Build the verifier over `pool`: it learns from the LM's answers about so many `units` of it.

    With `knowledge` it knows what the knowledge base names, whatever the program retrieves.
    """
    lines = None
    if kb is not None and knowledge:
        own = extract.lines
        lines = KnowledgeLines(resolve("kb.retrievers", {"name": "flat"}, kb=kb), labels, own.types, SIZE, own.only)
    named = "" if lines is None or kb is None else f" {kb.fingerprint} {sorted(extract.lines.types.items())}"
    evidence = pool.once(f"evidence {[label.name for label in labels]}{named}", lambda: Evidence(pool, lines, labels))
    return FuseVerifier(pool, evidence, way, units)
