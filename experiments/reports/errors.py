"""The errors of a run for its page: counts by kind, and the dev texts with errors, gold and predicted side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from experiments.scoring.answers import read_answer
from ner_programs.highlight import Mark, about, highlighted
from ner_programs.taxonomy import KINDS, errors
from ner_programs.types import Entity

SHOWN = 400
"""Maximum number of documents on a page, so that it opens quickly."""


def error_section(files: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the section on dev (else on test), without texts if none were recorded; None if no errors were counted."""
    part = "dev" if files.get("dev.json", {}).get("errors") else "test"
    counts = files.get(f"{part}.json", {}).get("errors")
    if not counts:
        return None
    documents = [d for d in map(document, files.get("answers/dev.jsonl", [])) if d["kinds"]] if part == "dev" else []
    among = Counter(kind for d in documents for kind in d["kinds"])
    kinds = [
        {"name": k, "title": k.replace("_", " "), "count": counts.get(k, 0), "meaning": meaning, "documents": among[k]}
        for k, meaning in KINDS.items()
    ]
    return {
        "part": part, "kinds": kinds, "most": max(1, *(k["count"] for k in kinds)),
        "documents": documents[:SHOWN], "left_out": max(0, len(documents) - SHOWN),
    }  # fmt: skip


def document(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answered document with the errors marked in gold and predicted entities."""
    gold, predicted, lost = read_answer(line)
    found = errors(line["text"], gold, predicted, lost)
    wrong_gold = {e.gold: e.kind for e in found if e.gold is not None}
    wrong_predicted = {e.predicted: e.kind for e in found if e.predicted is not None}
    counts = Counter(e.kind for e in found)
    return {
        "id": line["id"],
        "kinds": list(counts),
        "summary": ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in counts.items()),
        "gold": _marked(line["text"], gold, wrong_gold),
        "plain": _marked(line["text"], gold, {}),
        "predicted": _marked(line["text"], predicted, wrong_predicted),
        "unanswered": line["unanswered"],
        "lost": [{"kind": e.kind, "text": e.lost.text, "label": e.lost.label} for e in found if e.lost is not None],
    }


def _marked(text: str, entities: Sequence[Entity], wrong: Mapping[Entity, str]) -> Markup:
    """Return a text with its entities, coloured by the kind of error."""
    kinds = [wrong.get(e, "right") for e in entities]
    titles = [f"{kind.replace('_', ' ')}: {about(e)}" for e, kind in zip(entities, kinds, strict=True)]
    marks = [Mark(e.fragments, e.label, *shown) for e, *shown in zip(entities, titles, kinds, strict=True)]
    return Markup(highlighted(text, marks))
