"""Public benchmark corpora in the IOB2 form of MTL-Bioinformatics-2016: found in the data directory and counted.

The IOB2 files do not say where an abstract begins. Where the PubTator form lies beside them (`../pubtator`), it does:
every sentence of NCBI Disease and BC5CDR is found in it, in unbroken runs, one for each abstract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from experiments._errors import ReadError
from experiments.corpora import pubtator
from experiments.corpora._abstracts import place
from experiments.corpora._base import PARTS, Corpus, Documents
from experiments.corpora.iob2 import build
from ner_programs.types import Label

Sizes = Mapping[str, tuple[int, int]]  # part -> sentences, mentions


def load(name: str, folder: Path, labels: tuple[Label, ...], expected: Sizes) -> Corpus:
    """Read the folder, keep the mentions of `labels` and check the sizes: mirrors of these corpora do differ.

    With abstracts known, a sentence's group is its PMID and the bootstrap draws documents; else it draws sentences.
    """
    if not folder.is_dir():
        raise ReadError(f"{name}: there is no folder {folder}; say where the data lies with --data or NERC_DATA")
    corpus = _with_abstracts(build(path=folder, data=folder, private=False), folder.parent / "pubtator")
    names = {label.name for label in labels}
    train, dev, test = (_only(getattr(corpus, part), names) for part in PARTS)
    for part, documents in zip(PARTS, (train, dev, test), strict=True):
        found = len(documents), sum(len(d.entities) for d in documents)
        if found != expected[part]:
            sizes = "{} sentences and {} mentions"
            raise ReadError(
                f"{name}: {folder} holds {sizes.format(*found)} in {part}; "
                f"the corpus has {sizes.format(*expected[part])}: this is another version of it, or a damaged copy"
            )
    return replace(corpus, name=name, train=train, dev=dev, test=test, labels=labels)


def _with_abstracts(corpus: Corpus, folder: Path) -> Corpus:
    if not folder.is_dir():
        return corpus
    abstracts = pubtator.build(path=folder, data=folder)
    train, dev, test = (place(getattr(corpus, part), getattr(abstracts, part)) for part in PARTS)
    if train is None or dev is None or test is None:
        return replace(
            corpus,
            remarks=(
                *corpus.remarks,
                f"not every sentence is in an abstract of {folder}",
            ),
        )
    return replace(corpus, train=train, dev=dev, test=test, resampling="document")


def _only(documents: Documents, names: set[str]) -> Documents:
    return tuple(replace(d, entities=tuple(e for e in d.entities if e.label in names)) for d in documents)
