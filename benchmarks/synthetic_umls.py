"""A knowledge base of any size that looks like UMLS from afar: made up, and the same for the same size and seed.

Per concept 4 names and 5 relations, as 1,000,000 concepts, 4,000,000 names and 5,000,000 relations. Words come in two
kinds, as in medical names: some thousand that stand in very many names ("chronic", "renal") and a long tail that grows
with the size. A tenth of the names is an abbreviation, so ambiguous and found in its own case only. A quarter of the relations
is a hierarchy some twenty levels deep, a few concepts of which have a great many children; the others are of twelve kinds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from kb import Concept, Relation

NAMES, RELATIONS, TYPES = 4, 5, 127
SEED = 20_240_601
_KINDS = (
    "part_of", "finding_site_of", "causative_agent_of", "associated_morphology_of", "method_of", "has_ingredient", "treats",
    "may_prevent", "interprets", "due_to", "mapped_to", "has_dose_form",
)  # fmt: skip
_PARTS = "ar bel cor dys en fib glo hem is jun kar leu mye neph ost pol rhi scle thro ur vas xan yst zin".split()  # noqa: SIM905
_ENDS = "a al oma itis osis emia pathy plasty ine ol um ic".split()  # noqa: SIM905


def items(concepts: int, seed: int = SEED) -> Iterator[Concept | Relation]:
    """That many concepts, and their relations, streaming."""
    rng, words = random.Random(seed), Words(concepts)
    for number in range(concepts):
        yield concept(number, rng, words)
        for _ in range(RELATIONS):
            yield _relation(number, concepts, rng)


class Words:
    """Made-up words: common ones first, and so many rare ones that these stand in about five names each."""

    def __init__(self, concepts: int) -> None:
        self.count = 2_000 + 2 * concepts

    def one(self, rng: random.Random) -> str:
        return word(rng.randrange(2_000) if rng.random() < 0.6 else rng.randrange(self.count))


def word(number: int) -> str:
    """The word of a number; different ones differ."""
    number, end = divmod(number, len(_ENDS))
    text = _ENDS[end]
    while True:
        number, part = divmod(number, len(_PARTS))
        text = _PARTS[part] + text
        if not number:
            return text
        number -= 1


def concept(number: int, rng: random.Random, words: Words) -> Concept:
    names = [name(rng, words) for _ in range(NAMES)]
    if rng.random() < 0.1 * NAMES:
        names[-1] = "".join(rng.choice("ABCDEFGHIJKLMNOPRSTUVW") for _ in range(rng.randint(3, 4)))
    definition = " ".join(words.one(rng) for _ in range(25)) if rng.random() < 0.2 else ""
    return Concept(
        f"C{number:07d}", names[0], f"T{number % TYPES:03d}", tuple(names[1:]), definition, (f"MESH:D{number:06d}",)
    )


def name(rng: random.Random, words: Words) -> str:
    """One to eight words, as UMLS has them: two or three mostly."""
    length = rng.choices(range(1, 9), (12, 26, 24, 15, 10, 6, 4, 3))[0]
    return " ".join(words.one(rng) for _ in range(length))


def _relation(number: int, concepts: int, rng: random.Random) -> Relation:
    if rng.random() < 0.25 and number:
        above = rng.randrange(number) if rng.random() < 0.9 else rng.randrange(min(number, 50))
        return Relation(f"C{number:07d}", "is_a", f"C{above:07d}")
    other = rng.randrange(concepts)
    return Relation(f"C{number:07d}", rng.choice(_KINDS), f"C{other:07d}")


def sentences(concepts: int, count: int, seed: int = SEED, length: int = 25) -> list[str]:
    """Sentences of `length` words, each with two names of concepts (or as much as fits) among common and rare words."""
    known = random.Random(seed + 1)
    words, rng = Words(concepts), random.Random(seed)
    names: list[str] = []
    for number in range(min(concepts, 20_000)):  # the first are those that `items` yields first
        made = concept(number, rng, words)
        names.append(known.choice((made.name, *made.synonyms)))
        for _ in range(RELATIONS):
            _relation(number, concepts, rng)
    filler = ["with", "of", "in", "the", "was", "treated", "patient", "and", "after", "no"]
    texts = []
    for _ in range(count):
        parts = known.sample(names, 2)
        while sum(part.count(" ") + 1 for part in parts) < length:
            parts.append(known.choice(filler) if known.random() < 0.5 else words.one(known))
        known.shuffle(parts)
        texts.append(" ".join(" ".join(parts).split()[:length]))
    return texts
