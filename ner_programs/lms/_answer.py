"""What the stand-in answers: a text and, as an LM's API would report them, the log-probabilities of its tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ner_programs.formats import Format
from ner_programs.prompts.likelihood import Token, tokens_of
from ner_programs.types import Mention


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `logprobs` are the tokens that make it up, without any where nothing is known of its parts."""

    text: str
    logprobs: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a prompt gets no answer, in a line for people."""

    reason: str


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
