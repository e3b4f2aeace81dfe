"""Answers with drifted boundaries, made from gold: a test of what mends them, no evidence of how LMs err.

Of the mentions, a share `RATE` is said wrongly, in one of the `WAYS`, each as often: an edge drifts by a word, in or out; words
are cut up and joined by blanks, as a tokeniser does; the label, an article or the text's next mark is said along.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence

from ner_programs import Document, Entity, Mention, Pool, ProgramSpec, align
from ner_programs.scoring import Counts
from ner_programs.stages.verify import VerifyEntities
from ner_programs.units import split

RATE = 0.4
_PIECE = re.compile(r"\w+|[^\w\s]")


def _words(text: str) -> list[tuple[int, int]]:
    return [m.span() for m in _PIECE.finditer(text)]


def _edge(text: str, e: Entity, left: int, right: int) -> str:
    """The surface with its edges moved by so many words, as far as there are any."""
    words = _words(text)
    inside = [n for n, (start, end) in enumerate(words) if start < e.end and e.start < end]
    first, last = max(inside[0] + left, 0), min(inside[-1] + right, len(words) - 1)
    return text[words[first][0] : words[last][1]] if first <= last else e.text


WAYS: dict[str, Callable[[str, Entity], str]] = {
    "begins late": lambda text, e: _edge(text, e, 1, 0), "begins early": lambda text, e: _edge(text, e, -1, 0),
    "ends early": lambda text, e: _edge(text, e, 0, -1), "ends late": lambda text, e: _edge(text, e, 0, 1),
    "cut up": lambda text, e: " ".join(_PIECE.findall(e.text)), "label": lambda text, e: f"{e.text} {e.label}",
    "article": lambda text, e: f"the {e.text}",
    "mark": lambda text, e: text[e.start : e.end + 1] if text[e.end : e.end + 1] in ".,;:)" else f"{e.text}.",
}  # fmt: skip


def drifted(text: str, gold: Sequence[Entity], draw: random.Random) -> list[Mention]:
    """Return what such an answer says of `gold`, without positions."""
    ways = list(WAYS.values())
    return [Mention(draw.choice(ways)(text, e) if draw.random() < RATE else e.text, e.label) for e in sorted(gold)]


def units(documents: Iterable[Document]) -> list[tuple[str, tuple[Entity, ...]]]:
    """Return each sentence of the documents with its gold."""
    found = []
    for d in documents:
        for unit in split(d.text, "sentence", keep=[(e.start, e.end) for e in d.entities]):
            inside = [e.shifted(-unit.start) for e in d.entities if unit.start <= e.start and e.end <= unit.end]
            found.append((d.text[unit.start : unit.end], tuple(sorted(inside))))
    return found


def verifier(pool: Pool, labels: Iterable[str]) -> VerifyEntities:
    """Return the verification stage over `pool`."""
    program = ProgramSpec(labels=dict.fromkeys(labels, ""), verify={"name": "boundary"}).build(pool=pool)
    assert program.verify is not None
    return program.verify


def mended(documents: Iterable[Document], verify: VerifyEntities, seeds: Iterable[int]) -> tuple[float, float, float]:
    """Return strict F1 of drifted answers: looked up as they are, aligned, and aligned and verified."""
    found, aligned, verified = Counts(), Counts(), Counts()
    for seed in seeds:
        draw = random.Random(seed)
        for text, gold in units(documents):
            said = drifted(text, gold, draw)
            there = [(text.find(m.text), m) for m in said]
            candidates = align(text, said, policy="ordered")
            mentions, _ = verify(text, "", candidates)
            found += Counts.of(gold, [Entity.of(text, at, at + len(m.text), m.label) for at, m in there if at >= 0])
            aligned += Counts.of(gold, candidates)
            verified += Counts.of(gold, align(text, mentions, policy="ordered"))
    return found.f1, aligned.f1, verified.f1
