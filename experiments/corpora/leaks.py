"""Removes train documents that are also in dev or test, so that no score depends on a text seen in training.

A train document whose whole text is in dev or test (ignoring case and blanks) is removed from train: demonstrations,
optimizers, gazetteers and fitted baselines do not see it. A single sentence that longer documents share ("No acute distress
today .") is common in notes. It stays, but is never a demonstration for its own text (`ner_programs.demos.plain`).

A dev document whose text is in test stays, because dev is scored as published; a remark has their number.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.corpora.corpus import Corpus
from ner_programs.demos import plain


def without_shared(corpus: Corpus) -> Corpus:
    """Return the corpus without train documents that are also in dev or test. Remarks count them, and dev documents in test."""
    dev, test = ([plain(d.text) for d in corpus.part(part)] for part in ("dev", "test"))
    held, tested = {*dev, *test}, set(test)
    train = tuple(d for d in corpus.train if plain(d.text) not in held)
    counts = {
        "train documents that also stand in dev or test, left out": len(corpus.train) - len(train),
        "dev documents that also stand in test, kept": sum(text in tested for text in dev),
    }
    made = [f"{what}: {number}" for what, number in counts.items() if number]
    return replace(corpus, train=train, remarks=tuple(dict.fromkeys((*corpus.remarks, *made)))) if made else corpus
