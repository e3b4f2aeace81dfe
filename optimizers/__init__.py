"""Optimizers: each turns a program, train and dev documents into a better program.

Each optimizer is one module with `build(**options)`. A spec names it: `{"name": "race", "budget": {"calls": 2000}}`.

>>> from ner_programs import Document, Entity, Pool, ProgramSpec, open_lm
>>> def note(day, drug):
...     text = f"Day {day}: given {drug}."
...     start = text.index(drug)
...     return Document(f"n{day}", text, (Entity.of(text, start, start + len(drug), "drug"),))
>>> notes = [note(day, drug) for day, drug in enumerate(["aspirin", "codeine", "heparin", "digoxin", "codeine"])]
>>> train, dev = notes[:3], notes[3:]
>>> first = ProgramSpec(labels={"drug": "A medicine."}).build(pool=Pool.of(train))
>>> first.lm = open_lm()  # the stand-in; a language model is open_lm("openai/gpt-4.1-mini")
>>> program = compile(first, train=train, dev=dev, optimizer="labeled", budget={"calls": 20})
>>> [entity.text for entity in program("Day 7: given heparin.").entities]
['heparin']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ner_programs import Document, NERProgram
    from ner_programs.lms.metered import Budget
    from optimizers.search import Search
    from optimizers.trial import Compilation, OnTrial, Optimizer, Trial

__all__ = ["Budget", "Compilation", "Optimizer", "Search", "Trial", "check", "compile", "opened"]

_HOME = {
    "Budget": "ner_programs.lms.metered", "Compilation": "optimizers.trial", "Optimizer": "optimizers.trial",
    "Search": "optimizers.search", "Trial": "optimizers.trial",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import on first use, so that listing the optimizers' names does not import DSPy."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def compile(
    program: NERProgram, optimizer: str | Mapping[str, Any] | Optimizer, *, train: Sequence[Document], dev: Sequence[Document],
    budget: Budget | Mapping[str, float] | None = None, seed: int = 1, on_trial: OnTrial = lambda trial: None,
) -> NERProgram:  # fmt: skip
    """Compile `program` with an optimizer and return the best program. Calls go to the program's LM, or to DSPy's.

    `optimizer` is a name, its options (`{"name": "random_search", "candidates": 8}`), or an `Optimizer` of your own. `budget`
    is a `Budget` or `{"calls": 2000}`; without one the options' own counts, else there is no limit. `seed` applies if the
    optimizer is random and its options have no seed.

    Before the search, a verifier that has no demonstrations (or a fusion that has no answers) gets them from train. After
    the search, the fusion of the best program gets answers of that program. Both are paid from the budget.

    Raises ComponentError for a wrong option, LMSetupError if the optimizer needs another LM, BudgetError and OutageError if
    no candidate could be scored, and TypeError for held-out documents: neither train nor dev may be test.
    """
    import dspy

    from ner_programs.errors import BudgetError
    from ner_programs.lms import current_lm
    from ner_programs.lms.metered import BudgetSpent
    from ner_programs.types import learnable
    from optimizers.preparation import anew, within_reserve
    from optimizers.trial import Compilation

    train, dev = learnable(train, "train"), learnable(dev, "dev")
    chosen, limit = opened(optimizer, seed, budget)
    compilation = Compilation(current_lm(program.lm), limit, on_trial)
    writer = compilation.lm.role("prompt")
    _refuse(optimizer, chosen, writes=writer.writes)
    asks = getattr(chosen, "needs_writer", False) or getattr(chosen, "asks_writer", False)
    if asks and writer.writes:
        writer.must_end(limit)
    try:
        with dspy.context(lm=compilation.lm), compilation.limited():
            ready = _ready(program, train, seed, compilation) if program.verify and train else program
            rest = compilation.part(within_reserve(compilation.left, ready))
            compiled: NERProgram = chosen.compile(ready, train=train, dev=dev, compilation=rest)
            compiled = anew(compiled, ready, train, seed)
    except BudgetSpent:
        raise BudgetError(f"optimizer.budget ({limit}) ended before the first trial") from None
    return compiled


def _ready(program: NERProgram, train: Sequence[Document], seed: int, compilation: Compilation) -> NERProgram:
    """Give the verifier its demonstrations, or the fusion its answers. Uses at most a quarter of the budget for answers."""
    from contextlib import suppress

    from ner_programs.lms.metered import Budget, BudgetSpent
    from optimizers.preparation import fused, taught

    examples = program.examples(train)
    ready, budget = taught(program, examples, seed), compilation.budget
    quarter = Budget(
        None if budget.calls is None else budget.calls // 4,
        None if budget.tokens is None else budget.tokens // 4,
        None if budget.cost is None else budget.cost / 4,
    )
    with suppress(BudgetSpent), compilation.limited(quarter):
        return fused(ready, examples, seed, quarter.calls)
    return ready


def opened(
    optimizer: str | Mapping[str, Any] | Optimizer, seed: int = 1, budget: Budget | Mapping[str, float] | None = None
) -> tuple[Optimizer, Budget]:
    """Build an optimizer by its name or options; return it with its budget, which is `budget` if that is given.

    Raises ComponentError and BudgetError for a wrong option.
    """
    from ner_programs.components import resolve
    from ner_programs.lms.metered import Budget
    from optimizers.budget import budget_from

    limit = budget if isinstance(budget, Budget) else None if budget is None else budget_from(budget)
    if not isinstance(optimizer, str | Mapping):
        return optimizer, limit or Budget()
    options = {"name": optimizer} if isinstance(optimizer, str) else dict(optimizer)
    own = budget_from(options.pop("budget", {}))
    return resolve("optimizers", seeded(options, seed)), limit or own


def check(program: NERProgram, optimizer: str | Mapping[str, Any] | Optimizer, *, writes: bool = True) -> None:
    """Raise an error before anything is spent if the optimizer cannot work on `program`.

    ComponentError: the optimizer varies settings that the program does not have. LMSetupError: the optimizer needs an LM that
    writes instructions, and `writes` is False.
    """
    from optimizers.trial import Checked

    chosen, _ = opened(optimizer)
    _refuse(optimizer, chosen, writes=writes)
    if isinstance(chosen, Checked):
        chosen.check(program)


def _refuse(optimizer: str | Mapping[str, Any] | Optimizer, chosen: Optimizer, *, writes: bool) -> None:
    from ner_programs.errors import LMSetupError

    if getattr(chosen, "needs_writer", False) and not writes:
        given = optimizer.get("name") if isinstance(optimizer, Mapping) else optimizer
        name = given if isinstance(given, str) else type(chosen).__name__
        raise LMSetupError(f"optimizer {name} needs a language model that writes: give [lm.prompt]")


def seeded(options: Mapping[str, Any], seed: int, package: str = "optimizers") -> dict[str, Any]:
    """Return a component's options, with `seed` added if its `build` takes a seed and the options have none."""
    import inspect

    from ner_programs.components import module

    if "name" not in options:
        return dict(options)  # `resolve` raises the error
    build = getattr(module(package, str(options["name"])), "build", None)
    draws = build is not None and "seed" in inspect.signature(build).parameters
    return {"seed": seed, **options} if draws else dict(options)
