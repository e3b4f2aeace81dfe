"""Annotated documents as one self-contained HTML page: each text with its entities, and a table of the entities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from experiments.annotate.documents import Annotated
from experiments.reports.report import render, save
from kb import KnowledgeBase
from ner_programs.highlight import entity_marks, highlighted, label_colours, legend
from ner_programs.privacy import Privacy


def write(
    annotated: Sequence[Annotated], to: Path, *, by: str, kb: KnowledgeBase | None, privacy: Privacy, review: bool = False
) -> None:  # fmt: skip
    """Write the page; `by` names the annotator, `kb` has the names of concepts. One for `review` says why a text is there."""
    save(rendered(annotated, by, kb, review), to, privacy)


def rendered(
    annotated: Sequence[Annotated], by: str, kb: KnowledgeBase | None = None, review: bool = False
) -> str:  # fmt: skip
    """Return the page."""
    found = [entity for one in annotated for entity in one.document.entities]
    concepts = {entity.concept for entity in found if entity.concept}
    names = {concept: kb[concept].name for concept in concepts if concept in kb} if kb is not None else {}
    colours = label_colours(entity.label for entity in found)
    return render(
        "annotation.html",
        by=by,
        review=review,
        entities=len(found),
        legend=Markup(legend(found)),
        documents=[_document(one, names, colours) for one in annotated],
    )


def _document(one: Annotated, names: Mapping[str, str], colours: Mapping[str, str]) -> dict[str, Any]:
    document = one.document
    rows = [
        {
            "where": ", ".join(f"{start}–{end}" for start, end in e.fragments), "text": e.text, "label": e.label,
            "colour": colours[e.label], "score": e.score,
            "concept": f"{e.concept} {names.get(e.concept, '')}".strip() if e.concept else "",
            "attributes": ", ".join(f"{k}: {v}" for k, v in e.attributes.items()),
        }
        for e in document.entities
    ]  # fmt: skip
    marked = highlighted(document.text, entity_marks(document.entities, names, colours))
    shown = [name for name in ("concept", "score", "attributes") if any(row[name] not in ("", None) for row in rows)]
    return {
        "id": document.id,
        "text": Markup(marked),
        "rows": rows,
        "columns": shown,
        "troubles": one.answers.troubles(),
        "doubtful": one.doubtful,
        "least": min(((e.score, e.text) for e in document.entities if e.score is not None), default=None),
    }
