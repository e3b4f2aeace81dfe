"""Re-bounding by the corpus's own conventions: a small model of the pool's spans moves edges, without any LM call.

Whether a mention takes in its article, its "severe" or its "disease" is a convention of the corpus, and the labelled texts
show it. The model (`_boundaries`) moves an edge by a few words where they speak clearly for it; labels stay, and
nothing is rejected or added.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from ner_programs.demos import Pool
from ner_programs.demos.cross_fit import CrossFitted
from ner_programs.errors import ComponentError
from ner_programs.stages.verify import Placed, Verification
from ner_programs.types import Entity, Verdict
from ner_programs.verifiers._boundaries import Model, fit
from ner_programs.verifiers._span_evidence import Words, places

WRONG = 0.1
"""The share of mentions whose boundaries are taken to be wrong, if nothing is known of the answers."""
SEEN = 10
"""The number of mentions that `WRONG` counts for, beside those of known answers."""


Conventions = CrossFitted[Model | None]
"""The models of one pool; None where its texts teach nothing."""


def conventions_of(pool: Pool, wrong: float = WRONG) -> Conventions:
    """Return the models of a pool, the same for all who ask."""
    made: Conventions = pool.once(f"boundary {wrong}", lambda: CrossFitted(pool, partial(fit, wrong=wrong)))
    return made


class BoundaryVerifier:
    """Keeps or re-bounds every candidate; a span that it moves runs into no other candidate, and keeps its score."""

    def __init__(self, pool: Pool, wrong: float) -> None:
        self.pool = pool
        self.conventions = conventions_of(pool, wrong)

    def __call__(
        self, text: str, knowledge: str, candidates: Sequence[Entity], exclude: Sequence[str] = ()
    ) -> Verification:
        """Decide about the candidates of `text` by what the documents that are not in `exclude` show."""
        if not candidates or (model := self.conventions.without(exclude)) is None:
            return Verification()
        return Verification(moves(model, text, candidates))

    def __deepcopy__(self, memo: dict[int, Any]) -> BoundaryVerifier:
        return self


def share_of_wrong(answers: Iterable[tuple[Collection[Entity], Collection[Entity]]]) -> float:
    """Estimate the option `wrong` from pairs of gold and predicted entities of the same texts.

    Of the predicted entities that share a character and the label with a gold one, it is the share with other boundaries.
    `WRONG` counts like `SEEN` entities, so the result lies between 0 and 1, and few answers change little.
    """
    right, off = 0, 0
    for gold, predicted in answers:
        known = set(gold)
        for e in predicted:
            if e in known:
                right += 1
            elif any(g.label == e.label and g.start < e.end and e.start < g.end for g in gold):
                off += 1
    return (off + WRONG * SEEN) / (right + off + SEEN)


def moves(model: Model, text: str, candidates: Sequence[Entity]) -> tuple[Verdict, ...]:
    """Return the verdicts that move the edges of candidates by a model."""
    words, verdicts, taken, before = Words(text), [], 0, 0
    found = places(words, [(c.start, c.end, c.label) for c in candidates])
    after = [*(c.start for c in candidates[1:]), len(text)]
    for n, (c, place) in enumerate(zip(candidates, found, strict=True), 1):
        start, end = c.start, c.end
        if place.start < place.end:
            first = min(max(place.first, taken), place.start)
            i, j = model.better(words, place._replace(first=first))
            taken = j
            if model.whole or (i, j) != place[:2]:
                start, end = words.starts[i], words.ends[j - 1]
            if start < before or end > after[n - 1]:  # two candidates in one word
                start, end, taken = c.start, c.end, place.end
        before, same = end, (start, end) == (c.start, c.end)
        verdicts.append(Verdict("keep", n) if same else Placed("span", n, "", text[start:end], c.score, start))
    return tuple(verdicts)


def build(*, pool: Pool, wrong: Annotated[float, Field(gt=0, lt=1)] = WRONG) -> BoundaryVerifier:
    """Build the verifier over `pool`; it moves the more, the greater the share of mentions with `wrong` boundaries.

    `race` fits the share on dev (`share_of_wrong`).

    Raises ComponentError for an empty pool.
    """
    if not pool:
        raise ComponentError("boundary learns from labelled texts, and the pool has none")
    return BoundaryVerifier(pool, wrong)
