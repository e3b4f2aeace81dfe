"""What a second reader adds to a language model's answers: each alone, boundary repair, and the two fused.

    python benchmarks/fusion.py --data ../shared/data [--corpora ncbi wardnotes] [--pools 50 200 0] [--texts 300]

In place of the LM stands a perturbed oracle, so that no model is needed: gold, of which 20 % of the edges are moved by a word,
10 % of the mentions dropped, and as many invented (seeded). The pool is so many labelled units of train (0: all), of which up
to 150 were answered; scored is a fixed sample of dev. `crf` knows the pool and the knowledge base, as the fusion does.
Differences are to the best of the others, paired by text, with 95 % bootstrap intervals; `ECE` is the expected calibration
error of the fused scores in ten bins, `P >= .9` the precision of entities with a score of at least .9. Times are of a text,
and of fitting.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from experiments import places, setup
from experiments.predictions.fused import SURE, calibration_error
from experiments.scoring.significance import interval, paired
from experiments.spec import load
from ner_programs import Document, NERProgram, Pool, align
from ner_programs.scoring import Counts
from ner_programs.stages.verify import apply
from ner_programs.types import Entity
from ner_programs.verifiers.fuse import UNITS, FuseVerifier, fuse_of

SPECS = Path(__file__).resolve().parents[1] / "experiments" / "specs"
WORD = re.compile(r"\w+|[^\w\s]")


def perturbed(text: str, gold: Sequence[Entity], labels: Sequence[str], chance: random.Random) -> tuple[Entity, ...]:
    """Return gold with errors: of the edges .2 are moved by a word, of the mentions .1 dropped, and .1 as many invented."""
    words = [m.span() for m in WORD.finditer(text)]
    said = []
    for e in gold:
        start, end = e.start, e.end
        if chance.random() < 0.2:
            earlier, later = [a for a, _ in words if a < start], [a for a, _ in words if start < a < end]
            start = chance.choice([x for x in (*earlier[-1:], *later[:1])] or [start])
        if chance.random() < 0.2:
            earlier, later = [b for _, b in words if start < b < end], [b for _, b in words if b > end]
            end = chance.choice([x for x in (*earlier[-1:], *later[:1])] or [end])
        if chance.random() >= 0.1 and start < end:
            said.append(Entity.of(text, start, end, e.label))
    for _ in range(sum(chance.random() < 0.1 for _ in gold) if gold else int(chance.random() < 0.1)):
        first = chance.randrange(len(words))
        last = min(first + chance.randrange(3), len(words) - 1)
        said.append(Entity.of(text, words[first][0], words[last][1], chance.choice(list(labels))))
    kept: list[Entity] = []
    for e in said:
        if all(e.end <= k.start or e.start >= k.end for k in kept):
            kept.append(e)
    return tuple(sorted(kept))


def by_hash(documents: Sequence[Document], size: int) -> list[Document]:
    """Return so many documents, by the hash of their ids; all for 0."""
    ranked = sorted(documents, key=lambda d: hashlib.sha256(d.id.encode()).digest())
    return ranked[: size or len(ranked)]


def rows(program: NERProgram, pool: Pool, dev: Sequence[Document]) -> list[str]:
    """Return the rows of the table for one pool."""
    labels, chance = list(program.spec.labels), random.Random(5)
    gold = {
        d.id: tuple(Entity.of(d.text, m.start or 0, (m.start or 0) + len(m.text), m.label) for m in d.mentions)
        for d in pool
    }
    said = [perturbed(d.text, d.entities, labels, chance) for d in dev]
    base = program.with_pool(pool)
    found: dict[str, list[list[Entity]]] = {"the oracle, perturbed": [list(s) for s in said]}
    boundary = base.with_settings(verify={"name": "boundary"}).verify
    found["boundary"] = [
        list(align(d.text, apply(s, boundary.verifier(d.text, "", s).verdicts))) for d, s in zip(dev, said, strict=True)
    ]
    shown: list[str] = []
    for way in ("product", "stack"):
        fuse = fuse_of(base.with_settings(verify={"name": "fuse", "way": way}).verify.verifier)
        assert fuse is not None
        answered = random.Random(1).sample(list(pool), min(UNITS, len(pool)))
        fuse.answers = {d.id: perturbed(d.text, gold[d.id], labels, chance) for d in answered}
        start = time.perf_counter()
        fusion = fuse.fitted()
        fitting, start = time.perf_counter() - start, time.perf_counter()
        if fusion is None:
            return [f"| {len(pool)} | too small | | | | |"]
        found[f"fused ({way})"] = [
            list(align(d.text, apply(s, fuse(d.text, "", s).verdicts))) for d, s in zip(dev, said, strict=True)
        ]
        each = (time.perf_counter() - start) / len(dev)
        shown.append(f"{way}: fitted in {fitting:.1f} s, {each * 1000:.1f} ms a text")
        if way == "product":
            found["crf"] = read_alone(fuse, dev)
    counts = {name: [Counts.of(d.entities, f) for d, f in zip(dev, fs, strict=True)] for name, fs in found.items()}
    others = [n for n in counts if not n.startswith("fused")]
    best = max(others, key=lambda n: sum(counts[n], Counts()).f1)
    table = []
    for name, each_text in counts.items():
        low, high = interval(each_text)
        gap = paired(counts[best], each_text)
        more = f"{gap.delta:+.3f} ({gap.lo:+.3f} to {gap.hi:+.3f})" if name.startswith("fused") else ""
        how = calibration(found[name], dev) if name.startswith("fused") else ""
        table.append(
            f"| {len(pool)} | {name} | {sum(each_text, Counts()).f1:.3f} ({low:.3f}-{high:.3f}) | {more} | {how} |"
        )
    return [*table, *(f"|  | {line} | | | |" for line in shown)]


def read_alone(fuse: FuseVerifier, dev: Sequence[Document]) -> list[list[Entity]]:
    """Return what a CRF fitted on the whole pool says alone."""
    from ner_programs.tagger.crf import Sample, fit

    tagger = fit([Sample(d.text, tuple(sorted((m.start or 0, (m.start or 0) + len(m.text), m.label) for m in d.mentions)),
                         fuse.evidence.hints(d.text, (d.document, d.group))) for d in fuse.pool], iterations=100)  # fmt: skip
    spans = [tagger.tag(Sample(d.text, (), fuse.evidence.hints(d.text))) for d in dev]
    return [[Entity.of(d.text, s.start, s.end, s.label) for s in some] for d, some in zip(dev, spans, strict=True)]


def calibration(found: Sequence[Sequence[Entity]], dev: Sequence[Document]) -> str:
    """Return the expected calibration error of scores, and the precision of the surest."""
    scored = [(e.score or 0.0, e in d.entities) for d, es in zip(dev, found, strict=True) for e in es]
    sure = [r for s, r in scored if s >= SURE]
    return f"{calibration_error(scored):.3f}, {sum(sure) / max(len(sure), 1):.2f} of {len(sure)}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--corpora", nargs="*", default=["ncbi", "bc5cdr_chemical", "wardnotes"])
    parser.add_argument("--pools", nargs="*", type=int, default=[50, 200, 0])
    parser.add_argument("--texts", type=int, default=300)
    given = parser.parse_args()
    places.prepare_environment()
    for name in given.corpora:
        spec = load(SPECS / f"{name}.toml", ["optimizer={name='none'}"])
        corpus, program, _ = setup.build(spec, given.data, places.home())
        print(f"\n## {name}\n\n| pool | | F1 | less the best other | ECE, P >= .9 |\n|---|---|---|---|---|", flush=True)
        ranked = by_hash(corpus.train, 0)
        for size in given.pools:
            pool = Pool.of(ranked, program.spec.unit, program.spec.window)
            chosen = pool if size == 0 else pool.without({d.id for d in list(pool)[size:]})
            print("\n".join(rows(program, chosen, by_hash(corpus.dev, given.texts))), flush=True)


if __name__ == "__main__":
    main()
