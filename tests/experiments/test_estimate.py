"""What a dry run says of compiling: the budget, or what a search plans with."""

import pytest

from experiments.runs.estimate import Estimate, estimate
from experiments.spec import load
from optimizers.search import WITHOUT_LIMIT
from tests.experiments.conftest import Place

SEARCH = "optimizer={name='mipro', budget=%s}"


def plan(place: Place, *changes: str) -> Estimate:
    return estimate(load(place.root / "open.toml", list(changes)), place.root, place.home)


def test_without_an_optimizer_compiling_costs_nothing(bare: Place) -> None:
    said = plan(bare, "optimizer={name='none'}")
    assert said.compile_calls == 0 < said.dev_calls


def test_a_budget_is_what_compiling_takes(bare: Place) -> None:
    assert plan(bare, SEARCH % "{calls=77}").compile_calls == 77


def test_without_a_budget_a_search_plans_with_passes_over_dev(bare: Place) -> None:
    said = plan(bare, "optimizer={name='mipro'}")
    assert said.compile_calls == WITHOUT_LIMIT * said.dev_calls


def test_a_budget_in_tokens_or_money_is_about_what_compiling_costs(bare: Place) -> None:
    plain = plan(bare, "optimizer={name='none'}")
    each = (plain.tokens_in + plain.tokens_out) / plain.calls
    said = plan(bare, SEARCH % "{tokens=100_000}")
    assert said.compile_calls == pytest.approx(100_000 / each, rel=0.05)
    both = plan(bare, SEARCH % "{tokens=100_000, calls=5}")
    assert both.compile_calls == 5


def test_a_budget_in_money_needs_a_price(bare: Place) -> None:
    model = "lm={model='hosted_vllm/x', price={input=100.0, output=100.0}}"
    said = plan(bare, SEARCH % "{cost=2.0}", model)
    one = said.cost / said.calls if said.cost else 0.0
    assert said.compile_calls * one == pytest.approx(2.0, rel=0.05)
