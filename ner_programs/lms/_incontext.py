"""Answers extraction prompts with the in-context CRF. Its only input is the rendered prompt: no corpus, no gold, no KB.

It parses the labels and the answer format of the system message and ignores the instruction. It runs in worker processes, so it
imports neither DSPy nor numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module

from ner_programs.alignment.align import align
from ner_programs.components import names
from ner_programs.formats import Format
from ner_programs.lms._answer import Answer, Refused, mentioning
from ner_programs.prompts import prompt
from ner_programs.tagger.crf import Sample, tag_in_context
from ner_programs.tagger.features import hints
from ner_programs.types import Label, Mention


def answer(system: str, turns: Sequence[str]) -> Answer | Refused:
    """Answer a prompt. `turns` are the messages after the system message, user first; the last one is the query."""
    said = dict(prompt.parse(system))
    asked = dict(prompt.parse(turns[-1])) if turns else {}
    if "labels" not in said or "text" not in asked:
        return Refused("what is asked needs a language model that writes: give [lm.prompt], or another [lm]")
    if "candidates" in asked:
        return Refused("verify llm needs a language model: give [lm] another model")
    labels = prompt.parse_labels(said["labels"])
    form = _format(labels, said.get("answer", ""))
    if form is None:
        known = ", ".join(names("ner_programs.formats"))
        return Refused(f"the in-context CRF answers in the formats {known}; all else needs a language model")
    shown = [_sample(labels, said["answer"], user, done) for user, done in zip(turns[:-1:2], turns[1::2], strict=False)]
    query = _sample(labels, said["answer"], turns[-1], None)
    spans = tag_in_context(shown, query)
    return mentioning(
        form, query.text, [Mention(query.text[s.start : s.end], s.label, s.start, s.score) for s in spans]
    )


@lru_cache(maxsize=64)
def _format(labels: tuple[Label, ...], described: str) -> Format | None:
    """Return the format with the description in the prompt, or None."""
    for name in names("ner_programs.formats"):
        form: Format = import_module(f"ner_programs.formats.{name}").build(labels=labels)
        if form.describe() == described:
            return form
    return None


@lru_cache(maxsize=20_000)
def _sample(labels: tuple[Label, ...], described: str, user: str, done: str | None) -> Sample:
    """Parse one turn: its text, the hints of its knowledge lines, and the gold spans if it is a demonstration."""
    form = _format(labels, described)
    fields = dict(prompt.parse(user))
    text = fields.get("text", "")
    gold = align(text, form.read(done)) if form is not None and done is not None else ()
    spans = tuple((e.start, e.end, e.label) for e in gold)
    return Sample(text, spans, hints(text, fields.get("knowledge", ""), labels))
