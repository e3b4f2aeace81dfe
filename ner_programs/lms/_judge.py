"""How the offline engine verifies: a small classifier fitted on the decisions that the prompt demonstrates.

It keeps, rejects and relabels. It never re-bounds or adds: it has no evidence for that which the tagger had not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pycrfsuite

from ner_programs.lms._crf import Trainer, trained
from ner_programs.types import Verdict

SURE = 0.6
"""A candidate is only changed when the classifier is at least this sure."""
UNKNOWN = 0.5
"""How sure a verdict is that nothing shown speaks for or against."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate as the prompt shows it; `known_as` is the label its knowledge lines give the surface (None: none do)."""

    surface: str
    label: str
    text: str
    known_as: str | None


def judge(shown: Sequence[tuple[Candidate, Verdict]], candidates: Sequence[Candidate]) -> list[Verdict]:
    """Return a verdict for each candidate, learned from the candidates and verdicts `shown`."""
    examples = [(_features(c), _class(c, v)) for c, v in shown if v.kind != "add"]
    decided = _classify(examples, [_features(c) for c in candidates])
    return [_verdict(n, c, likely) for n, (c, likely) in enumerate(zip(candidates, decided, strict=True), 1)]


def _class(candidate: Candidate, verdict: Verdict) -> str:
    """Return what a decision says about the label: the right one, or "" for none. Boundaries are not judged."""
    return {"reject": "", "label": verdict.label}.get(verdict.kind, candidate.label)


def _verdict(number: int, candidate: Candidate, likely: Mapping[str, float]) -> Verdict:
    """Return the verdict and, as its score, how likely its class is: that of the label as it stands, of another, of none."""
    said, sure = max(likely.items(), key=lambda row: row[1], default=("", 0.0))
    if sure < SURE or said == candidate.label:
        return Verdict("keep", number, score=likely.get(candidate.label, 1 - sure) if likely else UNKNOWN)
    return Verdict("label", number, label=said, score=sure) if said else Verdict("reject", number, score=sure)


def _features(c: Candidate) -> list[str]:
    words = c.surface.casefold().split() or [""]
    before, _, after = c.text.casefold().partition(c.surface.casefold())
    left, right = (before.split() or ["^"])[-1], (after.split() or ["$"])[0]
    features = [
        "bias", f"label={c.label}", f"surface={' '.join(words)}", f"first={words[0]}", f"last={words[-1]}",
        f"suffix={words[-1][-3:]}", f"left={left}", f"right={right}", f"words={min(len(words), 4)}",
        f"upper={c.surface.isupper()}", f"known={c.known_as}", f"agrees={c.known_as == c.label}",
    ]  # fmt: skip
    return [f.encode("utf-8", "replace").decode("utf-8") for f in features]  # the library takes no lone surrogates


def _classify(examples: Sequence[tuple[list[str], str]], queries: Sequence[list[str]]) -> list[dict[str, float]]:
    """Return the probability of each class for each query, nothing where fewer than two classes are known.

    A CRF over sequences of one item is a logistic classifier.
    """
    classes = list(dict.fromkeys(c for _, c in examples))
    if len(classes) < 2:
        return [{}] * len(queries)
    trainer = Trainer(iterations=50, c2=1.0)
    for features, c in examples:
        trainer.append([features], [str(classes.index(c))])
    tagger = pycrfsuite.Tagger()
    model = trained(trainer)
    tagger.open_inmemory(model)
    decided = []
    for features in queries:
        tagger.set([features])
        decided.append({c: float(tagger.marginal(str(n), 0)) for n, c in enumerate(classes)})
    return decided
