"""What train shares with dev and test: left out of everything that learns, so that no score rests on a text seen before.

A train document whose whole text stands in dev or test, but for case and blanks, is taken out of train: it reaches neither
demonstrations nor optimizers, gazetteers or fitted baselines. A single sentence that longer documents share ("No acute distress
today .") is how people write; it stays, and is never shown as a demonstration for its own text (`ner_programs.demos.plain`).

A dev document whose text stands in test stays: dev is scored as it was published, and a remark says how many there are.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.corpora.corpus import Corpus
from ner_programs.demos import plain


def without_shared(corpus: Corpus) -> Corpus:
    """Return the corpus without the train documents that also stand in dev or test; remarks count them, and dev's in test."""
    dev, test = ([plain(d.text) for d in corpus.part(part)] for part in ("dev", "test"))
    held, tested = {*dev, *test}, set(test)
    train = tuple(d for d in corpus.train if plain(d.text) not in held)
    counts = {
        "train documents that also stand in dev or test, left out": len(corpus.train) - len(train),
        "dev documents that also stand in test, kept": sum(text in tested for text in dev),
    }
    made = [f"{what}: {number}" for what, number in counts.items() if number]
    return replace(corpus, train=train, remarks=tuple(dict.fromkeys((*corpus.remarks, *made)))) if made else corpus
