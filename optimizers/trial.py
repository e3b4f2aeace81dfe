"""What an optimizer is, and what it reports: the candidates that it tried."""

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
    """One finished candidate: what was changed, how it scored, and how many calls the run had made by then."""

    number: int
    changes: Mapping[str, Any]
    scored: Scored
    documents: int
    calls: int
    program: NERProgram = field(repr=False)


OnTrial = Callable[[Trial], None]


class Optimizer(Protocol):
    """From a program, train and dev documents to a better program; never changes the program it is given.

    One that only works with instructions that an LM writes says so: `needs_writer = True`; one that has some written where an
    LM can: `asks_writer = True`.
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
        """Return the best program found within `budget`; every finished trial is reported to `on_trial`."""


@runtime_checkable
class Checked(Optimizer, Protocol):
    """An optimizer that can say beforehand whether it may change a program as it is asked to."""

    def check(self, program: NERProgram) -> None:
        """Raise ComponentError for a setting, or a value of it, that there is not."""


def writes(lm: Any = None) -> bool:
    """Say whether an LM (by default the one in use) is a language model, which follows instructions and writes them."""
    return bool(getattr(dspy.settings.lm if lm is None else lm, "writes", True))


def role(name: str) -> Any:
    """Return the LM that takes a role, "prompt" or "strong": its own, where the one in use has it, else that one."""
    lm = dspy.settings.lm
    return lm.role(name) if isinstance(lm, MeteredLM) else lm
