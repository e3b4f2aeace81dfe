"""Attributes by rule: the ConText algorithm (Harkema et al. 2009) as medspaCy has it, for which `nerc[attributes]` is needed.

A cue ("no evidence of", "possible", "mother", "if") holds for the entities of its sentence that are in its scope. The heading
of a section holds for what stands below it ("Family History:", "Past Medical History:"). Rules and headings are medspaCy's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from threading import RLock
from typing import Any, Literal

from ner_programs.attributes._sentences import sentences
from ner_programs.attributes.clinical import ATTRIBUTES
from ner_programs.errors import ComponentError
from ner_programs.types import Entity

Language = Literal["de", "en", "es", "fr", "it", "nl", "pl", "pt"]
_GROUP = "medspacy_spans"  # medspaCy's own default
_lock = RLock()  # medspaCy is not written for threads


class Context:
    """Gives entities what cues in their sentence and the heading of their section say."""

    def __init__(self, language: Language, sections: bool) -> None:
        self.language, self.sections = language, sections

    def __call__(self, text: str, entities: Sequence[Entity], exclude: Collection[str] = ()) -> tuple[Entity, ...]:
        """Return the entities with their attributes; sentences are nerc's, and medspaCy reads only those with entities."""
        if not entities:
            return ()
        found: list[set[str]] = [set() for _ in entities]
        with _lock:
            rules = _rules(self.language)
            sections = rules.sections(text) if self.sections else [(0, frozenset[str]())]
            begins = [start for start, _ in sections]
            for start, end, inside in sentences(text, entities):
                section, said = sections[max(0, bisect_right(begins, inside[0][1].start) - 1)]
                start = max(
                    start, section
                )  # a heading is no part of the sentence: "Family History: fever" is not historical
                for n, names in rules.cues(text[start:end], start, inside):
                    found[n] |= names | said
        return tuple(
            replace(e, attributes={**e.attributes, **{name: "true" for name in ATTRIBUTES if name in said}})
            if said else e
            for e, said in zip(entities, found, strict=True)
        )  # fmt: skip

    def __deepcopy__(self, memo: dict[int, Any]) -> Context:
        return self


class _Rules:
    """medspaCy's rules for one language."""

    def __init__(self, language: Language) -> None:
        import spacy
        from medspacy.context import ConText
        from medspacy.section_detection import Sectionizer
        from medspacy.section_detection.sectionizer import DEFAULT_ATTRS

        self.nlp = spacy.blank(language)
        self.nlp.max_length = 1 << 40  # spaCy's limit is for its parsers
        self.context = ConText(self.nlp, language_code=language, input_span_type="group", span_group_name=_GROUP)
        self.sectionizer = Sectionizer(self.nlp, language_code=language, span_attrs=None)
        self.said = {
            category: frozenset(n for n in ATTRIBUTES if f"is_{n}" in a) for category, a in DEFAULT_ATTRS.items()
        }

    def sections(self, text: str) -> list[tuple[int, frozenset[str]]]:
        """Return for each section the offset at which the text below its heading begins, and what the heading says."""
        doc = self.sectionizer(self.nlp.make_doc(text))
        begins = [*(token.idx for token in doc), len(text)]
        return [(begins[s.body_start], self.said.get(s.category, frozenset())) for s in doc._.sections]

    def cues(
        self, sentence: str, at: int, entities: Sequence[tuple[int, Entity]]
    ) -> Iterator[tuple[int, frozenset[str]]]:
        """Yield what the cues of a sentence that begins at offset `at` say of each of its numbered entities."""
        doc = self.nlp.make_doc(sentence)
        for token in doc:
            token.is_sent_start = token.i == 0
        spans = [doc.char_span(e.start - at, e.end - at, label=e.label, alignment_mode="expand") for _, e in entities]
        doc.spans[_GROUP] = [span for span in spans if span is not None]
        self.context(doc)
        for (n, _), span in zip(entities, spans, strict=True):
            said = () if span is None else (name for name in ATTRIBUTES if getattr(span._, f"is_{name}"))
            yield n, frozenset(said)


@lru_cache(maxsize=4)
def _rules(language: Language) -> _Rules:
    return _Rules(language)


def build(*, language: Language = "en", sections: bool = True) -> Context:
    """Build it: medspaCy's rules for a `language`; without `sections`, headings say nothing.

    Raises ComponentError if medspaCy is not installed.
    """
    if find_spec("medspacy") is None:
        raise ComponentError("context needs medspaCy: pip install 'nerc[attributes]' (docs/attributes.md)")
    return Context(language, sections)
