"""Documents with gold and predicted entities as JSON lines: the artifact `answers/{part}.jsonl` of a public run.

`{"id", "group", "text", "gold": [entity], "predicted": [entity], "lost": [{"text", "label"}], "unanswered"}`. An entity is
`{"start", "end", "label"}` (characters, end exclusive), with `concept`, `score`, `attributes` and `fragments` if it has them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ner_programs.evaluate import Scored
from ner_programs.types import AnnotatedText, Entity, Mention


def dump(documents: Sequence[AnnotatedText], scored: Scored) -> str:
    """Return the lines of a part, one for each document, in order."""
    lost = scored.lost or ((),) * len(documents)
    rows = [
        {
            "id": d.id, "group": d.group, "text": d.text, "gold": [_entity(e) for e in d.entities],
            "predicted": [_entity(e) for e in predicted], "lost": [{"text": m.text, "label": m.label} for m in gone],
            "unanswered": counts.unanswered,
        }
        for d, predicted, gone, counts in zip(documents, scored.predicted, lost, scored.counts, strict=True)
    ]  # fmt: skip
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_answer(line: Mapping[str, Any]) -> tuple[tuple[Entity, ...], tuple[Entity, ...], tuple[Mention, ...]]:
    """Return gold entities, predicted entities and lost mentions of a parsed line, as `taxonomy.errors` takes them."""
    gold, predicted = (tuple(_read(line["text"], row) for row in line[side]) for side in ("gold", "predicted"))
    return gold, predicted, tuple(Mention(row["text"], row["label"]) for row in line["lost"])


def _entity(entity: Entity) -> dict[str, Any]:
    row: dict[str, Any] = {"start": entity.start, "end": entity.end, "label": entity.label}
    if len(entity.fragments) > 1:
        row["fragments"] = [list(piece) for piece in entity.fragments]
    row |= {k: v for k in ("concept", "score") if (v := getattr(entity, k)) is not None}
    return row | ({"attributes": dict(entity.attributes)} if entity.attributes else {})


def _read(text: str, row: Mapping[str, Any]) -> Entity:
    pieces = tuple((start, end) for start, end in row.get("fragments", ()))
    about = {"concept": row.get("concept"), "score": row.get("score"), "attributes": row.get("attributes", {})}
    return Entity.of(text, row["start"], row["end"], row["label"], fragments=pieces, **about)
