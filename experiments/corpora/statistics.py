"""Statistics of a corpus: sizes, mentions, and what could inflate a score on it (overlap and leakage between parts).

They have only counts and label names, so they may be shown of any corpus. A row is a document of the reader: a sentence
if the corpus is divided into sentences (then `unit` is "document"), else a whole document.
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
LONG = 8  # tokens: identical sentences of this length are not mere headings or phrases
_LENGTHS = 5  # words: mentions of at least this length are counted together


def statistics(corpus: Corpus) -> dict[str, Any]:
    """Return the statistics as `nerc corpora show --json` prints them.

    Tokens and words are separated by blanks. `documents` counts abstracts or notes; if a corpus of sentences does not mark
    them, each sentence counts as one, with a remark. Everything is counted as in the files. A remark has the number of train
    rows that a run leaves out because they are also in dev or test.
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
        "private": corpus.privacy.private,
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
    """Count the mentions of `rows` whose surface, in lower case, is also a mention of `train`, with any label."""
    surfaces = {entity.text.lower() for row in train for entity in row.entities}
    mentions = [entity.text.lower() for row in rows for entity in row.entities]
    seen = sum(surface in surfaces for surface in mentions)
    unseen = len(mentions) - seen
    return {"mentions": len(mentions), "seen": seen, "unseen": unseen, "unseen_share": _share(unseen, len(mentions))}


def leakage(rows: Rows, others: Rows) -> dict[str, int]:
    """Count the `others` whose text is also in `rows`: all, those of at least LONG tokens, those with other annotations."""
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
    """Yield the entities that overlap with another one."""
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
