"""BC5CDR (BioCreative V CDR): 1,500 abstracts, chemicals and diseases; the IOB2 form, by sentence."""

from __future__ import annotations

from pathlib import Path

from experiments.corpora._base import Corpus
from experiments.corpora._public import load
from ner_programs.types import Label

CHEMICAL = Label(
    "Chemical",
    "A drug, chemical element, compound or class of compounds, named in full, by brand, formula or abbreviation; "
    "no protein or gene.",
)
DISEASE = Label(
    "Disease",
    "A disease, disorder, symptom, adverse effect or abnormal finding of a patient or animal, named in full or "
    "abbreviated.",
)
SIZES = {"train": (4560, 9385), "dev": (4581, 9593), "test": (4797, 9809)}


def build(*, path: Path | None = None, data: Path) -> Corpus:
    """Read `corpora/bc5cdr/iob` of the data directory, or the folder `path`; both types."""
    return load("bc5cdr", path or folder(data), (CHEMICAL, DISEASE), SIZES)


def folder(data: Path) -> Path:
    """Return where the corpus lies in the data directory."""
    return data / "corpora" / "bc5cdr" / "iob"
