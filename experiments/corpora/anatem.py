"""AnatEM (Pyysalo 2014): anatomical entities of 1,212 abstracts and extracts; the IOB2 form, with one label.

Trap: it has almost all sentences of `bionlp13cg`, but in other parts: 44 sentences of its test are in train or dev there. Never
train on one and report the other.
"""

from __future__ import annotations

from pathlib import Path

from experiments.corpora.corpus import Corpus
from experiments.corpora.published import Published
from ner_programs.types import Label

ANATOMY = Label(
    "Anatomy",
    "A part of an organism above the level of molecules, healthy or not: body system or region, organ, tissue, cell, "
    "cell line, part of a cell, body fluid or secretion, growth or other abnormal structure.",
)
ABOUT = Published(
    "anatem",
    "anatem",
    (ANATOMY,),
    licence="CC BY-SA 3.0; the IOB2 form: CC BY 4.0",
    citation="Pyysalo, Ananiadou 2014: Anatomical entity mention recognition at literature scale. Bioinformatics 30(6)",
    sizes={"train": (5861, 6946), "dev": (2118, 2139), "test": (3830, 4616)},
    remarks=("shares almost all sentences of bionlp13cg, across parts: never train on one and report the other",),
)


def build(*, path: Path | None = None, data: Path) -> Corpus:
    """Read `corpora/anatem/iob` of the data directory, or the folder `path`."""
    return ABOUT.read(path, data)
