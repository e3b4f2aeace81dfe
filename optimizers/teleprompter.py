"""Any other Teleprompter of DSPy, or one of your own, by its dotted name.

    optimizer = { name = "teleprompter", of = "dspy.teleprompt.BootstrapFewShot", options = { max_labeled_demos = 8 } }

`options` are arguments of its constructor, `compile` arguments of its `compile`. Missing arguments for the metric, the training
set, the validation set, an LM that writes instructions, and a seed are filled in. Each evaluation on dev with `dspy.Evaluate`
is a trial. The best of these programs and of the returned program on dev is chosen.
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
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._dspy.teleprompter import Right, documents_for, run, student, trainset, valset
from optimizers.search import Search
from optimizers.trial import Compilation

PASSES = 8
"""Number of evaluations that the validation set is sized for by default."""
WRITERS = ("prompt_model", "reflection_lm")
"""Names of the parameter for the LM that writes instructions. A Teleprompter without one writes none."""


class Other:
    """Runs one Teleprompter."""

    def __init__(
        self, make: type[Teleprompter], options: Mapping[str, Any], arguments: Mapping[str, Any], documents: int | None,
        seed: int,
    ) -> None:  # fmt: skip
        self.make, self.options, self.arguments, self.documents, self.seed = make, options, arguments, documents, seed
        self.needs_writer = any(name in WRITERS for name in parameters(make.__init__))

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the best of its programs. Raises ComponentError if its result cannot be saved as a program."""
        search = Search(student(program), dev, compilation, self.seed)
        examples = trainset(program, train, self.seed)
        supplied = {
            "metric": Right(program.task, examples), "trainset": examples, "seed": self.seed,
            "valset": valset(search, self.documents or documents_for(search, PASSES)),
        } | dict.fromkeys(WRITERS, compilation.lm.role("prompt"))  # fmt: skip

        def make(start: NERProgram) -> NERProgram:
            began = compilation.calls
            try:
                teleprompter = self.make(**filled(self.make.__init__, self.options, supplied))
            except Exception as error:
                raise ComponentError(f"{self.make.__name__}: {type(error).__name__}: {error}") from error
            try:
                made = teleprompter.compile(start, **filled(self.make.compile, self.arguments, supplied))
            except (LMError, AdapterParseError):
                raise
            except Exception as error:  # before any call the error is about arguments; later it may quote the corpus
                detail = f": {error}" if compilation.calls == began else ""
                raise ComponentError(f"{self.make.__name__}: {type(error).__name__}{detail}") from error
            if not isinstance(made, NERProgram) or "forward" in vars(made):
                raise ComponentError(
                    f"{self.make.__name__} makes a program that lives in code, not in instructions and demonstrations, and "
                    "cannot be saved (for the nearest demonstrations, name a selector: program.demos)"
                )
            return made

        return run(search, make, examples)


def filled(function: Callable[..., Any], given: Mapping[str, Any], supplied: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for a function: those given, and those supplied that it has a parameter for."""
    return {name: supplied[name] for name in parameters(function) if name in supplied} | dict(given)


def parameters(function: Callable[..., Any]) -> list[str]:
    """Return the names of a function's keyword parameters, without `self` and `student`."""
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        n for n, p in inspect.signature(function).parameters.items() if p.kind in kinds and n not in ("self", "student")
    ]


def found(name: str) -> type[Teleprompter]:
    """Import the Teleprompter of a dotted name. Raises ComponentError."""
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
    """Build it; `documents` is the size of the validation set. Raises ComponentError for an unknown name or option."""
    made = found(of)
    for function, given in ((made.__init__, options or {}), (made.compile, compile or {})):
        known = parameters(function)
        open_end = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in inspect.signature(function).parameters.values())
        if not open_end and (unknown := [name for name in given if name not in known]):
            raise ComponentError(
                f"teleprompter: {made.__name__}.{function.__name__} has no {unknown[0]!r}; it has: {', '.join(known)}"
            )
    return Other(made, options or {}, compile or {}, documents, seed)
