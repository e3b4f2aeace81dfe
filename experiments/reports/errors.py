"""The errors of a run for its page: counts by kind, and the dev texts with errors, gold and predicted side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from experiments.scoring.answers import read_answer
from ner_programs.attributes import clinical
from ner_programs.highlight import about, entity_marks, highlighted
from ner_programs.taxonomy import KINDS, errors
from ner_programs.types import Entity, Mention

SHOWN = 400
"""Maximum number of documents on a page, so that it opens quickly."""
ATTRIBUTE = "wrong_attribute"
_MEANING = "boundaries and label are right, a clinical attribute is missing or too many; no error of the score"


def error_section(files: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the section on dev (else on test), without texts if none were recorded; None if no errors were counted."""
    part = "dev" if files.get("dev.json", {}).get("errors") else "test"
    counts = files.get(f"{part}.json", {}).get("errors")
    if not counts:
        return None
    documents = [d for d in answered(files.get("answers/dev.jsonl", [])) if d["kinds"]] if part == "dev" else []
    among = Counter(kind for d in documents for kind in d["kinds"])
    counts = {**counts, ATTRIBUTE: sum(d["attributes"] for d in documents)}
    kinds = [
        {"name": k, "title": k.replace("_", " "), "count": counts.get(k, 0), "meaning": meaning, "documents": among[k]}
        for k, meaning in {**KINDS, ATTRIBUTE: _MEANING}.items()
        if k != ATTRIBUTE or counts[k]
    ]
    return {
        "part": part, "kinds": kinds, "most": max(1, *(k["count"] for k in kinds)),
        "documents": documents[:SHOWN], "left_out": max(0, len(documents) - SHOWN),
    }  # fmt: skip


def answered(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return answered documents with the errors marked in gold and predicted entities.

    Attributes are judged where gold has some and the program found some, as they are scored.
    """
    read = [(line, read_answer(line)) for line in lines]
    judged = all(any(clinical(e.attributes) for _, told in read for e in told[side]) for side in (0, 1))
    return [_document(line, *told, judged) for line, told in read]


def _document(
    line: Mapping[str, Any], gold: Sequence[Entity], predicted: Sequence[Entity], lost: Sequence[Mention], judged: bool
) -> dict[str, Any]:
    found = errors(line["text"], gold, predicted, lost)
    other = _other_attributes(gold, predicted) if judged else {}
    wrong_gold = other | {e.gold: e.kind for e in found if e.gold is not None}
    wrong_predicted = other | {e.predicted: e.kind for e in found if e.predicted is not None}
    counts = Counter([e.kind for e in found] + [ATTRIBUTE] * len(other))
    return {
        "attributes": len(other),
        "id": line["id"],
        "kinds": list(counts),
        "summary": ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in counts.items()),
        "gold": _marked(line["text"], gold, wrong_gold),
        "plain": _marked(line["text"], gold, {}),
        "predicted": _marked(line["text"], predicted, wrong_predicted),
        "unanswered": line["unanswered"],
        "lost": [{"kind": e.kind, "text": e.lost.text, "label": e.lost.label} for e in found if e.lost is not None],
    }


def _other_attributes(gold: Sequence[Entity], predicted: Sequence[Entity]) -> dict[Entity, str]:
    """Return the entities that are right but for their attributes."""
    wanted = {e: clinical(e.attributes) for e in gold}
    return {e: ATTRIBUTE for e in predicted if e in wanted and clinical(e.attributes) != wanted[e]}


def _marked(text: str, entities: Sequence[Entity], wrong: Mapping[Entity, str]) -> Markup:
    """Return a text with its entities and their attributes, coloured by the kind of error."""
    marks = []
    for e, mark in zip(entities, entity_marks(entities), strict=True):
        kind = wrong.get(e, "right")
        title = f"{kind.replace('_', ' ')}: {about(e)}"
        marks.append(replace(mark, kind=f"{kind} {mark.kind}".strip(), title=title, colour=""))
    return Markup(highlighted(text, marks))
