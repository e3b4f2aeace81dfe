"""Demonstrations that cover a corpus together, and a pool without those that do harm."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import e as euler
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.lm15 import Request
from hypothesis import given
from hypothesis import strategies as st

import optimizers
from ner_programs import ComponentError, Document, NERProgram, load, save
from ner_programs.bundle.state import identity, state_of
from ner_programs.demos import Demonstration, Pool
from ner_programs.evaluate import score
from ner_programs.lms.metered import Meter, MeteredLM
from ner_programs.privacy import Privacy
from ner_programs.types import Entity, Mention
from optimizers._coverage.influence import Answer, Marks, suspicions, worst
from optimizers._coverage.max_coverage import Features, greedy, shape, value
from optimizers.coverage import covering
from optimizers.trial import Trial
from tests.tiny import DEV, DRUGS, TRAIN, Scripted, documents, gold, program, text_of

TFIDF = {"name": "tfidf", "k": 4}
CLEAN = documents(60, "p")


def spoiled(document: Document) -> Document:
    """The note with its drug unmarked."""
    return replace(document, entities=tuple(e for e in document.entities if e.label != "drug"))


BAD = frozenset(d.id for d in CLEAN[::20])
TAINTED = tuple(spoiled(d) if d.id in BAD else d for d in CLEAN)


def follows(request: Request) -> str:
    """Answers as the corpus was made, but nothing if a demonstration of the text's drug marks none, or if shown too little."""
    if len(request.messages) < 6:
        return "[]"
    drugs = [drug for drug in DRUGS if drug in text_of(request)]
    for question, answer in zip(request.messages[:-1:2], request.messages[1::2], strict=False):
        if any(drug in (question.text or "") and '"drug"' not in (answer.text or "") for drug in drugs):
            return gold(request, lambda text: True)
    return gold(request)


class Bench:
    def __init__(self, script: Any = gold, concurrency: int = 1) -> None:
        self.backend = Scripted(script)
        self.lm = MeteredLM(Meter(self.backend), concurrency=concurrency)
        self.trials: list[Trial] = []

    def compile(
        self, given: NERProgram, train: tuple[Document, ...] = CLEAN, dev: tuple[Document, ...] = DEV, **options: Any
    ) -> NERProgram:
        with dspy.context(lm=self.lm, disable_history=True):
            return optimizers.compile(
                given, {"name": "coverage", **options}, train=train, dev=dev, on_trial=self.trials.append
            )


class TestGreedy:
    @given(
        items=st.lists(st.sets(st.integers(0, 6)), max_size=8),
        weights=st.lists(st.floats(0, 5), min_size=7, max_size=7), k=st.integers(0, 4),
    )  # fmt: skip
    def test_reaches_its_share_of_the_best_and_is_plain_greed(
        self, items: list[set[int]], weights: list[float], k: int
    ) -> None:
        named = [{(str(f),) for f in features} for features in items]
        worth = {(str(f),): w for f, w in enumerate(weights)}
        chosen = greedy(named, worth, k)
        size = min(k, len(items))
        assert len(chosen) == size == len(set(chosen))
        best = max(value(list(some), worth) for some in combinations(named, size))
        got = value([named[i] for i in chosen], worth)
        assert got >= (1 - 1 / euler) * best - 1e-9
        plain = list[int]()
        for _ in range(size):
            rest = [i for i in range(len(items)) if i not in plain]
            plain.append(max(rest, key=lambda i: value([named[j] for j in (*plain, i)], worth)))
        assert got == pytest.approx(value([named[i] for i in plain], worth))

    @given(items=st.lists(st.sets(st.sampled_from("abcde")), max_size=9))
    def test_of_more_the_first_are_those_of_fewer(self, items: list[set[str]]) -> None:
        named = [{(f,) for f in sorted(features)} for features in items]
        worth = {(f,): 1.0 for f in "abcde"}
        assert greedy(named, worth, 3) == greedy(named, worth, 6)[:3]


def demo(n: int, text: str, *marked: tuple[str, str]) -> Demonstration:
    return Demonstration(f"d{n}#0", f"d{n}", f"d{n}", text, tuple(Mention(m, x, text.index(m)) for m, x in marked))


class TestCovering:
    def test_rare_labels_and_shapes_are_covered(self) -> None:
        common = [demo(n, f"Has fever on day {n}.", ("fever", "problem")) for n in range(30)]
        rare = [demo(40 + n, f"Serum IL-{n} was high.", (f"IL-{n}", "test")) for n in range(3)]
        chosen = covering(Pool([*common, *rare]), [], Pool([*common, *rare]), 6)
        assert {m.label for d in chosen for m in d.mentions} == {"problem", "test"}

    def test_what_was_answered_wrong_weighs_more(self) -> None:
        shown = [demo(n, f"Note {n} of {word}.", (word, "problem"))
                 for n, word in enumerate(["fever", "gout"] * 6 + ["asthma"] * 4)]  # fmt: skip
        pool = Pool(shown)
        gold_of = Entity.of(shown[-1].text, 11, 17, "problem")
        wrong = [Answer(shown[-1].id, (gold_of,), (), ())]
        assert "asthma" not in covering(pool, [], pool, 1)[0].text
        assert "asthma" in covering(pool, wrong * 2, pool, 1)[0].text

    def test_texts_without_mentions_have_their_share(self) -> None:
        pool = Pool([demo(n, f"Has fever {n}.", ("fever", "problem")) if n % 3 else demo(n, f"Seen on {n} May.")
                     for n in range(30)])  # fmt: skip
        for k in (3, 6, 9, 30, 40):
            chosen = covering(pool, [], pool, k)
            assert len(chosen) == min(k, 30) and sum(not d.mentions for d in chosen) == len(chosen) // 3
        assert covering(pool, [], pool, 9)[-6:] == covering(pool, [], pool, 6)

    def test_a_pool_of_one_kind(self) -> None:
        for pool in (
            Pool([demo(n, "Seen.") for n in range(3)]),
            Pool([demo(1, "Gout.", ("Gout", "problem"))]),
            Pool(()),
        ):
            assert len(covering(pool, [], pool, 5)) == len(pool)

    def test_features_need_no_particular_text(self) -> None:
        assert [shape(s) for s in ("Knee pain-2", "BRCA1", "über", "5-FU", "")] == ["X x-9", "X9", "x", "9-X", ""]
        odd = Demonstration("a", "a", "a", "\ud800 …", (Mention("…", "x", 2),))
        assert Features([odd]).of(odd)


class TestHarm:
    def test_planted_mislabelled_demonstrations_are_the_worst(self) -> None:
        pool = Pool.of(TAINTED, "document")
        found = worst(Marks(pool), [], len(BAD))
        assert {id.partition("#")[0] for id in found} == BAD
        assert worst(Marks(Pool.of(CLEAN, "document")), [], 10) == []

    def test_labels_that_the_rest_speaks_against(self) -> None:
        pool = Pool([*(demo(n, f"Given aspirin {n}.", ("aspirin", "drug")) for n in range(6)),
                     demo(7, "Given aspirin now.", ("aspirin", "problem")),
                     *(demo(n, f"Seen on ward {n}.") for n in range(10, 16)), 
                     demo(17, "Moved to ward.", ("ward", "drug"))])  # fmt: skip
        assert set(worst(Marks(pool), [], 9)) == {"d7#0", "d17#0"}

    def test_a_name_within_a_mention_and_a_word_in_another_case_stand_not_bare(self) -> None:
        pool = Pool([*(demo(n, f"Child with ALL {n}.", ("ALL", "problem")) for n in range(5)), demo(6, "Is all well?"),
                     *(demo(n, f"Has breast cancer {n}.", ("breast cancer", "problem")) for n in range(10, 15)),
                     *(demo(n, f"Has cancer {n}.", ("cancer", "problem")) for n in range(20, 25))])  # fmt: skip
        assert worst(Marks(pool), [], 9) == []

    def test_what_the_program_is_sure_of_and_what_led_it_astray(self) -> None:
        shown = [demo(n, f"Given drug{n}.", (f"drug{n}", "drug")) for n in range(3)]
        marks = Marks(Pool([*shown, demo(5, "Given drug1 again."), demo(6, "Given zinc.")]))
        zinc = Entity.of("Given zinc.", 6, 10, "drug", score=0.95)
        assert suspicions(marks, [Answer("d6#0", (), (zinc,), ())])[4] == pytest.approx(0.9)
        missed = Entity.of("Had drug1.", 4, 9, "drug")
        scores = suspicions(marks, [Answer("x", (missed,), (), ("d5#0", "d1#0"))])
        assert scores[3] > 0 > scores[1] and scores[0] == 0

    def test_they_are_dropped_where_that_pays(self) -> None:
        dev = documents(24, "w")
        given = program(TAINTED, demos=TFIDF)
        bench = Bench(follows)
        made = bench.compile(given, TAINTED, dev, k=[1], drop=[0.02, 0.05], budget={"calls": 600})
        kept = {d.document for d in made.pool}
        assert not kept & BAD and len(made.pool) == len(CLEAN) - len(BAD)
        with dspy.context(lm=bench.lm):
            assert score(made, dev).total.f1 == 1.0 > score(given, dev).total.f1
        (edited,) = [t for t in bench.trials if t.program is made and "final" not in t.changes]
        assert edited.changes["pool"] == len(made.pool) and edited.changes["pool.dropped"] == len(BAD)
        assert len(given.pool) == len(CLEAN)


class TestOptimizer:
    def test_fixed_demonstrations_are_tried_with_the_selector_and_without(self) -> None:
        bench = Bench(lambda r: gold(r) if len(r.messages) // 2 >= 8 else "[]")
        made = bench.compile(program(CLEAN, demos=TFIDF), k=[4, 6])
        assert [t.changes for t in bench.trials[:4]] == [
            {}, {"demonstrations.coverage": 4}, {"demonstrations.coverage": 6},
            {"demonstrations.coverage": 6, "demos": "none"},
        ]  # fmt: skip
        assert len(made.extract.predict.demos) == 4 and made.spec.demos == TFIDF

    def test_without_a_selector_the_sizes_are_tried(self) -> None:
        bench = Bench(lambda r: gold(r) if len(r.messages) // 2 >= 5 else "[]")
        made = bench.compile(program(CLEAN), k=[2, 6])
        assert [t.changes.get("demonstrations.coverage") for t in bench.trials[:3]] == [None, 2, 6]
        assert len(made.extract.predict.demos) == 6 and made.pool is not None

    def test_a_text_is_answered_without_its_own_patient(self) -> None:
        notes = tuple(replace(d, group=f"patient{n // 4}") for n, d in enumerate(TAINTED))
        bench = Bench(follows)
        bench.compile(program(notes, demos={"name": "random", "k": 50}), notes, k=[2], budget={"calls": 400})
        of = {d.text: d.group for d in notes}
        asked = [r for r in bench.backend.requests if text_of(r).rpartition("### text\n")[2] in of]
        assert asked
        for request in asked:
            group = of[text_of(request).rpartition("### text\n")[2]]
            shown = "\n".join(m.text or "" for m in request.messages[:-1])
            assert not any(text in shown for text, other in of.items() if other == group)

    def test_without_train_there_is_the_program(self) -> None:
        bench = Bench()
        given = program(())
        assert identity(bench.compile(given, ())) == identity(given) and len(bench.trials) == 1

    def test_wrong_options_are_refused(self) -> None:
        for options in ({"k": []}, {"k": [0]}, {"drop": [1.5]}, {"drop": "x"}):
            with pytest.raises(ComponentError):
                optimizers.opened({"name": "coverage", **options})


class TestPool:
    def test_a_program_over_a_smaller_pool_is_another_and_keeps_its_state(self, tmp_path: Path) -> None:
        given = program(TRAIN, demos={"name": "tfidf", "k": 50})
        given.extract.predict.demos = [dspy.Example(**given.extract.as_demo(given.pool[0]))]
        given.pool.privacy, given.pool.cache = Privacy(True, ("localhost",)), tmp_path
        gone = {given.pool[1].id, given.pool[4].id}
        made = given.with_pool(given.pool.without(gone))
        assert state_of(made) == state_of(given) and made.spec == given.spec and made.kb is given.kb
        assert len(made.pool) == len(TRAIN) - 2 and (made.pool.privacy, made.pool.cache) == (
            given.pool.privacy,
            tmp_path,
        )
        assert identity(made) != identity(given) == identity(given.deepcopy())
        again = load(save(made, tmp_path / "bundle"))
        for one in (made, made.deepcopy(), made.with_settings(retriever={"name": "none"}), again):
            shown = {d.get("id") for d in one.extract.demos("Takes heparin for gout.")}
            assert shown == {d.id for d in given.pool} - gone and identity(one) == identity(made)

    def test_a_part_of_a_part(self) -> None:
        pool = Pool.of(TRAIN, "document")
        part = pool.without({"a0#0"}).without({"a1#0"})
        assert [d.document for d in part] == [d.id for d in TRAIN[2:]] and part.whole is pool is pool.whole
        assert pool.without(()).fingerprint == pool.fingerprint != part.fingerprint
