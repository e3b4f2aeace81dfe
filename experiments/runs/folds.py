"""`split = { folds = 5 }`: a small corpus tested whole, each fold by a program that was compiled without it.

Each fold is a run of its own, nested in the parent's: it compiles on the others (the next one is its dev) and is scored on its
dev and test. The parent pools the counts, so every document is tested once, and the interval is over all of them. Its own
bundle is compiled the same way on all of the documents, with the first fold as dev: its figures are those of programs made
with one fold less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from experiments.runs.scores import Scores, together
from experiments.spec import RunSpec

Run = Callable[[RunSpec, str, float], Scores]
"""Runs one fold: its spec, its name, and what the folds before it have cost."""


def number(spec: RunSpec) -> int:
    """Return over how many folds a spec runs: 0 where it asks for none, or is one of them itself."""
    split = spec.corpus.get("split")
    asked = split.get("folds", 0) if isinstance(split, dict) and "fold" not in split else 0
    return asked if isinstance(asked, int) else 0  # the reader complains of what is no number


def children(spec: RunSpec, labels: Mapping[str, str]) -> Iterator[tuple[str, RunSpec]]:
    """Yield the name and the spec of each fold's run, all with the labels of the whole corpus."""
    for fold in range(1, number(spec) + 1):
        corpus = {**spec.corpus, "split": {**spec.corpus["split"], "fold": fold}}
        yield f"fold {fold} of {number(spec)}", spec.model_copy(update={"corpus": corpus, "labels": dict(labels)})


def scored(spec: RunSpec, labels: Mapping[str, str], folder: Path, run: Run) -> Scores:
    """Run every fold, or read from `folder` what it ended with before the whole was killed, and pool."""
    done: list[Scores] = []
    for fold, (name, child) in enumerate(children(spec, labels), 1):
        file = folder / f"fold-{fold}.json"
        scores = Scores.read(file)
        if scores is None:
            scores = run(child, name, sum(s.spent.get("cost", 0) for s in done))
            scores.write(file)
        done.append(scores)
    return together(done)
