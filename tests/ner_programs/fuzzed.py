"""Prompts of every stage out of one seed, over odd texts."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ner_programs import Entity, Label, Mention
from ner_programs.components import names, resolve
from ner_programs.prompts import prompt
from ner_programs.stages.retrieve import Suggestions
from ner_programs.types import Verdict
from ner_programs.verifiers._verdicts import Verdicts, render_candidates
from tests.ner_programs.support import NASTY

Random = random.Random
FORMATS = names("ner_programs.formats")
MODES = ("full", "reject")
STAGES = (*FORMATS, *MODES, "seeds")

_NOTE = (
    "Pt took Fooxil for severe head pain and the night cough (NC); no fever today, MRI of the left knee was odd. Given 5 mg "
    "barazole-X twice daily she denies chest pain/itching, but knee pain came back after Quxa was stopped."
)
TERMS = ("head pain", "night cough", "MRI", "knee", "fever", "Fooxil", "barazole-X", "itching")
WORDS = [*_NOTE.split(), *2 * TERMS]
ODD = [
    *NASTY, "\x07", "\x1b[0m", "\x85", "\u2029", "\u200f", "\u202epain\u202c", "\ufeff", "😀", "👩‍⚕️",
    "שלום", "ألم", "\ud800", "\udfff", "x" * 400, "ﬁ", "ǅ", "١٢", "½", "(a+)+$", ".*.*.*=", "(?:",
    "(" * 40 + ")" * 40, "[[[[", "\\" * 9, "{0}%s$1", "a\u0300" * 60, "-" * 90, "\n\n\n", "\t\t", "\xa0",
    "''''", '"""',
]  # fmt: skip
NAMES = [
    "problem", "test", "A&B drug (x)", "Ünïcode_ß", "漢字", "O", "B-x", "none", "keep", "add", "Entity",
    "a.b/c+", "42", "span",
]  # fmt: skip
GARBLED = [
    '- "a; b": problem; = "c\\"d"; is_a x', "- pain: problem, not a test", "- x: none of the labels", '- "',
    '- "": ', "- ; ; ;", "- a: b: c: d", "- knee pain; knee pain", '- "knee pain: test', "- (a+)+$: test",
    "- " + "( " * 200, "- pain:", "-pain: test", "- \ud800: test; \x00", "- pain: O; = " + "long " * 300,
    "- " + ";" * 2000, "- , not a , not a : , not an x", '- "\\ud800": test',
]  # fmt: skip


@dataclass(frozen=True)
class Ask:
    """A prompt of a stage; `labels` are its labels, `text` what it asks about."""

    stage: str
    system: str
    turns: tuple[str, ...]
    labels: tuple[Label, ...] = ()
    text: str = ""


def text_of(rng: Random) -> str:
    """Words with odd pieces among them; sometimes none, sometimes one, sometimes nothing but odd ones."""
    odd = rng.choice((0.0, 0.05, 0.05, 0.3, 1.0))
    count = rng.choice((0, 1, 4, 10, 10, 25))
    words = [rng.choice(ODD) if rng.random() < odd else rng.choice(WORDS) for _ in range(count)]
    return rng.choice((" ", " ", " ", "", "\n", "\t \u2028")).join(words)


def marks_of(text: str, labels: Sequence[Label], rng: Random) -> list[Mention]:
    """Mark the terms, each with a label of its own, or anything: flat, without blanks at the edges."""
    if rng.random() < 0.6:
        hits = [
            (hit, labels[n % len(labels)].name)
            for n, term in enumerate(TERMS)
            for hit in re.finditer(rf"\b{term}\b", text)
        ]
        return [Mention(hit[0], label, hit.start()) for hit, label in sorted(hits, key=lambda pair: pair[0].start())]
    found: list[Mention] = []
    at = 0
    words = text.split()
    while words and rng.random() < 0.8:
        start = text.find(rng.choice(words), at)
        if start < 0:
            break
        surface = text[start : start + rng.choice((3, 8, 8, 30))].strip()
        if surface and text.startswith(surface, start):
            found.append(Mention(surface, rng.choice(labels).name, start))
            at = start + len(surface)
    return found


def knowledge_of(text: str, labels: Sequence[Label], rng: Random) -> str:
    lines = rng.sample(GARBLED, rng.choice((0, 0, 1, 3)))
    for m in marks_of(text, labels, rng) if rng.random() < 0.7 else ():
        said = rng.choice([m.label, m.label, "tree", f"tree, not a {m.label}"])
        lines.append(f"- {' '.join(m.text.split())}: {said}" + rng.choice(("", "; = x", "; is a sign; of y")))
    return "\n".join(lines)


def instruction_of(rng: Random) -> str:
    more = [text_of(rng) for _ in range(rng.choice((0, 1, 3)))]
    return "\n".join(["Find every mention of the labels below in the text.", *more])


def well_formed(stage: str, rng: Random) -> Ask:
    """Make a prompt as nerc makes it for `stage`, over any texts."""
    chosen = rng.sample(NAMES, rng.choice((1, 1, 2, 3, 5)))
    labels = tuple(Label(name, " ".join(text_of(rng).split()) if rng.random() < 0.4 else "") for name in chosen)
    codec = codec_of(stage, labels)
    system = [("", instruction_of(rng)), ("labels", prompt.render_labels(labels)), ("answer", codec.describe())]
    turns: list[str] = []
    one = rng.random() < 0.02  # two hundred demonstrations of one token
    for _ in range(200 if one else rng.choice((0, 1, 2, 4, 8))):
        turns += _turn(codec, stage, labels, rng.choice(WORDS) if one else text_of(rng), rng)
    text = text_of(rng)
    return Ask(stage, prompt.render(system), (*turns, _turn(codec, stage, labels, text, rng)[0]), labels, text)


def codec_of(stage: str, labels: tuple[Label, ...]) -> Any:
    if stage in FORMATS:
        return resolve("ner_programs.formats", {"name": stage}, labels=labels)
    return Suggestions() if stage == "seeds" else Verdicts(labels, stage)  # type: ignore[arg-type]


def _turn(codec: Any, stage: str, labels: Sequence[Label], text: str, rng: Random) -> tuple[str, str]:
    known = knowledge_of(text, labels, rng) if rng.random() < 0.5 and stage != "seeds" else ""
    fields = ([("knowledge", known)] if known else []) + [("text", text)]
    marks = marks_of(text, labels, rng)
    if stage == "seeds":
        return prompt.render(fields), codec.write([m.text for m in marks])
    if stage in FORMATS:
        return prompt.render(fields), codec.write(text, marks)
    listed = [Entity.of(text, m.start or 0, (m.start or 0) + len(m.text), m.label) for m in marks]
    verdicts = [
        Verdict(rng.choice(("keep", "reject", "label")), n, rng.choice(labels).name) for n, _ in enumerate(listed, 1)
    ]
    verdicts += [Verdict("add", None, rng.choice(labels).name, m.text) for m in marks[:1]]
    return prompt.render([*fields, ("candidates", render_candidates(listed))]), codec.write(verdicts)
