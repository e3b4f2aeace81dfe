"""NCBI Disease (Doğan 2014): 793 abstracts, every mention of a disease; the IOB2 form, by sentence."""

from __future__ import annotations

from pathlib import Path

from experiments.corpora._base import Corpus
from experiments.corpora._public import load
from ner_programs.types import Label

DISEASE = Label(
    "Disease",
    "A disease, disorder, syndrome, cancer, or class of diseases, named in full or abbreviated, also where the name "
    "modifies another noun.",
)
SIZES = {"train": (5424, 5134), "dev": (923, 787), "test": (940, 960)}


def build(*, path: Path | None = None, data: Path) -> Corpus:
    """Read `corpora/ncbi-disease/iob` of the data directory, or the folder `path`."""
    return load("ncbi_disease", path or data / "corpora" / "ncbi-disease" / "iob", (DISEASE,), SIZES)
