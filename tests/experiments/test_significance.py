"""The bootstrap: contains the point, is deterministic, and finds no difference where there is none."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import significance
from experiments.significance import interval, paired, pooled
from ner_programs.scoring import Counts


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


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = rows(50, 4)
    whole = interval(sample, n=300)
    monkeypatch.setattr(significance, "_CELLS", 1000)
    assert interval(sample, n=300) == whole


def test_ten_thousand_resamples_of_a_thousand_rows_take_about_a_second() -> None:
    began = time.perf_counter()
    interval(rows(1000, 5))
    assert time.perf_counter() - began < 3, "a second is the aim; three, for a loaded machine"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20))
def test_a_program_does_not_differ_from_itself(triples: list[tuple[int, int, int]]) -> None:
    sample = [Counts(c, c + p, c + g) for c, p, g in triples]
    lo, hi = interval(sample, n=50)
    assert 0 <= lo <= hi <= 1
    same = paired(sample, sample, n=50)
    assert (same.delta, same.lo, same.hi, same.p, same.significant) == (0, 0, 0, 1, False)


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


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [], "at least one row"),
        ([Counts()], [], "not 1 and 0"),
        ([Counts(0, 0, 1)], [Counts(0, 0, 2)], "gold counts differ"),
    ],
)
def test_faults(a: list[Counts], b: list[Counts], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired(a, b)


def test_pooled_adds_up_the_rows_of_a_group() -> None:
    assert pooled([Counts(1, 1, 1), Counts(0, 1, 2), Counts(1, 2, 3)], ["a", "b", "a"]) == [
        Counts(2, 3, 4),
        Counts(0, 1, 2),
    ]
