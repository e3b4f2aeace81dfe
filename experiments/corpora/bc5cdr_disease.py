"""BC5CDR with its diseases only; the sentences are those of `bc5cdr`."""

from __future__ import annotations

from pathlib import Path

from experiments.corpora._base import Corpus
from experiments.corpora._public import load
from experiments.corpora.bc5cdr import DISEASE, folder

SIZES = {"train": (4560, 4182), "dev": (4581, 4246), "test": (4797, 4424)}


def build(*, path: Path | None = None, data: Path) -> Corpus:
    """Read `corpora/bc5cdr/iob` of the data directory, or the folder `path`; diseases only."""
    return load("bc5cdr_disease", path or folder(data), (DISEASE,), SIZES)
