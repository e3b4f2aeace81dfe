"""BC5CDR (BioCreative V CDR): 1,500 abstracts, chemicals and diseases.

By sentence (IOB2), or with `form = "documents"` by abstract (PubTator, with concepts). The IOB2 form widens the few mentions
that end inside a token, and has 4,246 dev diseases where the PubTator form has 4,244.
"""

from __future__ import annotations

from pathlib import Path

from experiments.corpora.corpus import Corpus
from experiments.corpora.published import Form, Published
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
ABOUT = Published(
    "bc5cdr",
    "bc5cdr",
    (CHEMICAL, DISEASE),
    licence="Public Domain Mark 1.0; the IOB2 form: CC BY 4.0",
    citation="Li et al. 2016: BioCreative V CDR task corpus: a resource for chemical disease relation extraction. "
    "Database 2016, baw068",
    sizes={"train": (4560, 9385), "dev": (4581, 9593), "test": (4797, 9809)},
    documents={"train": (500, 9385), "dev": (500, 9591), "test": (500, 9809)},
)


def build(*, path: Path | None = None, data: Path, form: Form = "sentences") -> Corpus:
    """Read `corpora/bc5cdr/iob` (or `pubtator`, for documents) of the data directory, or the folder `path`."""
    return ABOUT.read(path, data, form)
