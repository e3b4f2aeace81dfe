"""Common parts of the retrievers: the check for a knowledge base, and the concepts that a text names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from kb.concept import Concept
from kb.errors import KnowledgeError
from kb.graph import KnowledgeBase
from kb.names.abbreviations import abbreviations, expand
from kb.names.filter import GENERAL
from kb.names.tagging import tag
from kb.names.tokens import normalise


def required(kb: KnowledgeBase | None, retriever: str) -> KnowledgeBase:
    """Return the knowledge base. Raises KnowledgeError if the spec has none."""
    if kb is None:
        raise KnowledgeError(
            f"retriever {retriever!r} needs a knowledge base: give the spec a [kb] table with `sources`"
        )
    return kb


def named(
    kb: KnowledgeBase, text: str, document: str = "", candidates: Sequence[str] = (), without: Collection[str] = ()
) -> list[tuple[str, Concept]]:
    """Return the names in `text` in their order, each once (by normal form), with the best concept of each name.

    Short forms are read as the document defines them (`kb.names.tagging`). Then come the `candidates` that occur in the text
    and are names in any case, even if the term filter excludes them. Concepts in `without` are ignored: the next best concept
    of the name replaces them.
    """
    known = _short_forms(document or text)
    known = {s: long for s, long in known.items() if s not in text or not _meant(kb, s, long)}
    found: dict[str, tuple[str, Concept]] = {}
    for match in tag(kb.names, text, known):
        if ids := [id for id in match.concepts if id not in without]:
            found.setdefault(normalise(match.text), (match.text, kb[ids[0]]))
    for candidate in candidates:
        named_so = kb.names.lookup(expand(candidate, known)) if candidate in text else ()
        if ids := [id for id in named_so if id not in without]:
            found.setdefault(normalise(candidate), (candidate, kb[ids[0]]))
    return list(found.values())


def telling(text: str) -> frozenset[str]:
    """Return the words of a text or of a name in normal form, without general ones."""
    return frozenset(normalise(text).split()) - GENERAL


def _meant(kb: KnowledgeBase, short: str, long: str) -> bool:
    """Return whether a concept named `short` has a name that begins with `long`: texts often omit the last words."""
    return any(
        normalise(name).startswith(f"{normalise(long)} ")
        for id in kb.names.lookup(short)
        for name in (kb[id].name, *kb[id].synonyms)
    )


@lru_cache(maxsize=256)
def _short_forms(document: str) -> Mapping[str, str]:
    """Return the document's abbreviations, cached because the units of a document come one after the other."""
    return abbreviations(document)
