"""The answers of the stand-in: a text with the log-probabilities of its tokens, as an LM's API reports them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ner_programs.formats import Format
from ner_programs.prompts.likelihood import Token, tokens_of
from ner_programs.types import Mention


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. `logprobs` are the tokens that spell it with their log-probabilities; empty if no part has a probability."""

    text: str
    logprobs: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """The reason why a prompt gets no answer, as one line for the user."""

    reason: str


def mentioning(form: Format, text: str, mentions: Sequence[Mention]) -> Answer:
    """Write the scored `mentions` of `text`. The token that writes a mention has its probability."""
    said = form.write(text, mentions)
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for m in sorted(mentions, key=lambda m: m.start or 0):  # mentions with the same string and label are in text order
        if m.score is not None:
            scores[m.text.strip(), m.label].append(m.score)
    reading = form.read(said)
    places = zip(reading, reading.places, strict=False)
    return Answer(said, tokens_of(said, [(at, left.pop(0)) for m, at in places if (left := scores[m.text, m.label])]))
