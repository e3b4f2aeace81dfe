"""What each kind of knowledge is worth to the offline engine, in F1 on dev, for `kb_retrieval.py`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from experiments.corpora import bc5cdr_disease, ncbi_disease
from experiments.corpora._base import Corpus
from experiments.session import session
from experiments.significance import paired, pooled
from experiments.spec import Model
from kb import KnowledgeBase
from ner_programs import Counts, Document, Pool, ProgramSpec
from optimizers._base import score

K, SIZE = 32, 4000  # demonstrations; characters of knowledge: room for all facts, so that rows differ in nothing else
ROWS: dict[str, dict[str, Any]] = {
    "none": {"name": "none"},
    "flat, type": {"name": "flat"},
    "flat, definition": {"name": "flat", "fields": "definition"},
    "graph": {"name": "walk", "hops": 4, "facts": 10},
}
AGAINST = {"flat, type": ("none",), "flat, definition": ("flat, type",), "graph": ("flat, type", "flat, definition")}
DEV = {"ncbi_disease": 923, "bc5cdr_disease": 300}  # sentences
POOLS, DRAWS, SHOWN = (50, 200), 5, 100  # of the small pools: sizes, draws, dev sentences
Rows = dict[str, list[list[Counts]]]  # row -> draws -> dev sentences


def measured(kb: KnowledgeBase, data: Path) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for module in (ncbi_disease, bc5cdr_disease):
        corpus = module.build(data=data)
        dev = sample(corpus.dev, DEV[corpus.name], 0)
        result[f"{corpus.name}, all of train"] = table(scored(kb, corpus, [corpus.train], dev), dev)
        small = sample(corpus.dev, SHOWN, 0)
        for size in POOLS:
            pools = [sample(corpus.train, size, draw) for draw in range(1, DRAWS + 1)]
            result[f"{corpus.name}, {size} of train"] = table(scored(kb, corpus, pools, small), small)
    return result


def sample(documents: Sequence[Document], size: int, seed: int) -> list[Document]:
    return random.Random(seed).sample(list(documents), min(size, len(documents)))


def scored(kb: KnowledgeBase, corpus: Corpus, pools: Sequence[Sequence[Document]], dev: list[Document]) -> Rows:
    (label,) = corpus.suggested_labels
    settings: dict[str, Any] = {"format": {"name": "tanl"}, "demos": {"name": "tfidf", "k": K}, "unit": corpus.unit}
    rows: Rows = {}
    for name, retriever in ROWS.items():
        spec = ProgramSpec(
            labels={label.name: label.definition}, retriever=retriever, knowledge_size=SIZE, **settings
        )
        with session(Model(), private=False):
            rows[name] = [list(score(spec.build(kb, Pool.of(pool, corpus.unit)), dev).counts) for pool in pools]
    return rows


def table(rows: Rows, dev: list[Document]) -> dict[str, Any]:
    """Mean F1 and its spread over draws; differences are paired by abstract, the draws of one abstract added up."""
    groups = [document.group for document in dev]
    summed = {
        name: pooled([c for counts in draws for c in counts], groups * len(draws)) for name, draws in rows.items()
    }
    said: dict[str, Any] = {}
    for name, draws in rows.items():
        f1s = [sum(counts, Counts()).f1 for counts in draws]
        said[name] = {"f1": round(fmean(f1s), 4), "sd": round(stdev(f1s), 4) if len(f1s) > 1 else None, "against": {}}
        for other in AGAINST.get(name, ()):
            d = paired(summed[other], summed[name])
            figures = {"delta": round(d.delta, 4), "ci95": [round(d.lo, 4), round(d.hi, 4)]}
            said[name]["against"][other] = figures | {"significant": d.significant}
    return said


def page(result: dict[str, Any]) -> str:
    lines = ["# Knowledge in the prompt", "", "    python benchmarks/kb_retrieval.py --data DIR", "", READING, ""]
    lines += ["| retriever | gold concepts among 8 | µs a sentence |", "|---|---|---|"]
    lines += [f"| {name} | {row['gold']:.3f} | {row['retrieval_us']:.0f} |" for name, row in result["ways"].items()]
    lines += ["", f"A 2-hop walk along is_a takes {result['walk_us']:.0f} µs (median).", ""]
    for name, rows in result["f1"].items():
        lines += [f"## {name}", "", "| knowledge | F1 | differences (95 %) |", "|---|---|---|"]
        for row, said in rows.items():
            spread = "" if said["sd"] is None else f" ± {said['sd']:.3f}"
            differences = "; ".join(_difference(other, d) for other, d in said["against"].items())
            lines.append(f"| {row} | {said['f1']:.3f}{spread} | {differences} |")
        lines.append("")
    return "\n".join(lines)


def _difference(other: str, d: dict[str, Any]) -> str:
    lo, hi = d["ci95"]
    return f"{d['delta']:+.3f} ({lo:+.3f} to {hi:+.3f}){'*' if d['significant'] else ''} to {other}"


READING = ""
