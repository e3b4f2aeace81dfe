"""BC5CDR with its chemicals only; sentences and documents are those of `bc5cdr`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from experiments.corpora import bc5cdr
from experiments.corpora.corpus import Corpus
from experiments.corpora.published import Form

ABOUT = replace(
    bc5cdr.ABOUT,
    name="bc5cdr_chemical",
    labels=(bc5cdr.CHEMICAL,),
    sizes={"train": (4560, 5203), "dev": (4581, 5347), "test": (4797, 5385)},
    documents={"train": (500, 5203), "dev": (500, 5347), "test": (500, 5385)},
)


def build(*, path: Path | None = None, data: Path, form: Form = "sentences") -> Corpus:
    """Read the files of `bc5cdr`, or the folder `path`; chemicals only."""
    return ABOUT.read(path, data, form)
