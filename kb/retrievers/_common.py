"""What the retrievers share: a knowledge base that must be there, and the concepts that a text names."""

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
    """The knowledge base, or a KnowledgeError that says what the spec lacks."""
    if kb is None:
        raise KnowledgeError(
            f"retriever {retriever!r} needs a knowledge base: give the spec a [kb] table with `sources`"
        )
    return kb


def named(
    kb: KnowledgeBase, text: str, document: str = "", candidates: Sequence[str] = (), without: Collection[str] = ()
) -> list[tuple[str, Concept]]:
    """The names in `text` in its order, each once (compared in normal form), with the best concept of that name.

    Short forms are read as the document defines them (`kb.names.tagging`). Then the `candidates` that stand in the text and are
    names in any case, though the term filter may not look for them. No concept is one of those in `without`; where such a one
    has the best claim to a name, the next one has it.
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
    """The words of a text, or of a name, in normal form, without the general ones."""
    return frozenset(normalise(text).split()) - GENERAL


def _meant(kb: KnowledgeBase, short: str, long: str) -> bool:
    """Whether some concept with the name `short` has one that begins with `long`: texts leave the end to the reader."""
    return any(
        normalise(name).startswith(f"{normalise(long)} ")
        for id in kb.names.lookup(short)
        for name in (kb[id].name, *kb[id].synonyms)
    )


@lru_cache(maxsize=256)
def _short_forms(document: str) -> Mapping[str, str]:
    """Remembered, since the units of a document come one after the other."""
    return abbreviations(document)
