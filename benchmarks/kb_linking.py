"""From a gold mention to its concept: recall at 1 and 10 and look-ups per CPU second, beside other libraries.

    python benchmarks/kb_linking.py --data DIR [--json] [--peers PYTHON] [--calibrate]

NCBI-disease mentions whose gold id (MeSH or OMIM; of composite ones any) is the id or a cross reference of a concept.
`doid`: the Disease Ontology of 2024 alone; `joint`: with MONDO, HPO and MeSH C and F03, merged through cross references.
`lookups_per_cpu_s` counts all mentions, as they repeat in documents; `distinct_per_cpu_s` each string once, nothing
remembered. `brier` and `expected` say how well the score of the first link tells whether it is right. Peers get the names
of `doid` and the mentions with their abbreviations written out; they run in the Python given by --peers, where any of
gilda, simstring-pure and rapidfuzz is installed. Nothing is read from train. --calibrate fits the constants of
kb/linking.py on dev and prints them.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from math import log
from pathlib import Path
from statistics import fmean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from benchmarks._vocabularies import doid, joint_diseases
from experiments.corpora.pubtator import read
from kb import KnowledgeBase
from kb.linking import CALIBRATION, Link, Linker
from kb.merging import canonical
from kb.names.abbreviations import abbreviations, expand

REPEATS = 3


@dataclass(frozen=True)
class Case:
    mention: str
    known: dict[str, str]
    text: str
    gold: frozenset[str]  # concept ids of the knowledge base, any of which is right


def cases(kb: KnowledgeBase, data: Path, split: str) -> list[Case]:
    concepts: dict[str, set[str]] = {}
    for concept in kb.concepts:
        for id in (concept.id, *concept.xrefs):
            concepts.setdefault(canonical(id), set()).add(concept.id)
    found = []
    for document in read(data / f"corpora/ncbi-disease/pubtator/{split}.txt", Counter()):
        known = abbreviations(document.text)
        for entity in document.entities:
            ids = map(canonical, filter(None, re.split(r"[|+]", entity.concept or "")))
            if gold := frozenset(concept for id in ids for concept in concepts.get(id, ())):
                found.append(Case(entity.text, known, document.text, gold))
    return found


def ask(linker: Linker, case: Case) -> list[Link]:
    return linker.link(case.mention, document_abbreviations=case.known, context=case.text)


def figures(linker: Linker, found: list[Case]) -> dict[str, Any]:
    distinct = list({(case.mention, expand(case.mention, case.known)): case for case in found}.values())
    rates = [(rate(linker, found), rate(linker, distinct)) for _ in range(REPEATS)]
    answers = [ask(linker, case) for case in found]
    right = [bool(links) and links[0].concept in case.gold for links, case in zip(answers, found, strict=True)]
    sure = [links[0].score if links else 0.0 for links in answers]
    return recall(answers_ids(answers), found) | {
        "lookups_per_cpu_s": round(median(all_ for all_, _ in rates)),
        "distinct_per_cpu_s": round(median(one for _, one in rates)),
        "expected": round(fmean(sure), 4),
        "brier": round(fmean((s - r) ** 2 for s, r in zip(sure, right, strict=True)), 4),
    }


def rate(linker: Linker, found: list[Case]) -> float:
    linker.forget()
    began = time.process_time()
    for case in found:
        ask(linker, case)
    return len(found) / (time.process_time() - began)


def answers_ids(answers: list[list[Link]]) -> list[list[str]]:
    return [[link.concept for link in links] for links in answers]


def recall(answers: list[list[str]], found: list[Case]) -> dict[str, Any]:
    pairs = list(zip(answers, found, strict=True))
    return {
        "n": len(found),
        "r1": round(fmean(bool(case.gold & set(ids[:1])) for ids, case in pairs), 4),
        "r10": round(fmean(bool(case.gold & set(ids[:10])) for ids, case in pairs), 4),
    }


def peers(python: str, kb: KnowledgeBase, found: list[Case]) -> dict[str, Any]:
    """Each peer's figures, or why there are none."""
    mentions = [expand(case.mention, case.known) for case in found]
    names = [[name, c.id] for c in kb.concepts for name in (c.name, *c.synonyms)]
    worker = Path(__file__).with_name("_peers.py")
    asked = json.dumps({"names": names, "mentions": sorted(set(mentions))})
    try:
        done = subprocess.run([python, str(worker)], input=asked, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return {"skipped": f"{python} did not run: {error}"}
    rows: dict[str, Any] = {}
    for name, said in json.loads(done.stdout).items():
        if "skipped" in said:
            rows[name] = said
        else:
            answers = [said["answers"][mention] for mention in mentions]
            rows[name] = recall(answers, found) | {key: said[key] for key in ("distinct_per_cpu_s", "build_s")}
    return rows


def calibrate(linkers: list[tuple[Linker, list[Case]]]) -> None:
    from sklearn.linear_model import LogisticRegression

    seen: dict[str, list[tuple[float, bool]]] = {}
    for linker, found in linkers:
        for case in found:
            for link in ask(linker, case)[:1]:
                offset, slope = CALIBRATION[link.how]
                evidence = (log(link.score / (1 - link.score)) - offset) / slope
                seen.setdefault(link.how, []).append((evidence, link.concept in case.gold))
    for how, rows in seen.items():
        model = LogisticRegression().fit([[x] for x, _ in rows], [y for _, y in rows])
        right = fmean(y for _, y in rows)
        print(f'    "{how}": ({model.intercept_[0]:.2f}, {model.coef_[0][0]:.2f}),  # {len(rows)}, right {right:.2f}')


def run(data: Path, python: str, only_calibrate: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"dev": {}, "test": {}, "index": {}}
    bases = {"doid": KnowledgeBase.of(doid(data)), "joint": KnowledgeBase.of(joint_diseases(data))}
    linkers = {}
    for name, kb in bases.items():
        began = time.process_time()
        linkers[name] = Linker(kb)
        seconds = round(time.process_time() - began, 2)
        result["index"][name] = {"names": sum(1 + len(c.synonyms) for c in kb.concepts), "build_s": seconds}
    if only_calibrate:
        calibrate([(linkers[name], cases(kb, data, "dev")) for name, kb in bases.items()])
        return {}
    for split in ("dev", "test"):
        for name, kb in bases.items():
            result[split][name] = figures(linkers[name], cases(kb, data, split))
    result["dev"]["peers"] = peers(python, bases["doid"], cases(bases["doid"], data, "dev"))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data directory")
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="a Python that has the peers")
    parser.add_argument("--calibrate", action="store_true", help="fit the constants of kb/linking.py on dev")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    result = run(options.data, options.peers, options.calibrate)
    if options.json:
        print(json.dumps({"benchmark": "kb_linking", **result}))
    elif result:
        for part, rows in result.items():
            for name, row in (rows | rows.pop("peers", {})).items():
                said = row.items() if isinstance(row, dict) else [("", row)]
                print(f"{part:5} {name:16}", "  ".join(f"{key} {value}" for key, value in said))


if __name__ == "__main__":
    main()
