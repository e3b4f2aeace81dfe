"""i2b2/VA 2010: problems, treatments and tests in discharge and progress notes, in the IOB2 form if a user has it.

The data needs an agreement with its owners: only you may read it. There are several versions (the first had more notes than the
present one), so sizes are not checked. The original form is `i2b2_2010_documents`.
"""

from __future__ import annotations

from pathlib import Path

from experiments.corpora import conll
from experiments.corpora.corpus import Corpus
from experiments.corpora.published import Published
from ner_programs.privacy import PRIVATE
from ner_programs.types import Label

LABELS = (
    Label(
        "problem",
        "What is wrong with a patient, as observed or reported: disease, symptom, sign, injury, abnormal finding or "
        "germ, with its modifiers and articles, also where it is denied, possible or of a relative.",
    ),
    Label(
        "treatment",
        "What is done against a problem: drug, drug class, substance, procedure, surgery, therapy or device, with its "
        "modifiers and articles, without dose.",
    ),
    Label(
        "test",
        "What is done or measured to learn about a problem: lab quantity, vital sign, imaging study, examination or "
        "other procedure, with its modifiers and articles, without its result.",
    ),
)
ABOUT = Published(
    "i2b2_2010",
    "i2b2-2010",
    LABELS,
    licence="Data use agreement with n2c2 (Harvard Medical School, Department of Biomedical Informatics)",
    citation="Uzuner, South, Shen, DuVall 2011: 2010 i2b2/VA challenge on concepts, assertions, and relations in clinical "
    "text. Journal of the American Medical Informatics Association 18(5)",
    ask="it needs a data use agreement: ask the n2c2 data portal of Harvard Medical School for it",
    privacy=PRIVATE,
)


def build(*, path: Path | None = None, data: Path) -> Corpus:
    """Read `corpora/i2b2-2010/iob` of the data directory, or the folder `path`: train.*, test.*, and dev.* if it exists."""
    folder = ABOUT.found(path, data, f"{ABOUT.folder}/iob")
    return ABOUT.known(conll.build(path=folder, data=data), folder)
