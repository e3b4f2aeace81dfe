"""Answers prompts with the in-context CRF. Sees a rendered prompt and nothing else: no corpus, no gold, no KB object.

Runs in worker processes, so it imports neither DSPy nor numpy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module

from ner_programs import guidelines, prompt
from ner_programs._suggestions import Suggestions
from ner_programs.alignment import align
from ner_programs.components import names
from ner_programs.formats import Format
from ner_programs.lms._answer import Answer, judging, mentioning
from ner_programs.lms._crf import Hint, Sample, tag_in_context
from ner_programs.lms._guidance import obey
from ner_programs.lms._judge import Candidate, judge
from ner_programs.lms._proposals import propose
from ner_programs.types import Label, Mention
from ner_programs.verifiers._verdicts import Verdicts, parse_candidates

_WORD = r"(?![a-z]{1,3}\b)[^\W_][\w'-]*"  # small words of three letters or fewer are none
_RUN_OF_WORDS = re.compile(rf"\b{_WORD}(?: {_WORD})*")


def answer(system: str, turns: Sequence[str]) -> Answer | None:
    """Answer a prompt: `turns` are the messages after the system message, user first, the open one last.

    None means that the prompt asks for mentions in a form that is none of the formats here.
    """
    said = dict(prompt.parse(system))
    asked = dict(prompt.parse(turns[-1])) if turns else {}
    if "labels" not in said or "text" not in asked:
        return Answer(propose(system, turns))
    labels = prompt.parse_labels(said["labels"])
    if "candidates" in asked:
        return _verify(labels, said.get("answer", ""), turns)
    if said.get("answer") == Suggestions().describe():
        return Answer(_suggest(turns))
    form = _format(labels, said.get("answer", ""))
    if form is None:
        return None
    shown = [_sample(labels, said["answer"], user, done) for user, done in zip(turns[:-1:2], turns[1::2], strict=False)]
    query = _sample(labels, said["answer"], turns[-1], None)
    told = guidelines.parse(said.get("", ""), tuple(label.name for label in labels))
    spans = obey(query.text, tag_in_context(shown, query), told, query.hints)
    return mentioning(
        form, query.text, [Mention(query.text[s.start : s.end], s.label, s.start, s.score) for s in spans]
    )


@lru_cache(maxsize=64)
def _format(labels: tuple[Label, ...], described: str) -> Format | None:
    """Return the format whose description the prompt gives."""
    for name in names("ner_programs.formats"):
        form: Format = import_module(f"ner_programs.formats.{name}").build(labels=labels)
        if form.describe() == described:
            return form
    return None


@lru_cache(maxsize=20_000)
def _sample(labels: tuple[Label, ...], described: str, user: str, done: str | None) -> Sample:
    """Decode one turn: its text, what its knowledge lines name in it, and the answer if it is a demonstration."""
    form = _format(labels, described)
    fields = dict(prompt.parse(user))
    text = fields.get("text", "")
    gold = align(text, form.read(done)) if form is not None and done is not None else ()
    spans = tuple((e.start, e.end, e.label) for e in gold)
    return Sample(text, spans, hints(text, fields.get("knowledge", ""), labels))


def hints(text: str, knowledge: str, labels: Sequence[Label]) -> tuple[Hint, ...]:
    """Find in `text` what the knowledge lines name, longest first; in the order of the text."""
    lines = prompt.parse_knowledge(knowledge, [label.name for label in labels])
    taken: set[int] = set()
    found: list[Hint] = []
    for line in sorted(lines, key=lambda line: (-len(line.surface), line.surface)):  # then as said: no label decides
        words = r"\s+".join(map(re.escape, line.surface.split()))
        for hit in re.finditer(rf"(?<!\w){words}(?!\w)", text) if words else ():
            if taken.isdisjoint(range(hit.start(), hit.end())):
                taken.update(range(hit.start(), hit.end()))
                found.append(Hint(hit.start(), hit.end(), line.label, line.denied, line.facts))
    return tuple(sorted(found, key=lambda h: h.start))


def _suggest(turns: Sequence[str]) -> str:
    """List strings like those that the demonstrations list; without any, all runs of words between small words."""
    codec, texts = Suggestions(), [dict(prompt.parse(turn)).get("text", "") for turn in turns[::2]]
    shown = []
    for text, done in zip(texts, turns[1::2], strict=False):
        spans = align(text, [Mention(name, "") for name in codec.decode(done)["names"]])
        shown.append(Sample(text, tuple((e.start, e.end, e.label) for e in spans)))
    if shown:
        found = [texts[-1][s.start : s.end] for s in tag_in_context(shown, Sample(texts[-1]))]
    else:
        found = _RUN_OF_WORDS.findall(texts[-1])
    return codec.write(dict.fromkeys(found))


def _verify(labels: tuple[Label, ...], described: str, turns: Sequence[str]) -> Answer:
    forms = (Verdicts(labels, "full"), Verdicts(labels, "reject"))
    form = next((f for f in forms if f.describe() == described), forms[0])
    shown = []
    for user, done in zip(turns[:-1:2], turns[1::2], strict=False):
        verdicts = {v.number: v for v in form.read(done)}
        shown += [(c, verdicts[n]) for n, c in enumerate(_candidates(labels, user), 1) if n in verdicts]
    return judging(form, judge(shown, _candidates(labels, turns[-1])))


def _candidates(labels: tuple[Label, ...], user: str) -> list[Candidate]:
    fields = dict(prompt.parse(user))
    text = fields.get("text", "")
    known = {text[h.start : h.end].casefold(): h.label for h in hints(text, fields.get("knowledge", ""), labels)}
    listed = parse_candidates(fields.get("candidates", ""))
    return [Candidate(surface, label, text, known.get(surface.casefold())) for surface, label in listed]
