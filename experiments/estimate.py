"""What a run would cost at most, before anything is sent: calls, tokens, money."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments import setup
from experiments.session import backend_of, check_host
from experiments.spec import RunSpec
from ner_programs.components import resolve
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._base import budget_from, calls_for
from optimizers._verifier import TRIES

SAMPLE = 20


@dataclass(frozen=True, slots=True)
class Estimate:
    """Calls at most, and what they would take in tokens and money; `cost` is None where the price is not known.

    `compile_calls` is the optimizer's budget, or without one what its candidates would take.
    """

    model: str
    compile_calls: int
    dev_calls: int
    test_calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None

    @property
    def calls(self) -> int:
        """All calls."""
        return self.compile_calls + self.dev_calls + self.test_calls

    def as_dict(self) -> dict[str, Any]:
        """Return what `nerc run --dry-run --json` prints."""
        return asdict(self) | {"calls": self.calls}


def estimate(spec: RunSpec, data: Path, home: Path) -> Estimate:
    """Render the prompts of a few dev texts and multiply. Sends nothing."""
    corpus, program, _ = setup.build(spec, data, home)
    if corpus.private:
        check_host(spec.lm)
    backend = backend_of(spec.lm)
    dev, test = calls_for(program, corpus.dev), calls_for(program, corpus.test)
    options = dict(spec.optimizer)
    budget = budget_from(options.pop("budget", {}))
    optimizer = resolve("optimizers", options)
    compile_calls = budget.calls or _compile_calls(program, optimizer, dev)
    characters_in, characters_out = _prompt_size(program, (*corpus.dev, *corpus.train)[:SAMPLE])
    characters_in += _added(program, optimizer, corpus.train)
    calls = compile_calls + dev + test
    tokens_in, tokens_out = int(calls * characters_in / 4), int(calls * characters_out / 4)
    cost = round(backend.price.cost(tokens_in, tokens_out), 4) if backend.price else None
    return Estimate(spec.lm.model, compile_calls, dev, test, tokens_in, tokens_out, cost)


def _compile_calls(program: NERProgram, optimizer: Any, dev: int) -> int:
    """Return how many calls compiling makes at most: candidates on dev, texts tried for demonstrations, the verifier's."""
    candidates, k = getattr(optimizer, "candidates", 1), getattr(optimizer, "k", 0)
    bootstrapped = getattr(optimizer, "bootstrapped", max(1, k // 4) if candidates > 1 else 0)
    tried = 4 * bootstrapped * candidates * len(program.predictors())
    verifier = getattr(program.verify, "verifier", None)
    return int(candidates * dev + tried + TRIES * getattr(verifier, "k", 0))


def _added(program: NERProgram, optimizer: Any, train: tuple[Document, ...]) -> float:
    """Return the characters of the demonstrations that the optimizer puts into a prompt."""
    k, searches = getattr(optimizer, "k", 0), hasattr(optimizer, "candidates")
    examples = program.examples(train[:SAMPLE])[:SAMPLE] if k and not (searches and program.spec.demos) else []
    codec = program.extract.adapter.codec
    sizes = [len(e.text) + len(e.knowledge) + len(codec.encode(dict(e))) for e in examples]
    return float(k * sum(sizes) / len(sizes)) if sizes else 0.0


def _prompt_size(program: NERProgram, documents: tuple[Document, ...]) -> tuple[float, float]:
    """Return the mean characters of a prompt, and of the answer that would be right."""
    examples = program.examples(documents)[:SAMPLE]
    extract, total_in, total_out = program.extract, 0, 0
    for example in examples:
        demos = extract.demos(example.text, example.exclude)
        messages = extract.adapter.format(extract.predict.signature, demos, dict(example))
        total_in += sum(len(m["content"]) for m in messages)
        total_out += len(extract.adapter.codec.encode(dict(example)))
    return total_in / max(len(examples), 1), total_out / max(len(examples), 1)
