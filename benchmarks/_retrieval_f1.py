"""What each kind of knowledge is worth to the in-context CRF, in F1 on dev, for `kb_retrieval.py`."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import dspy

from experiments.corpora import bc5cdr_disease, ncbi_disease
from experiments.corpora.corpus import Corpus
from experiments.scoring.significance import paired, pooled
from experiments.session import session
from experiments.spec import Model
from kb import KnowledgeBase
from ner_programs import Counts, Document, Pool, ProgramSpec, open_lm
from ner_programs.evaluate import score
from ner_programs.privacy import PUBLIC
from ner_programs.tagger import features

K, SIZE = 32, 4000  # demonstrations; characters of knowledge: room for all facts, so that rows differ in nothing else
ROWS: dict[str, dict[str, Any]] = {
    "none": {"name": "none"},
    "flat, type": {"name": "flat"},
    "flat, definition read": {"name": "flat", "fields": "definition"},
    "graph, facts read": {"name": "walk", "hops": 4, "facts": 10},
}
AGAINST = {
    "flat, type": ("none",), "flat, definition read": ("flat, type",),
    "graph, facts read": ("flat, type", "flat, definition read"),
}  # fmt: skip
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
        spec = ProgramSpec(labels={label.name: label.definition}, retriever=retriever, knowledge_size=SIZE, **settings)
        with reading_facts() if name.endswith("read") else session(Model(), privacy=PUBLIC):
            rows[name] = [list(score(spec.build(kb, Pool.of(pool, corpus.unit)), dev).counts) for pool in pools]
    return rows


@contextmanager
def reading_facts() -> Iterator[None]:
    """The engine with more than it has: everything a knowledge line says is a feature of what the line names.

    In this process, where it can be changed.
    """
    plain = features.features

    def more(text: str, offsets: Sequence[features.Offsets], hints: Iterable[features.Hint]) -> list[list[str]]:
        places = features.named(offsets, hints)
        return [
            [*row, *(f"{place[0]}f={features.safe(fact)}" for fact in place[1].facts)] if place else row
            for row, place in zip(plain(text, offsets, hints), places, strict=True)
        ]

    features.features = more
    features.encoded.cache_clear()
    try:
        with dspy.context(lm=open_lm(), disable_history=True, track_usage=False):
            yield
    finally:
        features.features = plain
        features.encoded.cache_clear()


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


READING = """\
Figures are of dev. Rows are the in-context CRF with the 32 nearest demonstrations, not a language model. The knowledge base
is DOID, MONDO, HPO and MeSH C and F03, merged. Small pools: five draws, mean ± sd, 100 dev sentences; differences are paired
by abstract, the draws added up. `*`: the 95 % interval excludes 0; not corrected for the number of rows.

**Knowledge helps: the dictionary alone brings 5 to 14 points with all of train, 15 to 34 with 200 labelled sentences,
33 to 49 with 50. The graph does not beat the dictionary here.** Of a knowledge line the engine reads the surface and the
label (or that it has none), so to the engine as it is `walk` and `flat` are the same. The rows "read" are the engine with
every other statement of a line as a feature of the words it names: no better with all of train, and with few labels clearly
worse. The likely reason: one weight for "knowledge names this a label" carries over to concepts never seen, and a few
demonstrations share it out between that and facts that the next concept does not have. The facts also say little that a
label does not: each concept of this knowledge base is of one semantic type, and what an annotator takes for a mention is
more a matter of span and style than of ancestry. A language model reads facts otherwise; this page does not speak of it.

Tried on smaller samples of dev (120 to 400 sentences) and left out, since none was better than `flat` on both corpora at
both sizes: the words of facts or of definitions, their last words, parents alone or all ancestors as votes, the number of
facts, whether the text used a synonym, and the words that a text shares with the names of neighbours that it does not name
(parents, kinds).

What the graph is good for is finding: of the concepts that annotators meant, within eight items. What was walked to is ranked
by the words that its best name shares with the text; by distance alone it was .811 instead of .851 both ways."""
