"""From a program, train and dev documents to a better program: one module an optimizer, each with `build(**options)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ner_programs import Document, NERProgram
    from ner_programs.lms.metered import Budget
    from optimizers.search import Search
    from optimizers.trial import OnTrial, Optimizer, Trial

__all__ = ["Budget", "Optimizer", "Search", "Trial", "check", "compile", "opened"]

_HOME = {
    "Budget": "ner_programs.lms.metered", "Optimizer": "optimizers.trial", "Search": "optimizers.search",
    "Trial": "optimizers.trial",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import on first use: who only wants the names of the optimizers needs no DSPy."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def compile(
    program: NERProgram, optimizer: Mapping[str, Any], *, train: Sequence[Document], dev: Sequence[Document],
    seed: int = 1, on_trial: OnTrial = lambda trial: None,
) -> NERProgram:  # fmt: skip
    """Compile `program` with the optimizer that a spec names, under its own LM, else under the one that is set in DSPy.

    `optimizer` is `{"name": "random_search", "budget": {"calls": 2000}, ...}`. A verifier without demonstrations, or answers to
    learn from, gets them first, from train, and the program that wins is asked for its own answers at last; that is part of
    the budget. `seed` is for an optimizer that draws and is given no seed of its own.

    Raises ComponentError for a wrong option, LMSetupError where it needs another LM, BudgetError and OutageError when no
    candidate could be scored, and TypeError for documents that are held out: neither train nor dev can be test.
    """
    import dspy

    from ner_programs.errors import BudgetError
    from ner_programs.lms.metered import BudgetSpent, MeteredLM
    from ner_programs.types import learnable
    from optimizers.budget import within
    from optimizers.preparation import anew, within_reserve
    from optimizers.trial import role, writes

    train, dev = learnable(train, "train"), learnable(dev, "dev")
    chosen, budget = opened(optimizer, seed)
    writer = role("prompt")
    _refuse(optimizer, chosen, writes=writes(writer))
    asks = getattr(chosen, "needs_writer", False) or getattr(chosen, "asks_writer", False)
    if asks and isinstance(writer, MeteredLM) and writer.writes:
        writer.must_end(budget)
    try:
        with dspy.context(lm=program.lm or dspy.settings.lm), within(budget) as left:
            ready = _ready(program, train, seed, budget) if program.verify and train else program
            most = within_reserve(left(), ready)
            compiled: NERProgram = chosen.compile(ready, train=train, dev=dev, budget=most, on_trial=on_trial)
            compiled = anew(compiled, ready, train, seed)
    except BudgetSpent:
        raise BudgetError(f"optimizer.budget ({budget}) ended before the first trial") from None
    return compiled


def _ready(program: NERProgram, train: Sequence[Document], seed: int, budget: Budget) -> NERProgram:
    """Give a verifier what it learns from: demonstrations, or answers; for a quarter of the calls at most."""
    from contextlib import suppress

    from ner_programs.lms.metered import Budget, BudgetSpent
    from optimizers.budget import within
    from optimizers.preparation import fused, taught

    examples = program.examples(train)
    ready = taught(program, examples, seed)
    quarter = Budget(
        None if budget.calls is None else budget.calls // 4,
        None if budget.tokens is None else budget.tokens // 4,
        None if budget.cost is None else budget.cost / 4,
    )
    with suppress(BudgetSpent), within(quarter):
        return fused(ready, examples, seed, quarter.calls)
    return ready


def opened(optimizer: Mapping[str, Any], seed: int = 1) -> tuple[Optimizer, Budget]:
    """Return the optimizer that a spec names, and its budget. Raises ComponentError and BudgetError for a wrong option."""
    from ner_programs.components import resolve
    from optimizers.budget import budget_from

    options = dict(optimizer)
    budget = budget_from(options.pop("budget", {}))
    return resolve("optimizers", seeded(options, seed)), budget


def check(program: NERProgram, optimizer: Mapping[str, Any], *, writes: bool = True) -> None:
    """Raise an error, before anything is spent, if the optimizer cannot do what it is asked for.

    ComponentError, if it would ask for settings that the program has not; LMSetupError, if it has instructions written and
    who is to do that, as `writes` says, is no language model.
    """
    from optimizers.trial import Checked

    chosen, _ = opened(optimizer)
    _refuse(optimizer, chosen, writes=writes)
    if isinstance(chosen, Checked):
        chosen.check(program)


def _refuse(optimizer: Mapping[str, Any], chosen: Optimizer, *, writes: bool) -> None:
    from ner_programs.errors import LMSetupError

    if getattr(chosen, "needs_writer", False) and not writes:
        raise LMSetupError(f"optimizer {optimizer['name']} needs a language model that writes: give [lm.prompt]")


def seeded(options: Mapping[str, Any], seed: int, package: str = "optimizers") -> dict[str, Any]:
    """Return a component's options with a seed, if it takes one and has none."""
    import inspect

    from ner_programs.components import module

    if "name" not in options:
        return dict(options)  # whoever builds it complains
    build = getattr(module(package, str(options["name"])), "build", None)
    draws = build is not None and "seed" in inspect.signature(build).parameters
    return {"seed": seed, **options} if draws else dict(options)
