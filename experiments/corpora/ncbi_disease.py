"""NCBI Disease (Doğan 2014): 793 abstracts, every mention of a disease.

By sentence (IOB2), or with `form = "documents"` by abstract (PubTator). In the PubTator form, one duplicate abstract in train
is kept once, the four types (specific disease, class, modifier, composite) are one label, and mentions have concepts.
"""

from __future__ import annotations

from pathlib import Path

from experiments.corpora.corpus import Corpus
from experiments.corpora.published import Form, Published
from ner_programs.types import Label

DISEASE = Label(
    "Disease",
    "A disease, disorder, syndrome, cancer, or class of diseases, named in full or abbreviated, also where the name "
    "modifies another noun.",
)
ABOUT = Published(
    "ncbi_disease",
    "ncbi-disease",
    (DISEASE,),
    licence="Public domain (work of the United States Government); the IOB2 form: CC BY 4.0",
    citation="Doğan, Leaman, Lu 2014: NCBI disease corpus: a resource for disease name recognition and concept "
    "normalization. Journal of Biomedical Informatics 47",
    sizes={"train": (5424, 5134), "dev": (923, 787), "test": (940, 960)},
    documents={"train": (592, 5134), "dev": (100, 787), "test": (100, 960)},
    types=dict.fromkeys(("SpecificDisease", "DiseaseClass", "Modifier", "CompositeMention"), "Disease"),
)


def build(*, path: Path | None = None, data: Path, form: Form = "sentences") -> Corpus:
    """Read `corpora/ncbi-disease/iob` (or `pubtator`, for documents) of the data directory, or the folder `path`."""
    return ABOUT.read(path, data, form)
