"""Clinical attributes on MACCROBAT dev: none, by ConText's rules, learned from pools of several sizes, and learned with rules.

    python benchmarks/attributes.py --data ../shared/data [--pools 50 200 0] [--draws 5] [--json]

Spans are gold's, so every figure is of attributes alone; learning and rules see no attribute of the text that they judge. F1 of
each attribute has a 95 % interval by document (bootstrap); `delta` is the difference of F1 to the rules, paired by document,
with its interval. A pool is so many sentences of train with an entity (0: all), drawn at random as often as `--draws` says; its
counts are added up over the draws. Times are CPU seconds: of learning, and milliseconds for each sentence with an entity. Rows
with rules need nerc[attributes] and are left out without it. Nothing is read from test.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from experiments.corpora import maccrobat
from experiments.corpora.corpus import Corpus
from experiments.scoring.significance import interval, paired
from ner_programs import Document, Pool
from ner_programs.attributes import ATTRIBUTES, AttributeFinder, clinical
from ner_programs.attributes._sentences import sentences
from ner_programs.components import resolve
from ner_programs.scoring import Counts

SCOPES: dict[str, list[str] | None] = {"problems": ["Sign_symptom", "Disease_disorder"], "all 41 labels": None}
RULES = "rules"
Rows = dict[str, list[Counts]]


@dataclass
class Result:
    """What a way to find attributes gets on dev, and what it costs; `pool` is its number of labelled sentences."""

    way: str
    pool: int
    rows: Rows
    learning: float
    sentence: float


def judged(finder: AttributeFinder | None, documents: Sequence[Document]) -> tuple[Rows, float]:
    """Return the counts of each attribute for each document, and the milliseconds for each sentence."""
    rows: Rows = {name: [] for name in ATTRIBUTES}
    spent, number = 0.0, 0
    for d in documents:
        bare = [replace(e, attributes={}) for e in d.entities]
        number += len(sentences(d.text, bare))
        began = time.process_time()
        found = bare if finder is None else finder(d.text, bare)
        spent += time.process_time() - began
        pairs = [(clinical(g.attributes), clinical(f.attributes)) for g, f in zip(d.entities, found, strict=True)]
        for name, counts in rows.items():
            both = sum(name in gold and name in said for gold, said in pairs)
            said = sum(name in said for _, said in pairs)
            counts.append(Counts(both, said, sum(name in gold for gold, _ in pairs)))
    return rows, 1000 * spent / number


def learned(corpus: Corpus, size: int, draws: int, rules: bool) -> Result:
    """Return what is learned from pools of a size, with the counts of all draws added up."""
    whole = Pool.of(corpus.train)
    ids = [d.id for d in whole if d.mentions]
    totals: Rows = {}
    learning = sentence = 0.0
    for draw in range(draws if size else 1):
        kept = set(random.Random(draw).sample(ids, size) if size else ids)
        pool = whole.without({d.id for d in whole} - kept)
        spec = {"name": "learned", **({"rules": "en"} if rules else {})}
        began = time.process_time()
        finder = resolve("ner_programs.attributes", spec, pool=pool)
        finder.models.without(())
        learning += time.process_time() - began
        rows, each = judged(finder, corpus.dev)
        sentence += each
        for name, counts in rows.items():
            totals[name] = [a + b for a, b in zip(totals.get(name, [Counts()] * len(counts)), counts, strict=True)]
    n = draws if size else 1
    return Result(f"learned{' with rules' if rules else ''}", size or len(ids), totals, learning / n, sentence / n)


def results(corpus: Corpus, pools: Sequence[int], draws: int) -> Iterator[Result]:
    yield Result("none", 0, *_none(corpus))
    ruled = find_spec("medspacy") is not None
    if ruled:
        rules = resolve("ner_programs.attributes", {"name": "context"})
        rules("No fever.", corpus.dev[0].entities[:1])  # its import
        rows, each = judged(rules, corpus.dev)
        yield Result(RULES, 0, rows, 0.0, each)
    for with_rules in (False, True) if ruled else (False,):
        for size in pools:
            yield learned(corpus, size, draws, with_rules)


def _none(corpus: Corpus) -> tuple[Rows, float, float]:
    return judged(None, corpus.dev)[0], 0.0, 0.0


def figures(result: Result, rules: Result | None) -> dict[str, Any]:
    """Return the figures of each attribute that gold has."""
    made: dict[str, Any] = {}
    for name, counts in result.rows.items():
        total = sum(counts, Counts())
        if total.gold:
            lo, hi = interval(counts)
            made[name] = {"precision": total.precision, "recall": total.recall, "f1": total.f1, "ci95": [lo, hi]}
            if rules is not None and rules is not result:
                times = total.gold // sum(rules.rows[name], Counts()).gold
                same = [Counts(times * c.correct, times * c.predicted, times * c.gold) for c in rules.rows[name]]
                delta = paired(same, counts)
                made[name] |= {"delta": delta.delta, "delta_ci95": [delta.lo, delta.hi]}
        elif total.predicted:
            made[name] = {"said": total.predicted}
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pools", type=int, nargs="*", default=[50, 200, 1000, 0])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")  # of what medspaCy imports
    told: list[dict[str, Any]] = []
    for scope, types in SCOPES.items():
        corpus = maccrobat.build(data=given.data, types=types)
        rules: Result | None = None
        for result in results(corpus, given.pools, given.draws):
            rules = result if result.way == RULES else rules
            row = {"scope": scope, "way": result.way, "pool": result.pool, "attributes": figures(result, rules)}
            row |= {"learning_s": result.learning, "ms_a_sentence": result.sentence}
            told.append(row)
            if not given.json:
                print(_line(row), flush=True)
    if given.json:
        print(json.dumps(told))


def _line(row: dict[str, Any]) -> str:
    cells = []
    for name, f in row["attributes"].items():
        if "said" in f:
            cells.append(f"{name}: {f['said']} said, none in gold")
            continue
        delta = (
            f"; delta {f['delta']:+.2f} [{f['delta_ci95'][0]:+.2f}, {f['delta_ci95'][1]:+.2f}]" if "delta" in f else ""
        )
        both = f"P {f['precision']:.2f} R {f['recall']:.2f}"
        cells.append(f"{name} {f['f1']:.2f} [{f['ci95'][0]:.2f}, {f['ci95'][1]:.2f}] ({both}{delta})")
    cost = f"{row['learning_s']:.1f} s, {row['ms_a_sentence']:.2f} ms"
    return f"{row['scope']} | {row['way']} | {row['pool'] or ''} | {' | '.join(cells)} | {cost}"


if __name__ == "__main__":
    main()
