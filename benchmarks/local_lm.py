"""What a local language model gains by a grammar, and by favouring marks: one table over demonstrations and knowledge.

    python benchmarks/local_lm.py --data ../shared/data [--lm local/smollm2] [--spec ncbi] [--sentences 200] [--out FILE]

Asked about is a fixed sample (by hash) of dev texts (NCBI-disease unless another spec is named), in TANL. For each way of
showing demonstrations each of them is answered three times (or as `--decodings` says): free, held to its grammar, and with
openings and closings favoured as `calibrate` fits them on train. The three share their prompt, so the second and third read it
from the prefix cache. Differences are paired by sentence, with 95 % bootstrap intervals; `tokens` are those that a sentence
costs beyond the cache. With `--out` answers are kept, and a run that was cut goes on; `--predictions FOLDER` writes them as
JSON lines, a file a decoding, for `nerc fuse`. `--train N` asks about so many train texts, too, for a fusion to learn from: a
text is never among its own demonstrations.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from benchmarks.fusion import by_hash
from experiments import places, setup
from experiments.corpora import jsonl
from experiments.scoring.significance import interval, paired
from experiments.spec import load
from ner_programs import Document, NERProgram, open_lm
from ner_programs.scoring import Counts
from ner_programs.types import AnnotatedText, Entity
from optimizers.calibrate import UNITS, calibrated

SPECS = Path(__file__).resolve().parents[1] / "experiments" / "specs"
WAYS = {
    "zero-shot": ["program.demos=false", "program.retriever.name=none"],
    "random 8": ["program.demos={name='random',k=8}", "program.retriever.name=none"],
    "random 8, knowledge": ["program.demos={name='random',k=8}"],
    "nearest 8": ["program.demos={name='tfidf',k=8}", "program.retriever.name=none"],
    "nearest 8, knowledge": ["program.demos={name='tfidf',k=8}"],
}
DECODINGS = ("free", "constrained", "calibrated")


class Kept:
    """Answers by way, decoding and sentence, in memory and in a file."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        lines = path.read_text("utf-8").splitlines() if path is not None and path.exists() else []
        self.rows: dict[tuple[str, str, str], dict[str, Any]] = {}
        for row in map(json.loads, lines):
            self.rows[row["way"], row["decoding"], row["id"]] = row

    def add(self, row: dict[str, Any]) -> None:
        """Keep an answer."""
        self.rows[row["way"], row["decoding"], row["id"]] = row
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def answers(way: str, programs: dict[str, NERProgram], documents: list[Document], lm: Any, kept: Kept) -> None:
    """Answer every document in every decoding, those that are not kept."""
    for document in documents:
        for decoding, program in programs.items():
            if (way, decoding, document.id) in kept.rows:
                continue
            start, before = time.perf_counter(), lm.spent()
            found = program(text=document.text, exclude=document.kin)
            after = lm.spent()
            used = {k: after[k] - before[k] for k in ("tokens_in", "tokens_out", "tokens_cached")}
            entities = [[e.start, e.end, e.label, e.score] for e in found.entities]
            kept.add(
                {"way": way, "decoding": decoding, "id": document.id, "entities": entities, "lost": len(found.lost),
                 "unreadable": found.unreadable, "seconds": round(time.perf_counter() - start, 3), **used}
            )  # fmt: skip


def table(ways: list[str], decodings: list[str], documents: list[Document], kept: Kept) -> Iterator[str]:
    """Yield the rows of the table, of the sentences that have an answer in every decoding."""
    yield "| demonstrations | decoding | sentences | F1 | P / R | less the row above | tokens | unreadable, lost |"
    yield "|---|---|---|---|---|---|---|---|"
    for way in ways:
        whole = [d for d in documents if all((way, name, d.id) in kept.rows for name in decodings)]
        above: list[Counts] = []
        for name in decodings if whole else ():
            rows = [kept.rows[way, name, d.id] for d in whole]
            counts = [Counts.of(d.entities, read(d, r), 0) for d, r in zip(whole, rows, strict=True)]
            total = sum(counts, Counts())
            low, high = interval(counts)
            gap = paired(above, counts) if above else None
            more = f"{gap.delta:+.3f} ({gap.lo:+.3f} to {gap.hi:+.3f})" if gap else ""
            evaluated = sum(r["tokens_in"] - r["tokens_cached"] + r["tokens_out"] for r in rows) / len(rows)
            faults = f"{sum(r['unreadable'] for r in rows)}, {sum(r['lost'] for r in rows)}"
            yield (f"| {way} | {name} | {len(whole)} | {total.f1:.3f} ({low:.3f}-{high:.3f}) | {total.precision:.2f} / "
                   f"{total.recall:.2f} | {more} | {evaluated:.0f} | {faults} |")  # fmt: skip
            above = counts


def read(document: Document, row: dict[str, Any]) -> tuple[Entity, ...]:
    """Return the entities of a kept answer."""
    return tuple(Entity.of(document.text, start, end, label) for start, end, label, _ in row["entities"])


def predictions(folder: Path, ways: list[str], decodings: list[str], documents: list[Document], kept: Kept) -> None:
    """Write the kept answers about these documents as JSON lines, a file for each way and decoding."""
    folder.mkdir(parents=True, exist_ok=True)
    for way in ways:
        for name in decodings:
            answered = [d for d in documents if (way, name, d.id) in kept.rows]
            texts = [AnnotatedText(d.id, d.text, read(d, kept.rows[way, name, d.id])) for d in answered]
            jsonl.write(texts, folder / f"{way.replace(',', '').replace(' ', '-')}-{name}.jsonl")


def main() -> None:
    """Ask, keep and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--lm", default="local/smollm2")
    parser.add_argument("--spec", default="ncbi", choices=sorted(p.stem for p in SPECS.glob("*.toml")))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--train", type=int, default=0)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--decodings", nargs="*", default=list(DECODINGS), choices=DECODINGS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--predictions", type=Path)
    given = parser.parse_args()
    places.prepare_environment()
    kept = Kept(given.out)
    lm = open_lm(given.lm, max_tokens=300, **({"threads": given.threads} if given.threads else {}))
    print(f"{given.lm}, {given.spec} dev, strict micro-F1", flush=True)
    documents, lessons = list[Document](), list[Document]()
    with dspy.context(lm=lm, disable_history=True):
        for way in given.ways:
            changes = [*WAYS[way], "optimizer={name='none'}", "program.format={name='tanl'}"]
            corpus, program, _ = setup.build(load(SPECS / f"{given.spec}.toml", changes), given.data, places.home())
            documents = by_hash(corpus.dev, given.sentences)
            lessons = by_hash(corpus.train, given.train) if given.train else []
            if all((way, name, d.id) in kept.rows for name in given.decodings for d in (*documents, *lessons)):
                continue
            programs = {"free": program.with_settings(constrained=False), "constrained": program}
            if "calibrated" in given.decodings:
                programs["calibrated"] = program.with_settings(**fitted(way, program, corpus.train, lm, kept))
            answers(way, {name: programs[name] for name in given.decodings}, [*documents, *lessons], lm, kept)
    for line in table(given.ways, given.decodings, documents, kept):
        print(line)
    if given.predictions is not None:
        predictions(given.predictions, given.ways, given.decodings, [*documents, *lessons], kept)


def fitted(way: str, program: NERProgram, train: tuple[Document, ...], lm: Any, kept: Kept) -> dict[str, float]:
    """Return the opening and the closing that are fitted on train, and keep them."""
    if (way, "fit", "") not in kept.rows:
        examples = program.examples(random.Random(1).sample(train, min(200, len(train))))
        spec = calibrated(program, examples, lm, UNITS).spec
        kept.add({"way": way, "decoding": "fit", "id": "", "opening": spec.opening, "closing": spec.closing})
    row = kept.rows[way, "fit", ""]
    return {"opening": row["opening"], "closing": row["closing"]}


if __name__ == "__main__":
    main()
