"""Thousands of prompts, sound and damaged: the stand-in raises at none, and what it answers parses.

NERC_FUZZ says how many prompts there are in all (by default 600; 10,000 take a minute). The slowest one of each stage is
printed (`pytest -s`).
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from ner_programs import Label, Mention
from ner_programs.lms._answer import Answer, Refused
from ner_programs.lms._incontext import answer
from ner_programs.prompts import prompt
from ner_programs.spec import ProgramSpec
from tests.effort import soon
from tests.ner_programs.fuzzed import (
    FORMATS,
    MODES,
    STAGES,
    Ask,
    codec_of,
    damaged,
    one_message,
    well_formed,
)

PROMPTS = int(os.environ.get("NERC_FUZZ", "600"))
BULKY = 200  # one prompt in so many has a line of up to a megabyte


BULK = [
    "x", "x ", "pain ", "(", "[ a | O ] ", '"', " ", "\n", "- a\n", "- a: problem\n", "\\", "\u0301",
    "9 keep\n", "1.", "the ", "\x00", "a-",
]  # fmt: skip


def bulky(ask: Ask, rng: random.Random, size: int) -> Ask:
    """Make a message `size` characters longer by one thing said over and over, on a line of its own or on the last one."""
    bulk = rng.choice(("\n", "")) + (piece := rng.choice(BULK)) * (size // len(piece))
    return one_message(ask, rng, lambda message: message + bulk)


def sound(said: Answer | Refused) -> None:
    """What holds for an answer to anything."""
    if isinstance(said, Refused):
        assert "needs a language model" in said.reason and "\n" not in said.reason
    else:
        assert all(logprob <= 0 for _, logprob in said.logprobs)
        assert not said.logprobs or "".join(token for token, _ in said.logprobs) == said.text


def readable(stage: str, labels: tuple[Label, ...], text: str, said: str) -> bool:
    """Check an answer with the reader of its own form; True where it says anything."""
    reading = codec_of(stage, labels).read(said)
    assert reading.unreadable == 0
    assert all(m.text in text and m.label in {la.name for la in labels} for m in reading)
    return bool(reading)


def asks_for(system: str, turns: tuple[str, ...]) -> tuple[str, tuple[Label, ...], str] | None:
    """Stage, labels and text of a prompt that asks as nerc does, whatever else is wrong with it."""
    said, asked = dict(prompt.parse(system)), dict(prompt.parse(turns[-1])) if turns else {}
    labels = prompt.parse_labels(said.get("labels", ""))
    try:
        ProgramSpec(labels={label.name: label.definition for label in labels})
    except ValueError:
        return None
    if "text" not in asked or len({label.name for label in labels}) < len(labels):
        return None
    for stage in MODES if "candidates" in asked else (*FORMATS, "seeds"):
        if codec_of(stage, labels).describe() == said.get("answer"):
            return stage, labels, asked["text"]
    return None


def ask_engine(ask: Ask) -> Answer | Refused:
    said = answer(ask.system, list(ask.turns))
    sound(said)
    return said


@pytest.mark.parametrize("stage", STAGES)
def test_prompts_of_every_sort_are_answered_or_refused(stage: str) -> None:
    rng = random.Random(stage)
    counts: Counter[str] = Counter()
    for number in range(max(20, PROMPTS // len(STAGES))):
        ask = well_formed(stage, rng)
        whole = rng.random() < 0.4
        if not whole:
            ask = damaged(ask, well_formed(rng.choice(STAGES), rng), rng)
            if rng.randrange(BULKY) == 0:
                ask = bulky(ask, rng, 10 ** rng.choice((4, 5, 6)))
        try:
            said = ask_engine(ask)
            if expected := ((stage, ask.labels, ask.text) if whole else asks_for(ask.system, ask.turns)):
                if expected[0] in FORMATS:
                    assert isinstance(said, Answer)
                    counts["said"] += readable(*expected, said.text)
                else:
                    assert isinstance(said, Refused)
                    counts["said"] += 1
                counts["damaged, and still asked"] += not whole
        except Exception as error:
            raise AssertionError(f"prompt {number} of {stage}{'' if whole else ', damaged'}: {error!r}") from error
        counts["whole" if whole else "damaged"] += 1
    assert counts["whole"] and counts["damaged"] and counts["said"] > counts["whole"] / 5
    assert counts["damaged, and still asked"]


@pytest.mark.parametrize("word", ["x ", "pain-"])
def test_a_mention_of_thousands_of_words_takes_no_time_by_their_square(word: str) -> None:
    labels, text = (Label("problem"),), (word * 15_000).strip()
    form = codec_of("tagged", labels)
    system = prompt.render([("", "Find."), ("labels", prompt.render_labels(labels)), ("answer", form.describe())])
    asked = prompt.render([("text", text)])
    with soon():
        said = ask_engine(Ask("tagged", system, (asked, form.write(text, [Mention(text, "problem", 0)]), asked)))
    assert isinstance(said, Answer) and form.read(said.text).unreadable == 0
