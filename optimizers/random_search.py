"""Random search over settings and demonstration sets, by dev micro-F1 within a budget.

Grew out of dspy.BootstrapFewShotWithRandomSearch: candidates are the program as it is, then draws of labelled and
bootstrapped demonstrations (where the program has no selector of its own), each under a draw from `search`, which lists
values for settings: `{"demos.k" = [16, 32], "retriever.hops" = [1, 2]}`. Candidates are scored on one sample of dev, sized
so that the budget also pays for a final choice between the best two on the whole of dev.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import dspy
from pydantic import Field

from ner_programs.lms.metered import Budget
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._base import Candidate, OnTrial, best_of, calls_for, calls_made
from optimizers._errors import BudgetError
from optimizers.bootstrap import with_bootstrapped
from optimizers.labeled import with_labeled

FINALISTS = 2


class RandomSearch:
    """Tries up to `candidates` programs."""

    def __init__(self, candidates: int, k: int, search: Mapping[str, Sequence[Any]], seed: int) -> None:
        self.candidates, self.k, self.search, self.seed = candidates, k, dict(search), seed

    def compile(
        self,
        program: NERProgram,
        *,
        train: Sequence[Document],
        dev: Sequence[Document],
        budget: Budget,
        on_trial: OnTrial,
    ) -> NERProgram:
        """Return the candidate that is best on dev."""
        if not dev:
            raise BudgetError("random_search needs dev documents; give the corpus a dev part")
        candidates = list(itertools.islice(self._candidates(program, train), self.candidates))
        sample = self._sample(program, dev, len(candidates), budget.calls)
        start = calls_made()
        ranked = best_of(candidates, sample, budget, on_trial)
        if len(sample) == len(dev) or len(ranked) == 1:
            return ranked[0].program
        left = Budget(budget.calls and budget.calls - (calls_made() - start), budget.tokens, budget.cost)
        finalists = [Candidate({**t.changes, "final": t.number}, t.program.deepcopy) for t in ranked[:FINALISTS]]
        try:
            return best_of(finalists, dev, left, on_trial, first=len(candidates) + 1)[0].program
        except BudgetError:
            return ranked[0].program

    def check(self, program: NERProgram) -> None:
        """Raise ComponentError, before anything is spent, if `search` names a setting or a value that there is not."""
        for setting in itertools.islice(self._settings(), self.candidates):
            program.with_settings(**nested(setting))

    def _sample(
        self, program: NERProgram, dev: Sequence[Document], candidates: int, calls: int | None
    ) -> list[Document]:
        """Return the documents that the budget lets every candidate be scored on."""
        whole = calls_for(program, dev)
        if calls is None or calls >= candidates * whole:
            return list(dev)
        share = max(calls - FINALISTS * whole, calls // 2) / (candidates * whole)
        size = max(1, min(len(dev), int(share * len(dev))))
        return random.Random(self.seed).sample(list(dev), size)

    def _candidates(self, program: NERProgram, train: Sequence[Document]) -> Iterator[Candidate]:
        yield Candidate({}, program.deepcopy)
        settings = self._settings()
        examples = [] if program.spec.demos or not train else program.examples(train)
        for seed in itertools.count(self.seed):
            setting = next(settings, None) if self.search else {}
            if setting is None or (not self.search and not examples):
                return
            if not examples:
                yield Candidate(setting, lambda s=setting: program.with_settings(**nested(s)))  # type: ignore[misc]
                continue
            kind = ("labeled", "bootstrapped")[seed % 2]
            made = self._drawn(program, setting, examples, kind, seed)
            yield Candidate({**setting, "demonstrations": kind, "seed": seed}, made)

    def _drawn(
        self, program: NERProgram, setting: Mapping[str, Any], examples: Sequence[dspy.Example], kind: str, seed: int
    ) -> Any:
        def make() -> NERProgram:
            changed = program.with_settings(**nested(setting)) if setting else program
            if kind == "labeled":
                return with_labeled(changed, examples, self.k, seed)
            return with_bootstrapped(changed, examples, self.k, max(1, self.k // 4), seed)

        return make

    def _settings(self) -> Iterator[dict[str, Any]]:
        """Yield every combination of the values in `search`, in a seeded order."""
        keys = sorted(self.search)
        every = [dict(zip(keys, values, strict=True)) for values in itertools.product(*(self.search[k] for k in keys))]
        yield from random.Random(self.seed).sample(every, len(every))


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `{"demos.k": 32}` into `{"demos": {"k": 32}}`, as `with_settings` takes it."""
    changes: dict[str, Any] = {}
    for key, value in settings.items():
        name, _, option = key.removeprefix("program.").partition(".")  # as --set writes it, too
        if option:
            changes.setdefault(name, {})[option] = value
        else:
            changes[name] = value
    return changes


def build(
    *, candidates: Annotated[int, Field(ge=1)] = 8, k: int = 16, search: dict[str, list[Any]] | None = None, seed: int = 1
) -> RandomSearch:  # fmt: skip
    """Build it; `k` is the size of a demonstration set."""
    return RandomSearch(candidates, k, search or {}, seed)
