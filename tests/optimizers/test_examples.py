"""The worked examples of what is public run as they stand."""

import doctest
from typing import Any

import dspy
import pytest

import optimizers
from ner_programs import open_lm
from optimizers import Budget, Compilation, Optimizer, Search, Trial

PUBLIC = (Budget, Compilation, Optimizer, Search, Trial)


def run(of: Any, name: str, names: dict[str, Any]) -> int:
    """Run the examples of one docstring; what they set is in `names` afterwards."""
    (test,) = doctest.DocTestFinder(recurse=False).find(of, name, globs=names)
    told = list[str]()
    runner = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    runner.run(test, out=told.append, clear_globs=False)
    assert runner.failures == 0, "".join(told)
    names |= test.globs
    return len(test.examples)


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    names = {"compile": optimizers.compile, "dspy": dspy, "open_lm": open_lm}
    names |= {kind.__name__: kind for kind in PUBLIC}
    assert run(optimizers, "optimizers", names) > 5
    return names


@pytest.mark.parametrize("kind", PUBLIC)
def test_an_example_runs(kind: type, names: dict[str, Any]) -> None:
    assert run(kind, kind.__name__, dict(names)) > 1


def test_a_budget_counts_before_that_of_the_options() -> None:
    options = {"name": "none", "budget": {"calls": 7}}
    assert optimizers.opened(options)[1] == Budget(calls=7)
    assert optimizers.opened(options, budget={"calls": 3})[1] == Budget(calls=3)
    assert optimizers.opened("none", budget=Budget(tokens=5))[1] == Budget(tokens=5)
    own = optimizers.opened("none")[0]
    assert optimizers.opened(own) == (own, Budget())
