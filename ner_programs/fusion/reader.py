"""The reader of a fusion: a CRF fitted once on the labelled texts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from ner_programs.demos import Demonstration
from ner_programs.tagger.consistency import Found, consistent
from ner_programs.tagger.copies import Copies
from ner_programs.tagger.crf import THRESHOLD as ALONE
from ner_programs.tagger.crf import Hint, HintTagger, Sample, best_spans, probable_spans
from ner_programs.tagger.crf import fit as fit_tagger
from ner_programs.tagger.features import Encoded, encoded
from ner_programs.tagger.linear_chain import Floats, LinearChain
from ner_programs.types import Entity

Hints = Callable[[str, Collection[str]], tuple[Hint, ...]]
"""Returns the names of the knowledge base in a text, without knowledge that comes only from the given documents."""

ITERATIONS = 60
LEAST = 0.05
"""Spans with a smaller probability are not looked at."""


class Reader:
    """The reader: a CRF fitted on labelled texts, with the features of the in-context CRF."""

    def __init__(self, labels: Sequence[str], chain: LinearChain, copies: Copies) -> None:
        self.labels, self.chain, self.copies = list(labels), chain, copies

    @classmethod
    def fit(cls, texts: Iterable[Demonstration], hints: Hints) -> Reader | None:
        """Fit a reader; None if no text has a mention."""
        tagger = fit_tagger([_sample(d, hints) for d in texts], iterations=ITERATIONS)
        if isinstance(tagger, HintTagger):
            return None
        return cls(tagger.labels, LinearChain.read(tagger.model, len(tagger.labels)), tagger.copies)

    def marginals(self, text: Encoded, labels: Sequence[str]) -> Floats:
        """Return the probability of each tag (columns, numbered by `labels`) of each token (rows)."""
        mine = self.chain.marginals(self.copies.features(text))
        found = np.zeros((len(mine), 1 + 2 * len(labels)))
        found[:, 0] = mine[:, 0]
        for n, label in enumerate(self.labels):
            if label in labels:
                at = 1 + 2 * labels.index(label)
                found[:, at : at + 2] = mine[:, 1 + 2 * n : 3 + 2 * n]
        return found

    def spans(self, text: str, hints: tuple[Hint, ...] = ()) -> list[Entity]:
        """Return the entities that the reader finds alone."""
        tokens = encoded(text, hints)
        return [
            Entity.of(text, tokens.offsets[a][0], tokens.offsets[b][1], self.labels[n], score=score)
            for a, b, n, score in best_spans(self.probable(text, tokens), len(tokens.offsets), ALONE)
        ]

    def probable(self, text: str, tokens: Encoded) -> list[Found]:
        """Return the spans that are not improbable, with probabilities averaged over the occurrences of a string."""
        chain = self.chain.chain(self.copies.features(tokens))
        return consistent(text, tokens.offsets, probable_spans(chain, LEAST))


def _sample(d: Demonstration, hints: Hints) -> Sample:
    return Sample(d.text, tuple(d.spans), hints(d.text, (d.document, d.group)))
