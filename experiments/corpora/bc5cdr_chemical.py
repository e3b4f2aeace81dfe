"""BC5CDR with its chemicals only; the sentences are those of `bc5cdr`."""

from __future__ import annotations

from pathlib import Path

from experiments.corpora._base import Corpus
from experiments.corpora._public import load
from experiments.corpora.bc5cdr import CHEMICAL, folder

SIZES = {"train": (4560, 5203), "dev": (4581, 5347), "test": (4797, 5385)}


def build(*, path: Path | None = None, data: Path) -> Corpus:
    """Read `corpora/bc5cdr/iob` of the data directory, or the folder `path`; chemicals only."""
    return load("bc5cdr_chemical", path or folder(data), (CHEMICAL,), SIZES)
