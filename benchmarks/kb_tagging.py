"""The dictionary as a tagger, without a language model: strict precision, recall and F1 on three corpora.

    python benchmarks/kb_tagging.py --data ../shared/data [--json]

NCBI Disease and BC5CDR diseases with DOID, MONDO, HPO and MeSH C and F03 merged; BC5CDR chemicals with DrugBank, DrugCentral,
the ChEBI slice and MeSH D. Rows: `raw` every name; `filtered` with the term filter of `kb.names`; `abbreviations` and with
the short forms that the abstract defines; `pruned` and without names that are wrong on train more often than right;
`train` and with the mentions of train (when train is scored for pruning, those of the other abstracts: cross-fitted).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from benchmarks._vocabularies import drugs, joint_diseases
from experiments.corpora import bc5cdr_chemical, bc5cdr_disease, ncbi_disease
from kb import Concept
from kb.names.abbreviations import abbreviations
from kb.names.filter import Filter
from kb.names.index import NameIndex
from kb.names.tagging import tag
from kb.names.tokens import normalise
from kb.pruning import Matches, misleading
from ner_programs.types import Document

Names = list[tuple[str, str, bool]]  # concept id, name, whether it is preferred
Known = Mapping[str, Mapping[str, str]]  # abstract -> its short and long forms
RAW = Filter(stop=frozenset(), shortest=1, own_case=0)
FOLDS = 5


def names(items: Iterable[Any]) -> Names:
    return [(c.id, n, n == c.name) for c in items if isinstance(c, Concept) for n in (c.name, *c.synonyms) if n]


def mentions(documents: Iterable[Document]) -> Names:
    return [(f"train:{normalise(e.text)}", e.text, True) for d in documents for e in d.entities]


def known(documents: Iterable[Document]) -> Known:
    texts: dict[str, list[str]] = defaultdict(list)
    for document in documents:
        texts[document.group].append(document.text)
    return {group: abbreviations(" ".join(parts)) for group, parts in texts.items()}


def matches(index: NameIndex, documents: Iterable[Document], short: Known) -> Matches:
    """The text of every match, its span and the gold spans, as pruning wants them."""
    for document in documents:
        found = tag(index, document.text, short.get(document.group))
        yield [(m.text, (m.start, m.end)) for m in found], {(e.start, e.end) for e in document.entities}


def scored(index: NameIndex, documents: Iterable[Document], short: Known) -> dict[str, float]:
    right = said = wanted = 0
    for found, gold in matches(index, documents, short):
        right += len(gold & {span for _, span in found})
        said, wanted = said + len(found), wanted + len(gold)
    precision, recall = right / max(said, 1), right / max(wanted, 1)
    f1 = 2 * right / max(said + wanted, 1)
    return {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4)}


def cross_fitted(base: Names, train: tuple[Document, ...], short: Known) -> Matches:
    """Matches on train of the dictionary with the mentions of the other folds; an abstract is in one fold whole."""
    groups = sorted({document.group for document in train})
    fold = {group: number % FOLDS for number, group in enumerate(groups)}
    for number in range(FOLDS):
        others = mentions(document for document in train if fold[document.group] != number)
        mine = [document for document in train if fold[document.group] == number]
        yield from matches(NameIndex.of([*base, *others]), mine, short)


def indexes(base: Names, train: tuple[Document, ...]) -> dict[str, NameIndex]:
    short, full = known(train), [*base, *mentions(train)]
    filtered = NameIndex.of(base)
    wrong = misleading(matches(filtered, train, short))
    crossed = misleading(cross_fitted(base, train, short))
    return {
        "raw": NameIndex.of(base, RAW),
        "filtered": filtered,
        "abbreviations": filtered,
        "pruned": NameIndex.of([row for row in base if normalise(row[1]) not in wrong]),
        "train": NameIndex.of([row for row in full if normalise(row[1]) not in crossed]),
    }


def run(data: Path) -> dict[str, Any]:
    diseases, chemicals = names(joint_diseases(data)), names(drugs(data))
    result: dict[str, Any] = {"dev": {}, "test": {}}
    for module, base in ((ncbi_disease, diseases), (bc5cdr_disease, diseases), (bc5cdr_chemical, chemicals)):
        corpus = module.build(data=data)
        rows = indexes(base, corpus.train)
        for part in result:
            documents = getattr(corpus, part)
            short = known(documents)
            result[part][corpus.name] = {
                row: scored(index, documents, {} if row in ("raw", "filtered") else short)
                for row, index in rows.items()
            }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data directory")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    result = run(options.data)
    if options.json:
        print(json.dumps({"benchmark": "kb_tagging", **result}))
        return
    for part, corpora in result.items():
        for corpus, rows in corpora.items():
            for row, said in rows.items():
                figures = "  ".join(f"{key} {value:.4f}" for key, value in said.items())
                print(f"{part:5} {corpus:16} {row:14} {figures}")


if __name__ == "__main__":
    main()
