"""LINNAEUS (Gerner 2010): species in 100 full-text articles; the IOB2 form.

Headings repeat across articles: 564 of 7,142 test sentences are also in train (19 of them have 8 tokens or more).
"""

from __future__ import annotations

from pathlib import Path

from experiments.corpora.corpus import Corpus
from experiments.corpora.published import Published
from ner_programs.types import Label

SPECIES = Label(
    "Species",
    "A species, genus, strain or other kind of organism by its scientific or common name, full or abbreviated, also "
    "where the name stands for its members, such as people or their patients.",
)
ABOUT = Published(
    "linnaeus",
    "linnaeus",
    (SPECIES,),
    licence="CC BY 4.0",
    citation="Gerner, Nenadic, Bergman 2010: LINNAEUS: a species name identification system for biomedical literature. "
    "BMC Bioinformatics 11, 85",
    sizes={"train": (11935, 2119), "dev": (4078, 711), "test": (7142, 1433)},
)


def build(*, path: Path | None = None, data: Path) -> Corpus:
    """Read `corpora/linnaeus/iob` of the data directory, or the folder `path`."""
    return ABOUT.read(path, data)
