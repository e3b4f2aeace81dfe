"""Breaks a score down by scheme, label, length of mention and of document, and kind of error.

A breakdown has only counts and label names, so it may be recorded whatever the corpus (design D12).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, TypeVar

from experiments.corpora.corpus import flatten
from experiments.scoring.attributes import Rows, attribute_figures, attribute_rows
from experiments.scoring.schemes import SCHEMES, Tally, tallies
from experiments.scoring.significance import interval, pooled
from ner_programs.scoring import Counts
from ner_programs.taxonomy import KINDS, errors
from ner_programs.types import AnnotatedText, Entity, Mention

K = TypeVar("K", bound=Hashable)
Answers = Sequence[Sequence[Entity]]
LONGEST = 4
"""Mentions of at least LONGEST words are counted together."""
RESAMPLES = 2_000
"""Resamples for the interval of a label. The interval of the whole score has more."""
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Counts of one part of a corpus, grouped in several ways. Keys are names for display.

    `labels` has the tallies of each label, annotated or predicted; `label_ci95` has the interval of its strict F1. A word is a
    run of letters and digits. `by_document_length` are quartiles: "12-30" are documents of 12 to 30 words. `beyond_flat` counts
    gold entities that flat NER cannot express, because they are discontinuous or overlap a longer one. `attributes` are counted
    over the entities with the right span and label.
    """

    schemes: Mapping[str, Tally] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, Tally]] = field(default_factory=dict)
    label_ci95: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    by_mention_length: Mapping[str, Counts] = field(default_factory=dict)
    by_document_length: Mapping[str, Counts] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    beyond_flat: int = 0
    attributes: Mapping[str, Rows] = field(default_factory=dict)

    @classmethod
    def read(cls, data: dict[str, Any]) -> Breakdown:
        """Build a breakdown from its `dataclasses.asdict`, also after JSON."""
        return cls(
            schemes=_tallies(data["schemes"]),
            labels={label: _tallies(some) for label, some in data["labels"].items()},
            label_ci95={label: (lo, hi) for label, (lo, hi) in data["label_ci95"].items()},
            by_mention_length={name: Counts(**c) for name, c in data["by_mention_length"].items()},
            by_document_length={name: Counts(**c) for name, c in data["by_document_length"].items()},
            errors=dict(data["errors"]),
            beyond_flat=data["beyond_flat"],
            attributes={k: tuple(Counts(**c) for c in rows) for k, rows in data.get("attributes", {}).items()},
        )

    def macro_f1(self, scheme: str = "strict") -> float | None:
        """The unweighted mean of the labels' F1; None if there is neither gold nor prediction."""
        return fmean(some[scheme].f1 for some in self.labels.values()) if self.labels else None

    def as_dict(self) -> dict[str, Any]:
        """Return every figure, rounded."""
        return {
            "macro_f1": _rounded(self.macro_f1()),
            "schemes": {
                name: _figures(tally) | {"macro_f1": _rounded(self.macro_f1(name)), "counts": _parts(tally)}
                for name, tally in self.schemes.items()
            },
            "labels": {
                label: _figures(some["strict"])
                | {"gold": some["strict"].gold, "predicted": some["strict"].predicted}
                | ({"ci95": [round(x, 4) for x in self.label_ci95[label]]} if label in self.label_ci95 else {})
                for label, some in self.labels.items()
            },
            "by_mention_length": {name: _counted(c) for name, c in self.by_mention_length.items()},
            "by_document_length": {name: _counted(c) for name, c in self.by_document_length.items()},
            "errors": dict(self.errors),
            "beyond_flat": self.beyond_flat,
            **({"attributes": attribute_figures(self.attributes, RESAMPLES)} if self.attributes else {}),
        }


def break_down(
    documents: Sequence[AnnotatedText],
    predicted: Answers,
    lost: Sequence[Sequence[Mention]],
    groups: Sequence[str],
) -> Breakdown:
    """Break down the answers to `documents`. Intervals of labels resample `groups`. All have one item for each document."""
    if not documents:
        return Breakdown()
    schemes = dict.fromkeys(SCHEMES, Tally())
    labels: dict[str, dict[str, Tally]] = {}
    wrong: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
    for document, entities, mentions in zip(documents, predicted, lost, strict=True):
        if not (document.entities or entities or mentions):
            continue
        _add(schemes, tallies(document.entities, entities))
        for label, gold, mine in _grouped(document.entities, entities, lambda e: e.label):
            _add(labels.setdefault(label, dict.fromkeys(SCHEMES, Tally())), tallies(gold, mine))
        wrong.update(e.kind for e in errors(document.text, document.entities, entities, mentions))
    return Breakdown(
        schemes=schemes,
        labels=dict(sorted(labels.items())),
        label_ci95=_label_intervals(documents, predicted, groups, sorted(labels)),
        by_mention_length=dict(sorted(counted_by(documents, predicted, _mention_length).items())),
        by_document_length=_by_document_length(documents, predicted),
        errors=dict(wrong),
        beyond_flat=sum(flatten(d)[1] for d in documents if len(d.entities) > 1 or _broken(d)),
        attributes=attribute_rows(documents, predicted, groups),
    )


def counted_by(documents: Sequence[AnnotatedText], predicted: Answers, key: Callable[[Entity], K]) -> dict[K, Counts]:
    """Return counts for each value of `key`, which applies to gold and predicted entities."""
    counts: dict[K, Counts] = {}
    for document, entities in zip(documents, predicted, strict=True):
        for name, gold, mine in _grouped(document.entities, entities, key):
            counts[name] = counts.get(name, Counts()) + Counts.of(gold, mine)
    return counts


def _grouped(
    gold: Iterable[Entity], predicted: Iterable[Entity], key: Callable[[Entity], K]
) -> list[tuple[K, list[Entity], list[Entity]]]:
    groups: dict[K, tuple[list[Entity], list[Entity]]] = {}
    for side, entities in enumerate((gold, predicted)):
        for entity in entities:
            groups.setdefault(key(entity), ([], []))[side].append(entity)
    return [(name, *sides) for name, sides in groups.items()]


def _mention_length(entity: Entity) -> str:
    words = max(1, len(_WORD.findall(entity.text)))
    return str(words) if words < LONGEST else f"{LONGEST}+"


def _by_document_length(documents: Sequence[AnnotatedText], predicted: Answers) -> dict[str, Counts]:
    words = [len(_WORD.findall(d.text)) for d in documents]
    ordered = sorted(words)
    edges = sorted({ordered[(len(ordered) - 1) * quarter // 4] for quarter in (1, 2, 3, 4)})
    bins: dict[int, list[int]] = {}
    for i, size in enumerate(words):
        bins.setdefault(bisect_left(edges, size), []).append(i)
    return {
        _range([words[i] for i in inside]): sum(
            (Counts.of(documents[i].entities, predicted[i]) for i in inside), Counts()
        )
        for _, inside in sorted(bins.items())
    }


def _range(words: Sequence[int]) -> str:
    return f"{min(words)}-{max(words)}" if min(words) < max(words) else str(min(words))


def _label_intervals(
    documents: Sequence[AnnotatedText], predicted: Answers, groups: Sequence[str], labels: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Return the interval of each label's strict F1, resampling groups; {} for a single label, whose F1 is the total."""
    rows: dict[str, list[Counts]] = {label: [Counts()] * len(documents) for label in labels}
    if len(labels) < 2:
        return {}
    for i, (document, entities) in enumerate(zip(documents, predicted, strict=True)):
        for label, gold, mine in _grouped(document.entities, entities, lambda e: e.label):
            rows[label][i] = Counts.of(gold, mine)
    return {label: interval(pooled(some, groups), RESAMPLES) for label, some in rows.items()}


def _broken(document: AnnotatedText) -> bool:
    return any(len(e.fragments) > 1 for e in document.entities)


def _add(sums: dict[str, Tally], more: Mapping[str, Tally]) -> None:
    for name, tally in more.items():
        sums[name] += tally


def _tallies(data: dict[str, Any]) -> dict[str, Tally]:
    return {name: Tally(**t) for name, t in data.items()}


def _figures(tally: Tally) -> dict[str, float]:
    return {name: round(getattr(tally, name), 4) for name in ("precision", "recall", "f1")}


def _parts(tally: Tally) -> dict[str, int]:
    return {name: getattr(tally, name) for name in ("correct", "incorrect", "partial", "missed", "spurious")}


def _counted(counts: Counts) -> dict[str, float]:
    figures = {name: round(getattr(counts, name), 4) for name in ("precision", "recall", "f1")}
    return {**figures, "gold": counts.gold, "predicted": counts.predicted}


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 4)
