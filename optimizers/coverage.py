"""Fixed demonstrations by max coverage, and a pool without harmful demonstrations.

Fixed demonstrations are chosen greedily so that together they cover labels, shapes, heads and edges of mentions. Mentions that
the program gets wrong on train weigh more (`_coverage.max_coverage`). The most suspicious demonstrations are removed from the
pool in a few steps (`_coverage.influence`). Candidates are fixed demonstrations before the selector's, instead of them, or
only the smaller pool; dev decides. Answers on train are cross-fitted: made without the text's own document.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import dspy
from pydantic import Field

from ner_programs.alignment.align import align
from ner_programs.demos import Demonstration, Pool
from ner_programs.evaluate import calls_a_unit, in_threads
from ner_programs.program import NERProgram
from ner_programs.types import Document, Mention
from ner_programs.units import split
from optimizers._coverage.influence import Answer, Marks, worst
from optimizers._coverage.max_coverage import Feature, Features, greedy
from optimizers.search import Contender, Search
from optimizers.trial import Compilation

STEPS = (0.01, 0.03, 0.06)
"""Shares of the pool that are removed."""
ON_TRAIN = 0.2
"""Share of a search's calls for answers on train."""
Share = Annotated[float, Field(ge=0, lt=1)]
Sizes = Annotated[tuple[Annotated[int, Field(ge=1, le=10_000)], ...], Field(min_length=1)]


class Coverage:
    """Scores sets of fixed demonstrations on a few dev documents, then the best of them, and smaller pools, on more."""

    def __init__(self, k: Sequence[int], drop: Sequence[float], seed: int) -> None:
        self.k, self.drop, self.seed = sorted(set(k)), sorted(set(drop)), seed

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the candidate that is best on dev."""
        search = Search(program, dev, compilation, self.seed)
        pool = program.pool if program.pool else Pool.of(train, program.spec.unit, program.spec.window)
        if pool:
            with search.spending():
                self._search(search, pool, {d.id: d.kin for d in train})
        best = search.best()[:1]
        return search.choose(*(c.program for c in best), program)  # the initial program may be better on more of dev

    def _search(self, search: Search, pool: Pool, kin: Mapping[str, tuple[str, ...]]) -> None:
        program, marks = search.program, Marks(pool)
        drawn = self._drawn(marks, int(ON_TRAIN * search.calls) // max(len(program.predictors()), 1))
        answers = [a for a in in_threads(lambda d: answered(program, d, kin.get(d.document, ())), drawn) if a]
        few, many = self._samples(search)
        start = search.score(program, {}, few)
        harmful = worst(marks, answers, int(max(self.drop, default=0) * len(pool)))
        shown = covering(pool.without(set(harmful)), answers, pool, self.k[-1])
        tried = [
            search.score(made, changes, few)
            for made, changes in self._fixed(program, shown)
            if search.affords(made, few)
        ]
        best = max(tried, key=lambda c: c.total.f1, default=start)
        for contender in (start, best) if best.total.f1 > start.total.f1 else (start,):
            if len(many) > len(few) and search.affords(contender.program, many[len(few) :]):
                search.score(contender.program, contender.changes, many)
        self._edit(search, search.best()[0], harmful, len(pool))

    def _edit(self, search: Search, given: Contender, harmful: Sequence[str], size: int) -> None:
        """Score the program without the most harmful demonstrations of its pool, in steps."""
        seen = [search.order[i] for i in sorted(given.rows)]
        counts = {min(int(share * size), len(harmful)) for share in self.drop} - {0}
        for count in sorted(counts) if given.program.extract.select is not None else ():
            made = given.program.with_pool(given.program.pool.without(set(harmful[:count])))
            if changed(given.program, made, seen) <= search.left:
                search.score(made, {**given.changes, "pool": size - count, "pool.dropped": count}, seen)

    def _fixed(self, program: NERProgram, shown: Sequence[Demonstration]) -> list[tuple[NERProgram, dict[str, Any]]]:
        """Return the program with each size of `shown` before its selector's demonstrations, and with all instead of them."""
        made, select = list[tuple[NERProgram, dict[str, Any]]](), program.extract.select
        sizes = sorted({min(k, len(shown)) for k in self.k} - {0})
        for size in sizes if select is not None else ():
            made.append((showing(program, shown[-size:]), {"demonstrations.coverage": size}))
        for size in sizes[-1:] if select is not None else sizes:
            alone = showing(program.with_settings(demos=None), shown[-size:])
            made.append((alone, {"demonstrations.coverage": size} | ({"demos": "none"} if select else {})))
        return made

    def _drawn(self, marks: Marks, count: int) -> list[Demonstration]:
        """Return `count` texts of the pool to answer: half are the most inconsistent, half a sample of those with mentions."""
        doubts = [marks.against(row) for row in range(len(marks.pool))]
        doubted = sorted((row for row, doubt in enumerate(doubts) if doubt > 0), key=lambda row: (-doubts[row], row))
        rows = doubted[: count // 2]
        rest = [row for row, d in enumerate(marks.pool) if d.mentions and row not in set(rows)]
        rows += random.Random(f"coverage {self.seed}").sample(rest, min(len(rest), count - len(rows)))
        return [marks.pool[row] for row in rows]

    @staticmethod
    def _samples(search: Search) -> tuple[list[Document], list[Document]]:
        """Return the documents for the first trials (each costs an eighth of the rest) and twice as many for the last."""
        each = max(search.whole / len(search.order), 1)
        few = max(int(search.left / (8 * each)), 1)
        return search.sample(few), search.sample(2 * few)


def answered(program: NERProgram, d: Demonstration, kin: Sequence[str]) -> Answer | None:
    """Return the extractor's cross-fitted answer: made without the text's document and its kin. None if the call failed."""
    exclude = tuple(kin) or (d.document, d.group)
    shown = tuple(str(demo.get("id")) for demo in program.extract.demos(d.text, exclude))
    answer = program.extract(d.text, program.retrieve.lines(d.text, exclude=exclude), exclude)
    if answer.unanswered:
        return None
    return Answer(d.id, d.entities, align(d.text, answer.items, policy=program.spec.occurrences), shown)


def covering(pool: Pool, answers: Sequence[Answer], whole: Pool, k: int) -> list[Demonstration]:
    """Choose k demonstrations of `pool` by max coverage, the best last. Mentions answered wrong weigh more.

    `whole` has the texts of the answers. Demonstrations without mentions keep their share in the pool: the LM must see
    negative examples, too.
    """
    features, hard, texts = Features(pool), Counter[Feature](), {d.id: d.text for d in whole}
    kept = {d.id for d in pool}
    for answer in (a for a in answers if a.id in kept):
        wrong = set(answer.gold) ^ set(answer.predicted)
        hard.update(f for e in wrong for f in features.mention(texts[answer.id], Mention(e.text, e.label, e.start)))
    shown = [features.of(d) for d in pool]
    weights = features.weights(shown, hard)
    parts = [[row for row, d in enumerate(pool) if bool(d.mentions) is full] for full in (False, True)]
    bare, full = ([rows[i] for i in greedy([shown[row] for row in rows], weights, k)] for rows in parts)
    share = len(parts[0]) / max(len(pool), 1)
    chosen = list[int]()
    for n in range(min(k, len(pool))):
        turn = bare if (int((n + 1) * share) > int(n * share) and bare) or not full else full
        chosen.append(turn.pop(0))
    return [pool[row] for row in reversed(chosen)]


def showing(program: NERProgram, shown: Sequence[Demonstration]) -> NERProgram:
    """Return a copy of `program` whose extractor has exactly these fixed demonstrations."""
    made: NERProgram = program.deepcopy()
    made.extract.predict.demos = [dspy.Example(**made.extract.as_demo(d)) for d in shown]
    return made


def changed(one: NERProgram, other: NERProgram, documents: Sequence[Document]) -> int:
    """Return how many calls `other` makes at most on documents that `one` has answered.

    Only units for which it shows other demonstrations need new calls.
    """
    calls = 0
    for document in documents:
        for unit in split(document.text, one.spec.unit, size=one.spec.window):
            text = document.text[unit.start : unit.end]
            shown = [[demo.get("id") for demo in p.extract.demos(text, document.kin)] for p in (one, other)]
            calls += calls_a_unit(other) if shown[0] != shown[1] else 0
    return calls


def build(*, k: Sizes = (16, 48), drop: tuple[Share, ...] = STEPS, seed: int = 1) -> Coverage:
    """Build it: `k` are the numbers of fixed demonstrations to try, `drop` the shares of the pool to remove in turn."""
    return Coverage(k, drop, seed)
