"""The abstracts that the sentences of an IOB2 file come from, found again in the PubTator file of the same corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from experiments.corpora.corpus import D
from ner_programs.types import AnnotatedText


def place(sentences: Sequence[D], abstracts: Sequence[AnnotatedText]) -> tuple[D, ...] | None:
    """Return the sentences with their abstract's id as `group` and its other sentences as `related`.

    None if a sentence is in no abstract. Texts are compared without blanks, for the tokenisation differs.
    """
    bodies = {a.id: _solid(a.text) for a in abstracts}
    texts = [_solid(s.text) for s in sentences]
    groups: list[str] = []
    name, end = "", 0  # the abstract being read, and how far
    for text, following in zip_longest(texts, texts[1:], fillvalue=""):
        start = bodies[name].find(text, end) if name else -1
        if start < 0:
            holding = [name for name, body in bodies.items() if text in body]
            if not holding:
                return None
            # a short sentence may be in several: take the abstract that goes on as the file does
            name = next((name for name in holding if following in bodies[name]), holding[0])
            start = bodies[name].find(text)
        end = start + len(text)
        groups.append(name)
    members: dict[str, list[str]] = {}
    for sentence, group in zip(sentences, groups, strict=True):
        members.setdefault(group, []).append(sentence.id)
    return tuple(
        replace(s, group=group, related=tuple(other for other in members[group] if other != s.id))
        for s, group in zip(sentences, groups, strict=True)
    )


def _solid(text: str) -> str:
    return "".join(text.split())
