"""Random search over settings and demonstration sets, by dev micro-F1 within a budget.

The method is that of dspy.BootstrapFewShotWithRandomSearch. The first candidate is the program as it is. Others are draws from
`search`, which lists values for settings: `{"demos.k" = [16, 32], "retriever.hops" = [1, 2]}`. If the program has no selector,
or `search` is empty, candidates also get random sets of labelled or bootstrapped demonstrations. With `calibrate`, each
candidate is calibrated first. All are scored on one sample of dev, whose size fits the budget. The best two are compared on
all of dev.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import dspy
from pydantic import Field

from ner_programs import calibration
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._dspy.teleprompter import documents_for, run, student, trainset
from optimizers._program_diff import nested
from optimizers.bootstrap import TRIES, with_bootstrapped
from optimizers.calibrate import calibrated
from optimizers.labeled import with_labeled
from optimizers.preparation import fused, fuses
from optimizers.search import Search
from optimizers.trial import Compilation

MOST = 16
"""Maximum number of candidates by default (DSPy's number)."""
CALLS = 100
"""Minimum number of calls for each candidate by default."""


class RandomSearch:
    """Scores `candidates` programs, or as many as the budget covers."""

    def __init__(
        self, candidates: int | None, k: int, search: Mapping[str, Sequence[Any]], seed: int, calibrate: int = 0
    ) -> None:  # fmt: skip
        self.candidates, self.k, self.search, self.seed = candidates, k, dict(search), seed
        self.calibrate = calibrate

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the candidate that is best on dev."""
        if self.calibrate:
            calibration.check(program.extract, compilation.lm)
        search = Search(student(program), dev, compilation, self.seed)
        draws = not (program.spec.demos and self.search)
        examples = trainset(program, train, self.seed) if draws else []
        number = self._number(search, bool(examples))
        own = (number // 2) * TRIES * self._own * len(search.program.predictors()) if examples else 0
        answers = self._answers(program)
        own += number * (2 * self.calibrate + answers)
        texts = program.examples(train) if self.calibrate or answers else []
        sample = search.sample(documents_for(search, number, search.calls - min(own, search.calls // 2)))

        def make(program: NERProgram) -> None:
            for changes, candidate in itertools.islice(self._candidates(program, examples), number):
                made = candidate()
                if self.calibrate:
                    made = calibrated(made, texts, compilation.lm, self.calibrate, self.seed)
                made = fused(made, texts, self.seed)
                if not search.affords(made, sample):
                    return
                search.score(made, changes, sample)

        return run(search, make, examples)

    def check(self, program: NERProgram) -> None:
        """Raise ComponentError, before anything is spent, if `search` has an unknown setting or value."""
        for setting in self._settings():
            program.with_settings(**nested(setting))

    def _answers(self, program: NERProgram) -> int:
        """Return the maximum number of training answers for a candidate's fusion; 0 if no candidate fuses."""
        made = (fuses(program.with_settings(**nested(setting))) for setting in self._settings())
        return max((fuse.units for fuse in made if fuse is not None), default=0) if self.search else 0

    @property
    def _own(self) -> int:
        """Number of bootstrapped demonstrations in a set."""
        return max(1, self.k // 4)

    def _number(self, search: Search, draws: bool) -> int:
        """Return the number of candidates. Without draws of demonstrations it is limited by the number of settings."""
        number = self.candidates or max(2, min(MOST, search.calls // min(CALLS, search.whole)))
        if draws:
            return number
        return min(number, 1 + (sum(1 for _ in self._settings()) if self.search else 0))

    def _candidates(
        self, program: NERProgram, examples: Sequence[dspy.Example]
    ) -> Iterator[tuple[dict[str, Any], Any]]:
        yield {}, program.deepcopy
        settings = list(self._settings())
        if not examples:
            yield from ((s, lambda s=s: program.with_settings(**nested(s))) for s in settings)
            return
        for seed in itertools.count(self.seed) if settings else ():
            turn, at = divmod(seed, len(settings))
            setting, kind = (
                settings[at],
                ("labeled", "bootstrapped")[(turn + at) % 2],
            )  # each setting alternates between both
            made = self._drawn(program, setting, examples, kind, seed)
            yield {**setting, "demonstrations": kind, "seed": seed}, made

    def _drawn(
        self, program: NERProgram, setting: Mapping[str, Any], examples: Sequence[dspy.Example], kind: str, seed: int
    ) -> Any:
        def make() -> NERProgram:
            changed = program.with_settings(**nested(setting)) if setting else program
            if kind == "labeled":
                return with_labeled(changed, examples, self.k, seed)
            return with_bootstrapped(changed, examples, self.k, self._own, seed)

        return make

    def _settings(self) -> Iterator[dict[str, Any]]:
        """Yield every combination of the values in `search`, in a seeded order; one empty combination if `search` is empty."""
        keys = sorted(self.search)
        every = [dict(zip(keys, values, strict=True)) for values in itertools.product(*(self.search[k] for k in keys))]
        yield from random.Random(self.seed).sample(every, len(every))


def build(
    *, candidates: Annotated[int, Field(ge=1, le=10_000)] | None = None, k: Annotated[int, Field(ge=1, le=10_000)] = 16,
    search: dict[str, list[Any]] | None = None, seed: int = 1,
    calibrate: Annotated[int, Field(ge=0, le=100_000)] = 0,
) -> RandomSearch:  # fmt: skip
    """Build it; `k` is the size of a demonstration set, `calibrate` the number of train units to calibrate a candidate on."""
    return RandomSearch(candidates, k, search or {}, seed, calibrate)
