"""Counts clinical attributes, gold and predicted, over the entities with the right span and label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.scoring.significance import interval, pooled
from ner_programs.attributes import ATTRIBUTES, clinical
from ner_programs.scoring import Counts
from ner_programs.types import AnnotatedText, Entity

Rows = tuple[Counts, ...]
"""The counts of one attribute, one row for each group that a bootstrap resamples."""


def attribute_rows(
    documents: Sequence[AnnotatedText], predicted: Sequence[Sequence[Entity]], groups: Sequence[str]
) -> dict[str, Rows]:
    """Return the rows of each attribute that gold or a right entity has; {} unless both sides have some attribute."""
    if not (_any(d.entities for d in documents) and _any(predicted)):
        return {}
    counts: dict[str, list[Counts]] = {name: [Counts()] * len(documents) for name in ATTRIBUTES}
    for i, (document, entities) in enumerate(zip(documents, predicted, strict=True)):
        gold = {e: clinical(e.attributes) for e in document.entities}
        right = {e: clinical(e.attributes) for e in entities if e in gold}
        for name, rows in counts.items():
            wanted, found = {e for e in right if name in gold[e]}, {e for e in right if name in right[e]}
            both = len(wanted & found)
            rows[i] = Counts(both, len(found), len(wanted), relaxed=both)
    return {
        name: tuple(pooled(rows, groups)) for name, rows in counts.items() if any(c.gold + c.predicted for c in rows)
    }


def attribute_figures(rows: Mapping[str, Rows], n: int) -> dict[str, dict[str, Any]]:
    """Return precision, recall and F1 of each attribute, the interval of F1 over `n` resamples, and the counts."""
    totals = {name: sum(some, Counts()) for name, some in rows.items()}
    return {
        name: {figure: round(getattr(c, figure), 4) for figure in ("precision", "recall", "f1")}
        | {"gold": c.gold, "predicted": c.predicted, "ci95": [round(x, 4) for x in interval(rows[name], n)]}
        for name, c in totals.items()
    }


def _any(answers: Any) -> bool:
    return any(clinical(e.attributes) for entities in answers for e in entities)
