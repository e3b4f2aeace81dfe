"""BC2GM (BioCreative II gene mention): 20,131 single sentences of MEDLINE; the IOB2 form."""

from __future__ import annotations

from pathlib import Path

from experiments.corpora._base import Corpus
from experiments.corpora._public import load
from ner_programs.types import Label

GENE = Label("GENE", "A gene, protein, or family or domain of them, by its full name, symbol or abbreviation.")
SIZES = {"train": (12574, 15197), "dev": (2519, 3061), "test": (5038, 6325)}


def build(*, path: Path | None = None, data: Path) -> Corpus:
    """Read `corpora/bc2gm/iob` of the data directory, or the folder `path`."""
    return load("bc2gm", path or data / "corpora" / "bc2gm" / "iob", (GENE,), SIZES)
