"""i2b2/VA 2010 in its original form: notes in .txt, concepts in .con, assertions in .ast, in the folders of its archives.

There is no official dev part: dev are the training notes whose file name has a SHA-256, as a number in [0, 1), below 0.2. Its
sizes are not checked, because there are several versions. The IOB2 form is `i2b2_2010`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from experiments.corpora import i2b2, i2b2_2010
from experiments.corpora._split import split
from experiments.corpora.corpus import Corpus, in_order
from experiments.corpora.labels import listed
from experiments.errors import ReadError

TRAIN = "concept_assertion_relation_training_data"
TEST, REFERENCE = "test_data", "reference_standard_for_test_data"
ABOUT = replace(i2b2_2010.ABOUT, name="i2b2_2010_documents")


def build(*, path: Path | None = None, data: Path) -> Corpus:
    """Read `corpora/i2b2-2010` of the data directory, or the folder `path`, with the unpacked archives."""
    folder = ABOUT.found(path, data, ABOUT.folder)
    remarks: Counter[str] = Counter()
    hospitals = sorted(place for place in (folder / TRAIN).glob("*") if (place / "txt").is_dir())
    if not hospitals:
        raise ReadError(f"{folder}: there is no {TRAIN}/*/txt; unpack the archives of the training data there")
    train = tuple(
        note
        for place in hospitals
        for note in i2b2.read(place / "txt", remarks, concepts=_concepts(place, "concept", "concepts"))
    )
    parts = split(train, dev=0.2, test=0.0)
    if (folder / TEST).is_dir():
        concepts = _concepts(folder / REFERENCE, "concepts", "concept")
        parts["test"] = tuple(i2b2.read(folder / TEST, remarks, concepts=concepts))
    return ABOUT.known(Corpus(ABOUT.name, *in_order(parts), remarks=listed(remarks)), folder)


def _concepts(folder: Path, *names: str) -> Path:
    """Return the first existing sub-folder: training data and reference standard have different names for it."""
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise ReadError(f"{folder}: there is no folder {' or '.join(names)} in it")
