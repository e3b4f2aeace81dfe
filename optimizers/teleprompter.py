"""Any other Teleprompter of DSPy, or one of your own, by its dotted name.

    optimizer = { name = "teleprompter", of = "dspy.teleprompt.BootstrapFewShot", options = { max_labeled_demos = 8 } }

`options` go to its constructor, `compile` to its `compile`. Where they have a parameter for the metric, the training set, the
validation set, an LM that writes instructions or a seed, and nothing is said, they get it. What it evaluates on dev with
`dspy.Evaluate` is a trial; of the program it returns and these the best on dev is chosen.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Annotated, Any

import dspy
from dspy.teleprompt import Teleprompter
from dspy.utils.exceptions import AdapterParseError, LMError
from pydantic import Field

from ner_programs import ComponentError
from ner_programs.lms.metered import Budget
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._dspy.teleprompter import Right, documents_for, run, student, trainset, valset
from optimizers.budget import calls_made
from optimizers.search import Search
from optimizers.trial import OnTrial

PASSES = 8
"""How many evaluations on the validation set it is sized for, where no number of documents is given."""
WRITERS = ("prompt_model", "reflection_lm")
"""What Teleprompters call the LM that writes instructions; one that takes none writes none."""


class Other:
    """Runs one Teleprompter."""

    def __init__(
        self, make: type[Teleprompter], options: Mapping[str, Any], arguments: Mapping[str, Any], documents: int | None,
        seed: int,
    ) -> None:  # fmt: skip
        self.make, self.options, self.arguments, self.documents, self.seed = make, options, arguments, documents, seed
        self.needs_writer = any(name in WRITERS for name in parameters(make.__init__))

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], budget: Budget, on_trial: OnTrial
    ) -> NERProgram:  # fmt: skip
        """Return the best of what it made. Raises ComponentError if that is no program that can be saved."""
        search = Search(student(program), dev, budget, on_trial, self.seed)
        examples = trainset(program, train, self.seed)
        supplied = {
            "metric": Right(examples), "trainset": examples, "seed": self.seed,
            "valset": valset(search, self.documents or documents_for(search, PASSES)),
        } | dict.fromkeys(WRITERS, dspy.settings.lm.role("prompt"))  # fmt: skip

        def make(start: NERProgram) -> NERProgram:
            began = calls_made()
            try:
                teleprompter = self.make(**filled(self.make.__init__, self.options, supplied))
            except Exception as error:
                raise ComponentError(f"{self.make.__name__}: {type(error).__name__}: {error}") from error
            try:
                made = teleprompter.compile(start, **filled(self.make.compile, self.arguments, supplied))
            except (LMError, AdapterParseError):
                raise
            except Exception as error:  # of wrong arguments it tells at once; later it may quote the text
                said = f": {error}" if calls_made() == began else ""
                raise ComponentError(f"{self.make.__name__}: {type(error).__name__}{said}") from error
            if not isinstance(made, NERProgram) or "forward" in vars(made):
                raise ComponentError(
                    f"{self.make.__name__} makes a program that lives in code, not in instructions and demonstrations, and "
                    "cannot be saved (for the nearest demonstrations, name a selector: program.demos)"
                )
            return made

        return run(search, make, examples)


def filled(function: Callable[..., Any], given: Mapping[str, Any], supplied: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for a function: those given, and of those supplied the ones that it takes."""
    return {name: supplied[name] for name in parameters(function) if name in supplied} | dict(given)


def parameters(function: Callable[..., Any]) -> list[str]:
    """Return the names of what a function takes by name, beside a student."""
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        n for n, p in inspect.signature(function).parameters.items() if p.kind in kinds and n not in ("self", "student")
    ]


def found(name: str) -> type[Teleprompter]:
    """Return the class that a dotted name means. Raises ComponentError."""
    place, _, last = name.rpartition(".")
    try:
        module = import_module(place) if place else None
    except (ImportError, TypeError, ValueError) as error:  # of ".x" and the like
        raise ComponentError(f"teleprompter: of = {name!r}: {error}") from error
    made = getattr(module, last, None)
    if not (isinstance(made, type) and issubclass(made, Teleprompter)):
        there = sorted(
            n for n, v in vars(module or dspy).items() if isinstance(v, type) and issubclass(v, Teleprompter)
        )
        raise ComponentError(
            f"teleprompter: of = {name!r} is no Teleprompter; in {place or 'dspy'} there are: {', '.join(there) or 'none'}"
        )
    return made


def build(
    *, of: str, options: dict[str, Any] | None = None, compile: dict[str, Any] | None = None,
    documents: Annotated[int, Field(ge=1, le=10_000)] | None = None, seed: int = 1,
) -> Other:  # fmt: skip
    """Build it; `documents` is the size of the validation set. Raises ComponentError for a name or an option there is not."""
    made = found(of)
    for function, given in ((made.__init__, options or {}), (made.compile, compile or {})):
        known = parameters(function)
        open_end = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in inspect.signature(function).parameters.values())
        if not open_end and (unknown := [name for name in given if name not in known]):
            raise ComponentError(
                f"teleprompter: {made.__name__}.{function.__name__} has no {unknown[0]!r}; it has: {', '.join(known)}"
            )
    return Other(made, options or {}, compile or {}, documents, seed)
