"""Estimates the maximum cost of a run (calls, tokens, money) before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optimizers
from experiments import setup
from experiments.corpora.corpus import Corpus
from experiments.runs import folds
from experiments.session import backend_of
from experiments.spec import Model, RunSpec
from ner_programs.demos.embedding import Embedding
from ner_programs.evaluate import calls_for
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers.budget import characters
from optimizers.preparation import TRIES, fuses, llm_verifier
from optimizers.search import WITHOUT_LIMIT

SAMPLE = 20


@dataclass(frozen=True, slots=True)
class Estimate:
    """The maximum number of calls, and their tokens and cost in US dollars; `cost` is None if the price is unknown.

    `compile_calls` is the optimizer's budget, or the default plan of a search without a budget. `seconds` is for two cores, if
    the backend knows the time of a call and of a prompt token (`pace`).
    """

    model: str
    compile_calls: int
    dev_calls: int
    test_calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    seconds: float | None = None

    @property
    def calls(self) -> int:
        """All calls."""
        return self.compile_calls + self.dev_calls + self.test_calls

    def as_dict(self) -> dict[str, Any]:
        """Return what `nerc run --dry-run --json` prints."""
        return asdict(self) | {"calls": self.calls}


def total(plans: Sequence[Estimate]) -> Estimate:
    """Add up the runs of a grid."""
    whole = ("compile_calls", "dev_calls", "test_calls", "tokens_in", "tokens_out")
    sums = {name: sum(getattr(p, name) for p in plans) for name in whole}
    costs = [p.cost for p in plans if p.cost is not None]
    models = ", ".join(dict.fromkeys(p.model for p in plans))
    seconds = None if any(p.seconds is None for p in plans) else sum(p.seconds or 0 for p in plans)
    cost = round(sum(costs), 4) if len(costs) == len(plans) else None
    return Estimate(models, cost=cost, seconds=seconds, **sums)


def estimate(spec: RunSpec, data: Path, home: Path, shared: setup.Shared | None = None) -> Estimate:
    """Estimate by rendering the prompts of a few dev texts. Adds up the folds of a cross-validated run. Sends nothing."""
    corpus, program, _ = setup.build(spec, data, home, shared)
    pieces = [child for _, child in folds.children(spec, program.spec.labels)]
    parts = () if pieces else spec.parts  # the final program of a cross-validated run is compiled but not scored
    dev, test = (calls_for(program, corpus.part(p)) if p in parts else 0 for p in ("dev", "test"))
    sizes = prompt_size(program, (*corpus.dev, *corpus.train)[:SAMPLE])
    compile_calls = compiling(spec, corpus, program)
    whole = Estimate(spec.lm.model, compile_calls, dev, test, *costs(spec.lm, compile_calls + dev + test, sizes))
    return total([whole, *(estimate(piece, data, home, shared) for piece in pieces)]) if pieces else whole


def costs(model: Model, calls: int, sizes: tuple[float, float]) -> tuple[int, int, float | None, float | None]:
    """Return tokens in and out, US dollars and seconds of calls whose prompts and answers have so many characters.

    Which LM of the model is asked how often is unknown, so the dearest and the slowest count. Dollars and seconds are None
    where they are not known.
    """
    backends = [backend_of(one) for one in (model, *model.roles.values())]
    tokens_in, tokens_out = (int(calls * characters / 4) for characters in sizes)
    dollars = [backend.price.cost(tokens_in, tokens_out) for backend in backends if backend.price]
    cost = round(max(dollars), 4) if len(dollars) == len(backends) else None
    paces = [getattr(backend, "pace", None) for backend in backends]
    seconds = None if None in paces else round(max(calls * a + tokens_in * b for a, b in filter(None, paces)), 1)
    return tokens_in, tokens_out, cost, seconds


def compiling(spec: RunSpec, corpus: Corpus, program: NERProgram) -> int:
    """Return the maximum number of calls of compiling: the budget, or the default plan of a search without a budget.

    A budget in tokens or money is converted into calls.
    """
    verifier, fuse = llm_verifier(program), fuses(program)
    taught = TRIES * verifier.k if verifier is not None else 0
    taught += min(fuse.units, len(program.pool)) if fuse is not None else 0
    if spec.optimizer["name"] == "none":  # scoring on dev is counted in `dev_calls`
        return taught
    _, budget = optimizers.opened(spec.optimizer)
    most = [] if budget.calls is None else [budget.calls]
    if budget.tokens is not None or budget.cost is not None:
        sizes = prompt_size(program, (*corpus.dev, *corpus.train)[:SAMPLE])
        tokens_in, tokens_out = (int(characters / 4) + 1 for characters in sizes)
        price = backend_of(spec.lm).price
        cost = price.cost(tokens_in, tokens_out) if price else 0.0
        most += [] if budget.tokens is None else [max(1, budget.tokens // (tokens_in + tokens_out))]
        most += [max(1, int(budget.cost / cost))] if budget.cost is not None and cost else []
    return min(most) if most else WITHOUT_LIMIT * calls_for(program, corpus.dev) + taught


def prompt_size(program: NERProgram, documents: tuple[Document, ...]) -> tuple[float, float]:
    """Return the mean number of characters of a prompt and of a gold answer.

    No encoder runs, because it may be behind an API: its demonstrations are replaced by random ones.
    """
    if isinstance(select := program.extract.select, Embedding):
        program = program.with_settings(demos={"name": "random", "k": select.k})
    examples = program.examples(documents)[:SAMPLE]
    total_in, total_out = characters(program, examples)
    return total_in / max(len(examples), 1), total_out / max(len(examples), 1)
