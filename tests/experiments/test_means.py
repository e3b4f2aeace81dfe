"""Means over seeds: with one run they are what `significance` says, with more the spread is told apart from the interval."""

import random

import pytest

from experiments.paper.means import mean_and_sd, mean_difference, mean_interval
from experiments.scoring.significance import interval, paired
from ner_programs.scoring import Counts


def rows(seed: int, right: float, number: int = 60) -> list[Counts]:
    """Return rows of the same gold for every seed, of which about `right` are found."""
    gold, draw = random.Random(0), random.Random(seed)
    made = []
    for _ in range(number):
        there = gold.randint(1, 4)
        correct = sum(draw.random() < right for _ in range(there))
        made.append(Counts(correct=correct, predicted=correct + draw.randint(0, 1), gold=there))
    return made


def test_of_one_run_it_is_the_bootstrap_that_compares_runs() -> None:
    a, b = rows(1, 0.5), rows(2, 0.7)
    assert mean_interval([a]) == pytest.approx(interval(a))
    ours, theirs = mean_difference([a], [b]), paired(a, b)
    assert (ours.delta, ours.lo, ours.hi, ours.p) == pytest.approx((theirs.delta, theirs.lo, theirs.hi, theirs.p))
    assert mean_and_sd([a])[1] is None


def test_a_mean_of_runs_lies_among_them() -> None:
    runs = [rows(seed, 0.6) for seed in range(1, 6)]
    mean, sd = mean_and_sd(runs)
    scores = [mean_and_sd([r])[0] for r in runs]
    assert min(scores) < mean < max(scores) and sd is not None and 0 < sd < 0.1
    lo, hi = mean_interval(runs)
    assert lo < mean < hi


def drawn(draw: random.Random, spread: float) -> list[list[Counts]]:
    """Return three runs whose rate of right answers is itself drawn, around a half."""
    rates = [min(max(draw.gauss(0.5, spread), 0.0), 1.0) for _ in range(3)]
    return [rows(draw.randrange(1 << 30), rate) for rate in rates]


def test_the_interval_of_a_mean_covers_what_all_runs_would_have() -> None:
    """Of runs that differ much among themselves, resampled documents alone would cover it in a third of the cases."""
    draw, covered, told_apart = random.Random(7), 0, 0
    truth = mean_and_sd([run for _ in range(80) for run in drawn(draw, 0.15)])[0]
    for _ in range(60):
        lo, hi = mean_interval(drawn(draw, 0.15), n=400)
        covered += lo <= truth <= hi
        told_apart += mean_difference(drawn(draw, 0.15), drawn(draw, 0.15), n=400).p < 0.05
    assert covered >= 54 and told_apart <= 6


def test_the_interval_stays_where_f1_does() -> None:
    lo, hi = mean_interval([rows(1, 0.02), rows(2, 0.5), rows(3, 0.98)])
    assert (lo, hi) == (0, 1)


def test_runs_that_are_equal_do_not_differ() -> None:
    same = mean_difference([rows(1, 0.5)] * 3, [rows(1, 0.5)])
    assert (same.delta, same.p) == (0, 1) and same.lo == pytest.approx(0) and same.hi == pytest.approx(0)


def test_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="same rows"):
        mean_difference([rows(1, 0.5)], [rows(1, 0.5, number=59)])


def test_of_the_same_draws_only_the_differences_are_uncertain() -> None:
    """Pools differ far more among themselves than what two learners make of the same pool."""
    a = [rows(n, 0.3 + 0.08 * n) for n in range(1, 6)]
    b = [[Counts(correct=min(c.correct + 1, c.gold), predicted=c.predicted + 1, gold=c.gold) for c in run] for run in a]
    apart, matched = mean_difference(a, b), mean_difference(a, b, matched=True)
    assert matched.delta == apart.delta and matched.lo <= matched.delta <= matched.hi
    assert matched.hi - matched.lo < 0.6 * (apart.hi - apart.lo)
    with pytest.raises(ValueError, match="zip"):
        mean_difference(a, b[:-1], matched=True)
