"""BC2GM (BioCreative II gene mention): 20,131 single sentences of MEDLINE, in the IOB2 form. Their abstracts are unknown."""

from __future__ import annotations

from pathlib import Path

from experiments.corpora.corpus import Corpus
from experiments.corpora.published import Published
from ner_programs.types import Label

GENE = Label("GENE", "A gene, protein, or family or domain of them, by its full name, symbol or abbreviation.")
ABOUT = Published(
    "bc2gm",
    "bc2gm",
    (GENE,),
    licence="Free for research (BioCreative II); a mirror gives MIT; the IOB2 form: CC BY 4.0",
    citation="Smith et al. 2008: Overview of BioCreative II gene mention recognition. Genome Biology 9, S2",
    sizes={"train": (12574, 15197), "dev": (2519, 3061), "test": (5038, 6325)},
)


def build(*, path: Path | None = None, data: Path) -> Corpus:
    """Read `corpora/bc2gm/iob` of the data directory, or the folder `path`."""
    return ABOUT.read(path, data)
