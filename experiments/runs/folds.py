"""Cross-validation, `split = { folds = 5 }`: each fold of a small corpus is tested by a program compiled without it.

Each fold is a run nested in the parent run. It compiles on the other folds (the next one is its dev) and is scored on its dev
and test. The parent pools the counts: every document is tested once, and the interval is over all documents. The parent's own
bundle is compiled in the same way on all documents, with the first fold as dev. So its figures come from programs that had one
fold less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from experiments.runs.scores import Scores, together
from experiments.spec import RunSpec

Run = Callable[[RunSpec, str, float], Scores]
"""Runs one fold, given its spec, its name, and the cost of the folds before it."""


def number(spec: RunSpec) -> int:
    """Return the number of folds of a spec; 0 if it has none or is itself a fold."""
    split = spec.corpus.get("split")
    asked = split.get("folds", 0) if isinstance(split, dict) and "fold" not in split else 0
    return asked if isinstance(asked, int) else 0  # the corpus reader reports an invalid number


def children(spec: RunSpec, labels: Mapping[str, str]) -> Iterator[tuple[str, RunSpec]]:
    """Yield the name and the spec of each fold's run, all with the labels of the whole corpus."""
    for fold in range(1, number(spec) + 1):
        corpus = {**spec.corpus, "split": {**spec.corpus["split"], "fold": fold}}
        yield f"fold {fold} of {number(spec)}", spec.model_copy(update={"corpus": corpus, "labels": dict(labels)})


def scored(spec: RunSpec, labels: Mapping[str, str], folder: Path, run: Run) -> Scores:
    """Run every fold and pool the scores. A fold that finished before an interruption is read from `folder`."""
    done: list[Scores] = []
    for fold, (name, child) in enumerate(children(spec, labels), 1):
        file = folder / f"fold-{fold}.json"
        scores = Scores.read(file)
        if scores is None:
            scores = run(child, name, sum(s.spent.get("cost", 0) for s in done))
            scores.write(file)
        done.append(scores)
    return together(done)
