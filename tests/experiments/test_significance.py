"""Bootstrap and randomization: they hold what they promise, are deterministic, and find no difference where there is none."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.scoring import significance
from experiments.scoring.significance import holm, interval, paired, pooled, randomization
from ner_programs.scoring import Counts
from tests.effort import soon


def rows(n: int, seed: int, right: float = 0.7) -> list[Counts]:
    rng = random.Random(seed)
    gold = [random.Random(i).randint(0, 12) for i in range(n)]
    correct = [sum(rng.random() < right for _ in range(g)) for g in gold]
    return [Counts(c, c + rng.randint(0, 3), g) for c, g in zip(correct, gold, strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_contains_the_point(seed: int) -> None:
    sample = rows(100, seed)
    lo, hi = interval(sample, n=2000)
    assert lo < sum(sample, Counts()).f1 < hi
    assert 0.01 < hi - lo < 0.15


def test_it_is_deterministic_and_the_seed_matters() -> None:
    sample = rows(80, 1)
    assert interval(sample, n=500) == interval(sample, n=500) != interval(sample, n=500, seed=1)


def test_it_agrees_with_drawing_rows_one_by_one() -> None:
    sample = rows(60, 2)
    table = np.array([(c.correct, c.predicted, c.gold) for c in sample])
    picks = np.random.default_rng(3).integers(0, 60, size=(20_000, 60))
    sums = table[picks].sum(axis=1)
    naive = np.percentile(2 * sums[:, 0] / (sums[:, 1] + sums[:, 2]), (2.5, 97.5))
    assert interval(sample, n=20_000) == pytest.approx(tuple(naive), abs=0.003)


def test_rows_that_all_differ_are_drawn_as_well_as_rows_that_do_not() -> None:
    sample = [Counts(3 * i, 3 * i + i % 7, 4 * i) for i in range(1, 90)]
    once, ten = interval(sample, n=20_000), interval(sample * 10, n=20_000)
    assert len(set(sample)) == 89, "drawn one by one; ten of each are drawn together"
    middle = sum(sample, Counts()).f1
    for near, wide in zip(ten, once, strict=True):
        assert abs(near - middle) == pytest.approx(abs(wide - middle) / 10**0.5, rel=0.15)


@pytest.mark.parametrize("sample", [rows(50, 4), rows(50, 4) * 10])
def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, sample: list[Counts]) -> None:
    other = [Counts(c.correct // 2, c.predicted, c.gold) for c in sample]
    whole = interval(sample, n=300), paired(sample, other, n=300), randomization(sample, other, n=300)
    monkeypatch.setattr(significance, "_CELLS", 4000)
    assert interval(sample, n=300) == whole[0]
    assert paired(sample, other, n=300) == whole[1]
    assert 0 < randomization(sample, other, n=300) == pytest.approx(whole[2], abs=0.05)


def test_ten_thousand_resamples_of_a_thousand_rows_are_soon_drawn() -> None:
    a, b = (
        [Counts(c := rng.randint(0, 40), c + rng.randint(0, 90), 60) for _ in range(1000)]
        for rng in map(random.Random, (1, 2))
    )
    for work in (lambda: interval(a), lambda: paired(a, b), lambda: randomization(a, b)):
        with soon():
            work()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20))
def test_a_program_does_not_differ_from_itself(triples: list[tuple[int, int, int]]) -> None:
    sample = [Counts(c, c + p, c + g) for c, p, g in triples]
    lo, hi = interval(sample, n=50)
    assert 0 <= lo <= hi <= 1
    same = paired(sample, sample, n=50)
    assert (same.delta, same.lo, same.hi, same.p, same.significant) == (0, 0, 0, 1, False)
    assert randomization(sample, sample, n=50) == 1


def test_paired_finds_a_difference_and_its_sign() -> None:
    worse, better = rows(200, 6, right=0.6), rows(200, 7, right=0.8)
    up, down = paired(worse, better, n=2000), paired(better, worse, n=2000)
    assert up.significant and up.lo < up.delta < up.hi and up.p < 0.01
    assert up.delta == pytest.approx(sum(better, Counts()).f1 - sum(worse, Counts()).f1)
    assert (down.delta, down.lo, down.hi) == pytest.approx((-up.delta, -up.hi, -up.lo), abs=0.01)
    chance = paired(rows(200, 8), rows(200, 9), n=2000)
    assert not chance.significant and chance.p > 0.05


def test_only_empty_rows() -> None:
    assert interval([Counts()] * 3, n=10) == (1.0, 1.0)
    assert randomization([Counts()] * 3, [Counts()] * 3, n=10) == 1


def f1_by_definition(table: list[Counts]) -> float:
    return sum(table, Counts()).f1


def test_randomization_is_the_share_of_all_exchanges_that_differ_as_much() -> None:
    """With few rows every exchange can be made: the exact test that the random one approximates."""
    a, b = rows(10, 11, right=0.55), rows(10, 12, right=0.75)
    observed = abs(f1_by_definition(a) - f1_by_definition(b))
    extreme = 0
    for turned in itertools.product((False, True), repeat=10):
        one = [y if turn else x for x, y, turn in zip(a, b, turned, strict=True)]
        two = [x if turn else y for x, y, turn in zip(a, b, turned, strict=True)]
        extreme += abs(f1_by_definition(one) - f1_by_definition(two)) >= observed - 1e-12
    assert 0.01 < extreme / 1024 < 0.5, "a case that says something"
    assert randomization(a, b, n=40_000) == pytest.approx(extreme / 1024, abs=0.01)


@given(st.integers(0, 999), st.sampled_from([0.5, 0.7]))
def test_randomization_is_the_same_from_both_sides(seed: int, right: float) -> None:
    a, b = rows(30, seed, right=0.6), rows(30, seed + 1000, right=right)
    assert randomization(a, b, n=200) == randomization(b, a, n=200)
    assert 1 / 201 <= randomization(a, b, n=200) <= 1


def test_randomization_finds_a_difference_as_the_bootstrap_does() -> None:
    worse, better = rows(200, 6, right=0.6), rows(200, 7, right=0.8)
    assert randomization(worse, better) == 1 / 10_001
    assert randomization(rows(200, 8), rows(200, 9)) > 0.05
    assert randomization(worse, better, seed=1) == randomization(worse, better, seed=1)


def drawn(n: int, rng: np.random.Generator, right: float = 0.7, each: int = 2) -> list[list[Counts]]:
    """The answers of `each` equally good programs to the same documents, which are not equally hard."""
    gold = rng.integers(1, 9, n)
    ease = np.clip(rng.normal(right, 0.15, n), 0, 1)
    answers = []
    for _ in range(each):
        correct, wrong = rng.binomial(gold, ease), rng.poisson(1.0, n)
        answers.append([Counts(int(c), int(c + w), int(g)) for c, w, g in zip(correct, wrong, gold, strict=True)])
    return answers


def test_intervals_hold_the_truth_as_often_as_they_promise() -> None:
    """Against the F1 of very many documents; 95 % of 300 is 285, and 267 is more than four standard errors below."""
    rng = np.random.default_rng(1)
    truth = f1_by_definition(drawn(100_000, rng, each=1)[0])
    bounds = [interval(drawn(120, rng, each=1)[0], n=500, seed=i) for i in range(300)]
    inside = sum(lo <= truth <= hi for lo, hi in bounds)
    assert 267 <= inside <= 297, inside


def test_without_a_difference_p_is_uniform() -> None:
    """Of two equally good programs: p is below 0.05 (0.2, 0.5) in 5 % (20 %, 50 %) of the comparisons, within four errors."""
    rng = np.random.default_rng(2)
    pairs = [drawn(60, rng) for _ in range(300)]
    for test in (lambda a, b, i: randomization(a, b, n=400, seed=i), lambda a, b, i: paired(a, b, n=400, seed=i).p):
        found = np.array([test(a, b, i) for i, (a, b) in enumerate(pairs)])
        for level in (0.05, 0.2, 0.5, 0.8):
            slack = 4 * (level * (1 - level) / len(pairs)) ** 0.5
            assert abs((found <= level).mean() - level) <= slack, (level, (found <= level).mean())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []), ([0.04], [0.04]), ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]), ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, 0.02], [0.04, 0.04]),
    ],
)  # fmt: skip
def test_holm(given: list[float], expected: list[float]) -> None:
    assert holm(given) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferronis(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= c <= min(1.0, p * len(p_values)) + 1e-12 for p, c in zip(p_values, corrected, strict=True))
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert all(corrected[i] <= corrected[j] for i, j in itertools.pairwise(order))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [], "at least one row"),
        ([Counts()], [], "not 1 and 0"),
        ([Counts(0, 0, 1)], [Counts(0, 0, 2)], "gold counts differ"),
    ],
)
def test_faults(a: list[Counts], b: list[Counts], message: str) -> None:
    for test in (paired, randomization):
        with pytest.raises(ValueError, match=message):
            test(a, b)


def test_pooled_adds_up_the_rows_of_a_group() -> None:
    assert pooled([Counts(1, 1, 1), Counts(0, 1, 2), Counts(1, 2, 3)], ["a", "b", "a"]) == [
        Counts(2, 3, 4),
        Counts(0, 1, 2),
    ]
