"""From a program, train and dev documents to a better program: one module an optimizer, each with `build(**options)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ner_programs import Document, NERProgram
    from optimizers._base import OnTrial

__all__ = ["compile"]


def compile(
    program: NERProgram, optimizer: Mapping[str, Any], *, train: Sequence[Document], dev: Sequence[Document],
    seed: int = 1, on_trial: OnTrial = lambda trial: None,
) -> NERProgram:  # fmt: skip
    """Compile `program` with the optimizer that a spec names, under the LM that is set in DSPy.

    `optimizer` is `{"name": "random_search", "budget": {"calls": 2000}, ...}`. A verifier without demonstrations gets them
    first, from train; that is part of the budget. `seed` is for an optimizer that draws and is given no seed of its own.
    Raises ComponentError for a wrong option, BudgetError and OutageError when no candidate could be scored.
    """
    from ner_programs.components import resolve
    from ner_programs.lms.metered import BudgetSpent
    from optimizers._base import budget_from, within
    from optimizers._errors import BudgetError
    from optimizers._verifier import taught

    options = dict(optimizer)
    budget = budget_from(options.pop("budget", {}))
    chosen = resolve("optimizers", seeded(options, seed))
    try:
        with within(budget):
            ready = taught(program, program.examples(train), seed) if program.verify and train else program
            compiled: NERProgram = chosen.compile(ready, train=train, dev=dev, budget=budget, on_trial=on_trial)
    except BudgetSpent:
        raise BudgetError(f"optimizer.budget ({budget}) ended before the first trial") from None
    return compiled


def seeded(options: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return an optimizer's options with a seed, if it takes one."""
    import inspect

    from ner_programs.components import module

    build = getattr(module("optimizers", str(options.get("name"))), "build", None)
    draws = build is not None and "seed" in inspect.signature(build).parameters
    return {"seed": seed, **options} if draws else dict(options)
