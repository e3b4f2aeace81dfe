"""Maps annotation types to labels and concept ids to the KB's form, and lists the remarks of readers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from experiments.corpora.corpus import Documents, label_names
from experiments.errors import ReadError

Types = dict[str, str] | list[str]


def select(parts: Mapping[str, Documents], types: Types) -> dict[str, Documents]:
    """Keep the entities of the listed types, renamed if `types` is a mapping. Raises ReadError for a type that never occurs."""
    names = types if isinstance(types, dict) else {name: name for name in types}
    known = label_names(tuple(d for documents in parts.values() for d in documents))
    if unknown := sorted(set(names) - set(known)):
        raise ReadError(f"types: nothing is annotated as {', '.join(unknown)}; there are {', '.join(known)}")
    return {
        part: tuple(
            replace(d, entities=tuple(replace(e, label=names[e.label]) for e in d.entities if e.label in names))
            for d in documents
        )
        for part, documents in parts.items()
    }


def listed(remarks: Counter[str]) -> tuple[str, ...]:
    """Return the remarks as lines for the report: `relation lines, ignored: 3116`."""
    return tuple(f"{what}: {n}" for what, n in remarks.items() if n)


def concept_id(text: str) -> str | None:
    """Return the concept id with its prefix: MeSH ids get `MESH:`, also each in a composite (`D1+D2`, `D1|OMIM:2`).

    Returns None for no id and for `-1` (BC5CDR's id for "in no vocabulary").
    """
    alternatives = (piece.strip() for piece in text.split("|"))
    known = [piece for piece in alternatives if piece not in ("", "-", "-1")]
    return "|".join("+".join(_curie(part.strip()) for part in piece.split("+")) for piece in known) or None


def _curie(piece: str) -> str:
    if re.fullmatch(r"[CD]\d+", piece):
        return f"MESH:{piece}"
    return re.sub("^mesh:", "MESH:", piece, flags=re.IGNORECASE)
