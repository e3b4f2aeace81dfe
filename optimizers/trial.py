"""The protocol of optimizers, and the trials that they report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import dspy

from ner_programs.evaluate import Scored
from ner_programs.lms.metered import Budget, MeteredLM
from ner_programs.program import NERProgram
from ner_programs.types import Document


@dataclass(frozen=True, slots=True)
class Trial:
    """A scored candidate: its changes against the initial program, its scores, and the run's number of calls by then.

    Notes, `first`, `train` and `dev` are those of the package's example.

    >>> trials = []
    >>> program = compile(first, "labeled", train=train, dev=dev, budget={"calls": 20}, on_trial=trials.append)
    >>> trials[-1].number, trials[-1].documents, trials[-1].scored.total.gold
    (2, 2, 2)
    """

    number: int
    changes: Mapping[str, Any]
    scored: Scored
    documents: int
    calls: int
    program: NERProgram = field(repr=False)


OnTrial = Callable[[Trial], None]


class Optimizer(Protocol):
    """Turns a program, train and dev documents into a better program, and leaves the given program unchanged.

    An optimizer that needs an LM to write instructions sets `needs_writer = True`. One that uses such an LM if there is one
    sets `asks_writer = True`. A whole one, which tries numbers of demonstrations:

    >>> class Numbers:
    ...     def compile(self, program, *, train, dev, budget, on_trial):
    ...         search = Search(program, dev, budget, on_trial)
    ...         with search.spending():
    ...             for k in (1, 3):
    ...                 changes = {"demos": {"name": "tfidf", "k": k}}
    ...                 search.score(program.with_settings(**changes), changes, search.sample(2))
    ...         return search.choose()
    >>> compile(first, Numbers(), train=train, dev=dev, budget={"calls": 20}).spec.demos["k"] in (1, 3)
    True
    """

    def compile(
        self,
        program: NERProgram,
        *,
        train: Sequence[Document],
        dev: Sequence[Document],
        budget: Budget,
        on_trial: OnTrial,
    ) -> NERProgram:
        """Return the best program found within `budget`. Report every finished trial to `on_trial`."""


@runtime_checkable
class Checked(Optimizer, Protocol):
    """An optimizer that can check its options against a program before anything is spent."""

    def check(self, program: NERProgram) -> None:
        """Raise ComponentError for an unknown setting or value."""


def writes(lm: Any = None) -> bool:
    """Return whether an LM (by default the current one) is a language model: one that follows and writes instructions."""
    return bool(getattr(dspy.settings.lm if lm is None else lm, "writes", True))


def role(name: str) -> Any:
    """Return the LM for a role, "prompt" or "strong"; without one, the current LM."""
    lm = dspy.settings.lm
    return lm.role(name) if isinstance(lm, MeteredLM) else lm
