"""The one way a knowledge base is written down: what the fingerprint is taken of, and what the store writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from kb.concept import Concept, Relation
from kb.names import Filter


def concept_lines(concepts: Iterable[Concept]) -> bytes:
    """One JSON array a line, fields in the order of `Concept`."""
    return lines([c.id, c.name, c.type, c.synonyms, c.definition, c.xrefs] for c in concepts)


def relation_lines(relations: Iterable[Relation]) -> bytes:
    """One JSON array a line: head, name, tail."""
    return lines([r.head, r.name, r.tail] for r in relations)


def filter_options(keep: Filter) -> dict[str, object]:
    """The options of a filter as JSON can hold them."""
    return {"own_case": keep.own_case, "shortest": keep.shortest, "stop": sorted(keep.stop)}


def fingerprint(concepts: bytes, relations: bytes, keep: Filter) -> str:
    """16 hexadecimal digits over everything that changes what a knowledge base answers."""
    digest = hashlib.sha256()
    for part in (concepts, relations, json.dumps(filter_options(keep), sort_keys=True).encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


def lines(rows: Iterable[list[object]]) -> bytes:
    """One JSON array a line, the same bytes for the same rows."""
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    return "".join(f"{encode(row)}\n" for row in rows).encode("utf-8", "surrogatepass")
