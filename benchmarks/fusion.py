"""What a second reader adds to a language model's answers: each alone, boundary repair, and the two fused.

    python benchmarks/fusion.py --data ../shared/data [--corpora ncbi wardnotes] [--pools 50 200 0] [--texts 300]
    python benchmarks/fusion.py --data ../shared/data --corpora ncbi --predictions FILE [--draws 5 --figure curve.svg]

Without predictions a perturbed oracle stands in place of the LM: gold, of which 20 % of the edges are moved by a word, 10 % of
the mentions dropped, and as many invented (seeded). Predictions are those of dev and train texts that `local_lm.py` writes. The
pool is so many labelled units of train (0: all), of which up to 150 were answered; scored are a fixed sample of dev, or those
dev texts that the file has. With `--draws` follows F1 by the number of labelled texts, so many samples of each size.

`crf` knows the pool and the knowledge base, as the fusion does. Differences are to the best of the others, paired by text, with
95 % bootstrap intervals; `ECE` is the expected calibration error of the fused scores in ten bins, `P >= .9` the precision of
entities with a score of at least .9. Times are of a text, and of fitting.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from experiments import places, setup
from experiments.corpora.corpus import Corpus
from experiments.grids.annotation_curve import ALONE, CRF, FUSED, Point, draw
from experiments.predictions.fused import SURE, calibration_error
from experiments.predictions.given import read_all
from experiments.scoring.significance import interval, paired
from experiments.spec import load
from ner_programs import Document, NERProgram, Pool, align
from ner_programs.scoring import Counts
from ner_programs.stages.verify import apply
from ner_programs.types import Entity
from ner_programs.units import split
from ner_programs.verifiers.boundary import share_of_wrong
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


Said = Callable[[Document], tuple[Entity, ...] | None]
"""What an LM found in a document; None where it was not asked."""


def oracle(labels: Sequence[str]) -> Said:
    """Return what finds gold with errors put in."""
    chance = random.Random(5)
    return lambda d: perturbed(d.text, d.entities, labels, chance)


def of_file(path: Path, corpus: Corpus) -> Said:
    """Return what stands in a file of predictions of dev and train."""
    said = read_all(path, corpus.dev, corpus.train, {label.name for label in corpus.labels})
    found = {**said.part, **said.others}
    return lambda d: found[d.id].entities if d.id in found else None


def by_unit(program: NERProgram, pool: Pool, train: Iterable[Document], said: Said) -> dict[str, tuple[Entity, ...]]:
    """Return what was found in the units of a pool, in the order of `train`, until there are UNITS."""
    known, there = {d.id for d in pool}, {d.document for d in pool}
    found = dict[str, tuple[Entity, ...]]()
    for d in train:
        if d.id not in there or len(found) >= UNITS or (entities := said(d)) is None:
            continue
        keep = [(e.start, e.end) for e in d.entities]
        for n, unit in enumerate(split(d.text, program.spec.unit, size=program.spec.window, keep=keep)):
            inside = (e.shifted(-unit.start) for e in entities if unit.start <= e.start and e.end <= unit.end)
            found |= {f"{d.id}#{n}": tuple(inside)} if f"{d.id}#{n}" in known else {}
    return found


def rows(program: NERProgram, pool: Pool, dev: Sequence[Document], train: Sequence[Document], asked: Said) -> list[str]:
    """Return the rows of the table for one pool."""
    said = [asked(d) or () for d in dev]
    answers = by_unit(program, pool, train, asked)
    base = program.with_pool(pool)
    found: dict[str, list[list[Entity]]] = {"LM, or oracle": [list(s) for s in said]}
    wrong = share_of_wrong((d.entities, answers[d.id]) for d in pool if d.id in answers)
    boundary = base.with_settings(verify={"name": "boundary", "wrong": wrong}).verify
    found["boundary"] = [
        list(align(d.text, apply(s, boundary.verifier(d.text, "", s).verdicts))) for d, s in zip(dev, said, strict=True)
    ]
    shown: list[str] = []
    for way in ("product", "stack"):
        fuse = fuse_of(base.with_settings(verify={"name": "fuse", "way": way}).verify.verifier)
        assert fuse is not None
        fuse.answers = answers
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


def curve(
    program: NERProgram, dev: Sequence[Document], train: Sequence[Document], asked: Said, sizes: Sequence[int], draws: int
) -> list[Point]:  # fmt: skip
    """Return F1 by the number of labelled texts, each with what the LM says of it; of all, with what there is."""
    answered = [d for d in train if asked(d) is not None]
    said = [asked(d) or () for d in dev]
    found: dict[tuple[int | None, str], list[float]] = {}
    drawn = [(n, random.Random(seed).sample(answered, n)) for n in sizes if n <= len(answered) for seed in range(draws)]
    for size, texts in [*drawn, (None, list(train))]:
        pool = Pool.of(texts, program.spec.unit, program.spec.window)
        fuse = fuse_of(program.with_pool(pool).with_settings(verify={"name": "fuse"}).verify.verifier)
        assert fuse is not None
        fuse.answers = by_unit(program, pool, texts, asked)
        stands = [align(d.text, apply(s, fuse(d.text, "", s).verdicts)) for d, s in zip(dev, said, strict=True)]
        for name, some in ((ALONE, said), (CRF, read_alone(fuse, dev)), (FUSED, stands)):
            f1 = sum((Counts.of(d.entities, s) for d, s in zip(dev, some, strict=True)), Counts()).f1
            found.setdefault((size, name), []).append(f1)
    return [Point(size, name, tuple(f1)) for (size, name), f1 in found.items()]


def read_alone(fuse: FuseVerifier, dev: Sequence[Document]) -> list[list[Entity]]:
    """Return what a CRF fitted on the whole pool says alone."""
    from ner_programs.tagger.crf import Sample, fit

    hints = fuse.evidence.hints
    shown = [Sample(d.text, tuple(d.spans), hints(d.text, (d.document, d.group))) for d in fuse.pool]
    tagger = fit(shown, iterations=100)
    spans = [tagger.tag(Sample(d.text, (), hints(d.text))) for d in dev]
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
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--draws", type=int, default=0)
    parser.add_argument("--sizes", nargs="*", type=int, default=[20, 35, 50, 100, 150])
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    places.prepare_environment()
    for name in given.corpora:
        spec = load(SPECS / f"{name}.toml", ["optimizer={name='none'}"])
        corpus, program, _ = setup.build(spec, given.data, places.home())
        print(f"\n## {name}\n\n| pool | | F1 | less the best other | ECE, P >= .9 |\n|---|---|---|---|---|", flush=True)
        ranked, path = by_hash(corpus.train, 0), given.predictions
        asked = partial(of_file, path, corpus) if path else partial(oracle, list(program.spec.labels))
        known = asked() if path else None
        dev = by_hash([d for d in corpus.dev if known is None or known(d) is not None], given.texts)
        for size in given.pools:
            pool = Pool.of(ranked, program.spec.unit, program.spec.window)
            chosen = pool if size == 0 else pool.without({d.id for d in list(pool)[size:]})
            print("\n".join(rows(program, chosen, dev, ranked, asked())), flush=True)
        if given.draws:
            points = curve(program, dev, ranked, asked(), given.sizes, given.draws)
            for p in points:
                print(f"{p.notes or 'all'} {p.system}: {p.mean:.3f} +- {p.error:.3f}")
            if given.figure:
                draw(points, f"{name}: strict F1 by labelled texts", given.figure)


if __name__ == "__main__":
    main()
