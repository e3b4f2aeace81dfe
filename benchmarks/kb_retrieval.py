"""Retrieval into the prompt: does it bring what is meant, how fast, and what is it worth; on dev only.

    python benchmarks/kb_retrieval.py --data ../shared/data [--json] [--no-f1]

The knowledge base is DOID, MONDO, HPO and MeSH C and F03, merged through their cross references. `gold`: the share of the
gold concepts of a sentence (NCBI-disease dev, distinct in a sentence, of those that the knowledge base has or refers to)
that are among the first eight items retrieved for it, its abstract being known. `walk_us`: a 2-hop walk along is_a from a
gold concept; `retrieval_us`: a whole retrieval of a sentence; medians. `f1`: the in-context CRF with each kind of knowledge
(`_retrieval_f1.py`); it writes docs/results/knowledge.md, and takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from benchmarks import _retrieval_f1
from benchmarks._vocabularies import joint_diseases
from experiments.corpora.pubtator import read
from kb import KnowledgeBase, Retriever
from kb.merging import canonical
from kb.retrievers import flat, walk
from ner_programs.units import split

BUDGET = 8
WAYS: dict[str, dict[str, Any]] = {
    "flat": {},
    "walk": {},
    "walk, 2 hops": {"hops": 2},
    "walk, both ways": {"direction": "both"},
    "walk, 2 hops, both ways": {"hops": 2, "direction": "both"},
}


@dataclass(frozen=True)
class Sentence:
    text: str
    document: str
    gold: frozenset[frozenset[str]]  # for each gold concept the ids of the knowledge base, any of which is right


def sentences(kb: KnowledgeBase, data: Path) -> Iterator[Sentence]:
    known: dict[str, set[str]] = {}
    for concept in kb.concepts:
        for id in (concept.id, *concept.xrefs):
            known.setdefault(canonical(id), set()).add(concept.id)
    for document in read(data / "corpora/ncbi-disease/pubtator/dev.txt", Counter()):
        spans = [(e.start, e.end) for e in document.entities]
        for unit in split(document.text, keep=spans):
            here = [e.concept or "" for e in document.entities if unit.start <= e.start < unit.end]
            ids = [map(canonical, filter(None, re.split(r"[|+]", concept))) for concept in here]
            gold = {frozenset(c for id in each for c in known.get(id, ())) for each in ids}
            yield Sentence(document.text[unit.start : unit.end], document.text, frozenset(gold - {frozenset()}))


def share(retriever: Retriever, asked: list[Sentence]) -> float:
    """Of the gold concepts, those among the first items."""
    right = wanted = 0
    for sentence in asked:
        ids = {item.concept.id for item in retriever(sentence.text, sentence.document)[:BUDGET]}
        right += sum(not gold.isdisjoint(ids) for gold in sentence.gold)
        wanted += len(sentence.gold)
    return round(right / wanted, 4)


def microseconds(work: Any, arguments: list[tuple[Any, ...]]) -> float:
    taken = []
    for values in arguments:
        began = time.perf_counter()
        work(*values)
        taken.append(time.perf_counter() - began)
    return round(median(taken) * 1e6, 1)


def run(data: Path, f1: bool) -> dict[str, Any]:
    kb = KnowledgeBase.of(joint_diseases(data))
    asked = list(sentences(kb, data))
    result: dict[str, Any] = {
        "concepts": len(kb), "sentences": len(asked), "gold": sum(len(s.gold) for s in asked),
        "walk_us": microseconds(kb.walk, [(min(g), 2, ("is_a",)) for s in asked for g in s.gold]),
        "ways": {},
    }  # fmt: skip
    for name, options in WAYS.items():
        retriever = (flat if name == "flat" else walk).build(kb=kb, **options)
        gold = share(retriever, asked)  # also warms the caches that a running program has
        result["ways"][name] = {
            "gold": gold,
            "retrieval_us": microseconds(retriever, [(s.text, s.document) for s in asked]),
        }
    if f1:
        result["f1"] = _retrieval_f1.measured(kb, data)
        page = Path(__file__).resolve().parents[1] / "docs/results/knowledge.md"
        page.write_text(_retrieval_f1.page(result), encoding="utf-8")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data directory")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--no-f1", action="store_true", help="without the in-context CRF; writes no page")
    options = parser.parse_args()
    result = run(options.data, not options.no_f1)
    if options.json:
        print(json.dumps({"benchmark": "kb_retrieval", **result}))
        return
    print(f"{result['gold']} gold concepts in {result['sentences']} sentences; 2-hop walk {result['walk_us']} µs")
    for name, row in result["ways"].items():
        print(f"{name:24} gold among {BUDGET}: {row['gold']:.4f}   {row['retrieval_us']} µs a sentence")
    for name, rows in result.get("f1", {}).items():
        for row, said in rows.items():
            print(f"{name:30} {row:18} {said}")


if __name__ == "__main__":
    main()
