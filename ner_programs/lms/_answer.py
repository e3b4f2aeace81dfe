"""What the engine answers: a text and, as an LM's API would report them, the log-probabilities of its tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ner_programs._likelihood import Token, tokens_of
from ner_programs.formats import Format
from ner_programs.types import Mention, Verdict
from ner_programs.verifiers._verdicts import Verdicts


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `logprobs` are the tokens that make it up, without any where nothing is known of its parts."""

    text: str
    logprobs: tuple[Token, ...] = ()


def mentioning(form: Format, text: str, mentions: Sequence[Mention]) -> Answer:
    """Write the scored `mentions` of `text`; the probability of each stands on the token that writes it."""
    said = form.write(text, mentions)
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for m in sorted(mentions, key=lambda m: m.start or 0):  # what reads alike is written in the order of the text
        if m.score is not None:
            scores[m.text.strip(), m.label].append(m.score)
    reading = form.read(said)
    places = zip(reading, reading.places, strict=False)
    return Answer(said, tokens_of(said, [(at, left.pop(0)) for m, at in places if (left := scores[m.text, m.label])]))


def judging(form: Verdicts, verdicts: Sequence[Verdict]) -> Answer:
    """Write scored `verdicts`; the probability of each stands on the token that writes it."""
    said = form.write(verdicts)
    scores = {v.number: v.score for v in verdicts}
    reading = form.read(said)
    found = [(at, scores.get(v.number)) for v, at in zip(reading, reading.places, strict=True)]
    return Answer(said, tokens_of(said, [(at, score) for at, score in found if score is not None]))
