"""What a corpus holds and what could make a score on it too good: sizes, mentions, overlap of its parts, leakage.

Only counts and names of labels, never a text, so that it may be said of a private corpus too. A row is what the reader
yields: a sentence where the corpus is cut into sentences (`unit` is "document": it is not cut again), else a document.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from experiments.corpora.corpus import PARTS, Corpus, flatten
from experiments.corpora.leaks import without_shared
from ner_programs.types import AnnotatedText, Entity
from ner_programs.units import split

Rows = Sequence[AnnotatedText]
LONG = 8  # tokens from which on an identical sentence is no heading or phrase
_LENGTHS = 5  # words from which on mentions are counted together


def statistics(corpus: Corpus) -> dict[str, Any]:
    """Return the statistics as `nerc corpora show --json` prints them.

    Tokens and words are what blanks separate. `documents` counts abstracts or notes; where a corpus cut into sentences
    does not say them, each sentence counts as one, and a remark says so. Everything is counted as the files have it; a
    remark says how many train rows a run leaves out because dev or test has them too.
    """
    sentences = corpus.unit == "document"
    known = not sentences or corpus.resampling == "document"
    left_out = len(corpus.train) - len(without_shared(corpus).train)
    remarks = [
        *corpus.remarks,
        *([] if known else ["documents are not known: each sentence counts as one"]),
        *([f"train rows that a run leaves out, for they stand in dev or test too: {left_out}"] if left_out else []),
    ]
    parts = {part: corpus.part(part) for part in PARTS if corpus.part(part)}
    pairs = {f"{one}/{other}": (parts[one], parts[other]) for one, other in combinations(parts, 2)}
    return {
        "name": corpus.name,
        "licence": corpus.licence,
        "citation": corpus.citation,
        "private": corpus.private,
        "rows": "sentences" if sentences else "documents",
        "splits": {
            part: {"documents": _documents(rows, sentences), "sentences": _sentences(rows, sentences), **_counts(rows)}
            for part, rows in parts.items()
        },
        "overlap": {pair: overlap(*rows) for pair, rows in pairs.items() if pair.startswith("train/")},
        "leakage": {pair: leakage(*rows) for pair, rows in pairs.items()},
        "remarks": remarks,
    }


def overlap(train: Rows, rows: Rows) -> dict[str, Any]:
    """Count the mentions of `rows` whose surface, in lower case, is a mention of `train` too; of whatever label."""
    surfaces = {entity.text.lower() for row in train for entity in row.entities}
    mentions = [entity.text.lower() for row in rows for entity in row.entities]
    seen = sum(surface in surfaces for surface in mentions)
    unseen = len(mentions) - seen
    return {"mentions": len(mentions), "seen": seen, "unseen": unseen, "unseen_share": _share(unseen, len(mentions))}


def leakage(rows: Rows, others: Rows) -> dict[str, int]:
    """Count the `others` whose text stands in `rows` too: all, those of LONG tokens or more, those annotated otherwise."""
    known: dict[str, set[frozenset[Entity]]] = {}
    for row in rows:
        known.setdefault(row.text, set()).add(frozenset(row.entities))
    same = [row for row in others if row.text in known]
    return {
        "rows": len(others),
        "identical": len(same),
        "identical_long": sum(_tokens(row) >= LONG for row in same),
        "other_labels": sum(frozenset(row.entities) not in known[row.text] for row in same),
    }


def _documents(rows: Rows, sentences: bool) -> int:
    return len({row.group for row in rows}) if sentences else len(rows)


def _sentences(rows: Rows, sentences: bool) -> int:
    return len(rows) if sentences else sum(len(split(row.text, "sentence")) for row in rows)


def _counts(rows: Rows) -> dict[str, Any]:
    mentions = [entity for row in rows for entity in row.entities]
    words = [len(entity.text.split()) for entity in mentions]
    lengths = Counter(min(n, _LENGTHS) for n in words)
    annotations: dict[str, set[frozenset[Entity]]] = {}
    for row in rows:
        annotations.setdefault(row.text, set()).add(frozenset(row.entities))
    flat = {
        "discontinuous": sum(len(entity.fragments) > 1 for entity in mentions),
        "overlapping": sum(1 for row in rows for _ in _overlapping(row.entities)),
        "not_flat": sum(flatten(row)[1] for row in rows),
    }
    return {
        "tokens": sum(_tokens(row) for row in rows),
        "mentions": len(mentions),
        "labels": dict(Counter(entity.label for entity in mentions).most_common()),
        "words": {
            "mean": round(sum(words) / len(words), 3) if words else None,
            **{f"{n}+" if n == _LENGTHS else str(n): lengths[n] for n in range(1, _LENGTHS + 1)},
        },
        **flat,
        **{f"{name}_share": _share(count, len(mentions)) for name, count in flat.items()},
        "duplicates": len(rows) - len(annotations),
        "conflicting": sum(len(different) > 1 for different in annotations.values()),
    }


def _overlapping(entities: Sequence[Entity]) -> Iterator[Entity]:
    """Yield the entities that share a character with another one."""
    found: set[int] = set()
    ranked = sorted(entities)
    for i, one in enumerate(ranked):
        for j in range(i + 1, len(ranked)):
            if ranked[j].start >= one.end:
                break
            if any(a < d and c < b for a, b in one.fragments for c, d in ranked[j].fragments):
                found |= {i, j}
    return (ranked[i] for i in sorted(found))


def _tokens(row: AnnotatedText) -> int:
    return len(row.text.split())


def _share(count: int, of: int) -> float | None:
    return round(count / of, 4) if of else None
