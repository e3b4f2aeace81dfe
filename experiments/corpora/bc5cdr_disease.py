"""BC5CDR with its diseases only; sentences and documents are those of `bc5cdr`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from experiments.corpora import bc5cdr
from experiments.corpora.corpus import Corpus
from experiments.corpora.published import Form

ABOUT = replace(
    bc5cdr.ABOUT,
    name="bc5cdr_disease",
    labels=(bc5cdr.DISEASE,),
    sizes={"train": (4560, 4182), "dev": (4581, 4246), "test": (4797, 4424)},
    documents={"train": (500, 4182), "dev": (500, 4244), "test": (500, 4424)},
)


def build(*, path: Path | None = None, data: Path, form: Form = "sentences") -> Corpus:
    """Read the files of `bc5cdr`, or the folder `path`; diseases only."""
    return ABOUT.read(path, data, form)
