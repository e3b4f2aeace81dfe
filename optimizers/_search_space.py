"""The search space of `race`: the settings of a program that may change, their values, and how to build each program.

A dimension is one decision. Its first value leaves the program as it is. The space depends on the program: a program without
a pool of demonstrations has no selector dimension, one without a knowledge base no retriever dimension. `hope` is the prior
mean of a value's gain in F1. It orders the candidates, and it is weak enough that a few races overrule it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import dspy
import numpy as np
from numpy.typing import NDArray

from ner_programs import metric
from ner_programs.calibration import favours
from ner_programs.components import names
from ner_programs.errors import ComponentError
from ner_programs.evaluate import calls_a_unit, in_threads
from ner_programs.fusion.model import FEWEST
from ner_programs.lms.metered import MeteredLM
from ner_programs.program import NERProgram
from ner_programs.types import Document
from ner_programs.verifiers.fuse import UNITS as UNITS_FUSED
from optimizers._program_diff import nested
from optimizers.calibrate import UNITS, calibrated
from optimizers.preparation import TRIES, fused, taught

DIMENSIONS = ("k", "selector", "format", "retriever", "verify", "demonstrations", "instructions", "calibration")
TIMES = {4.0: 0.02, 2.0: 0.015, 0.5: -0.02}
"""Factors for the number of demonstrations, with their expected gain. Factor 8 cost twice as much and gained nothing."""
SELECTORS = {"entity": 0.004, "diverse": 0.0, "bm25": 0.0, "tfidf": 0.0, "random": -0.03}
"""Selectors that need no encoder, with their expected gain. `entity` needs a knowledge base."""
RETRIEVERS: tuple[tuple[dict[str, Any], float], ...] = (
    ({"retriever.name": "walk", "retriever.hops": 2}, 0.0), ({"retriever.name": "none"}, -0.01),
    ({"retriever.name": "walk", "retriever.hops": 1}, 0.0), ({"retriever.name": "flat"}, -0.005),
)  # fmt: skip
TRIED = 4
"""Texts answered for each right answer that is wanted."""
DRAWN = ((12, 4), (16, 0), (8, 8), (16, 0), (12, 4))
"""Sizes of sets of fixed demonstrations: (labelled, bootstrapped)."""

REBOUND = 0.004
"""The expected gain of the verifier `boundary`."""
VERDICTS = 12
"""Number of demonstrations of a candidate verifier."""

Point = tuple[int, ...]
"""The index of a value in each dimension."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a dimension: settings by dotted name, or a function `put` that changes a program.

    `shows` are the changes as a trial reports them. Building it once costs `price` calls and answers to `tries` units of text.
    """

    shows: Mapping[str, Any] = field(default_factory=dict)
    hope: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    put: Callable[[NERProgram], NERProgram] | None = None
    price: int = 0
    tries: int = 0


class Space:
    """All programs that differ from `program` in the dimensions `wanted`; the point `start` is the program itself."""

    def __init__(
        self, program: NERProgram, train: Sequence[Document], wanted: Sequence[str], lm: MeteredLM, seed: int
    ) -> None:
        """Raises ComponentError for an unknown dimension."""
        for name in wanted:
            if name not in DIMENSIONS:
                raise ComponentError(f"race has no dimension {name!r} to search; it has: {', '.join(DIMENSIONS)}")
        self.program, self.lm, self.seed = program, lm, seed
        self.examples = program.examples(train) if train else []
        self.values: dict[str, list[Value]] = {}
        for name in (name for name in DIMENSIONS if name in wanted):
            found = [Value(), *getattr(self, f"_{name}")()]
            if len(found) > 1 or name == "instructions" or (name == "verify" and self._rebounds()):
                self.values[name] = found
        self._made: dict[Point, NERProgram] = {}
        self._taught: list[NERProgram] = []

    @property
    def start(self) -> Point:
        """The point of the program as it is."""
        return (0,) * len(self.values)

    def add(self, dimension: str, value: Value) -> None:
        """Add a value to a dimension. Existing points stay valid."""
        self.values[dimension].append(value)

    @cached_property
    def mixed(self) -> list[dspy.Example]:
        """The units of train in a seeded order."""
        return random.Random(f"race {self.seed}").sample(self.examples, len(self.examples))

    def instruct(self, instruction: str) -> None:
        """Add an instruction of the extractor as a value. Trials show only the lines that the present one does not have."""
        old = self.program.extract.predict.signature.instructions.splitlines()
        lines = [line for line in instruction.splitlines() if line.strip() and line not in old]
        shows = {"instruction": "\n".join(lines)}
        self.add("instructions", Value(shows, 0.003, {}, partial(_instructed, instruction)))

    def rebound(self, wrong: float) -> None:
        """Add the verifier `boundary` as a value, for answers of which a share `wrong` has wrong boundaries."""
        if "verify" in self.values and self._rebounds():
            how = {"verify.name": "boundary", "verify.wrong": round(wrong, 3)}
            self.add("verify", Value(how, REBOUND, how))

    def _rebounds(self) -> bool:
        return self.program.verify is None and len(self.program.pool) > 0

    def chosen(self, point: Point) -> list[Value]:
        """Return the value of each dimension."""
        return [values[i] for values, i in zip(self.values.values(), point, strict=True)]

    def changes(self, point: Point) -> dict[str, Any]:
        """Return the changes against the start, as a trial reports them."""
        return {key: shown for value in self.chosen(point) for key, shown in value.shows.items()}

    def price(self, point: Point) -> int:
        """Return how many calls building the program takes at most, before it is scored."""
        if point in self._made:
            return 0
        chosen = self.chosen(point)
        each = calls_a_unit(self.program) + any(v.settings.get("verify.name") == "llm" for v in chosen)
        return sum(v.price + v.tries * each for v in chosen)

    def make(self, point: Point) -> NERProgram:
        """Build the program at `point`, once. May call the LM."""
        if point not in self._made:
            chosen = self.chosen(point)
            settings = nested({key: to for value in chosen for key, to in value.settings.items()})
            if "name" in settings.get("demos", {}):
                settings["demos"].setdefault("k", _k(self.program))
            made: NERProgram = self.program.with_settings(**settings) if settings else self.program.deepcopy()
            for value in chosen:
                made = made if value.put is None else value.put(made)
            self._made[point] = fused(made, self.examples, self.seed)  # last: fusion learns from the program's answers
        return self._made[point]

    def guess(self) -> Point:
        """Return the start with the one value of the highest expected gain, if that is above 0; else the start."""
        best = max(self._alternatives(), key=lambda a: a[2], default=None)
        return self.start if best is None or best[2] <= 0 else moved(self.start, {best[0]: best[1]})

    def one_change(self) -> Iterator[Point]:
        """Yield the guess, then all points that differ from it in one value: dimensions in turn, higher expected gain first."""
        centre = self.guess()
        yield centre
        ranked = sorted(self._alternatives(), key=lambda a: -a[2])
        turn = {a: sum(1 for b in ranked[:n] if b[0] == a[0]) for n, a in enumerate(ranked)}
        for dimension, value, _ in sorted(ranked, key=lambda a: turn[a]):
            if moved(centre, {dimension: value}) != centre:
                yield moved(centre, {dimension: value})

    def _alternatives(self) -> list[tuple[int, int, float]]:
        return [(d, i, v.hope) for d, vs in enumerate(self.values.values()) for i, v in enumerate(vs) if i]

    def hopes(self) -> Floats:
        """Return the prior gains of all values, dimension by dimension."""
        return np.array([v.hope for values in self.values.values() for v in values])

    def shown(self, points: Iterable[Point], base: Point) -> Floats:
        """Return a row for each point: 1 for a value that only the point has, -1 for one that only `base` has."""
        return np.array([self._flags(p) - self._flags(base) for p in points]).reshape(-1, len(self.hopes()))

    def better(self, worth: Floats, base: Point, changes: int) -> Point:
        """Return `base` with the most valuable changes by `worth`: in at least one dimension, in at most `changes`."""
        at, gains = 0, []
        for dimension, values in enumerate(self.values.values()):
            own = worth[at : at + len(values)]
            at += len(values)
            if others := [i for i in range(len(values)) if i != base[dimension]]:
                best = max(others, key=lambda i: own[i])
                gains.append((float(own[best] - own[base[dimension]]), dimension, best))
        gains.sort(key=lambda g: (-g[0], g[1]))
        return moved(base, {d: i for n, (gain, d, i) in enumerate(gains[:changes]) if gain > 0 or n == 0})

    def _flags(self, point: Point) -> Floats:
        flags = [np.eye(len(v))[i] for v, i in zip(self.values.values(), point, strict=True)]
        return np.concatenate(flags) if flags else np.zeros(0)

    # The values of each dimension

    def _instructions(self) -> Iterator[Value]:
        yield from ()  # instructions are written during the race

    def _calibration(self) -> Iterator[Value]:
        if self.examples and favours(self.program.extract, self.lm):
            put = partial(calibrated, examples=self.examples, lm=self.lm, units=UNITS, seed=self.seed)
            yield Value({"calibrated": UNITS}, 0.05, {}, put, 2 * UNITS)

    def _k(self) -> Iterator[Value]:
        k = _k(self.program)
        for times, hope in TIMES.items() if self.program.spec.demos and self.program.pool and k else ():
            n = min(int(k * times), len(self.program.pool))
            if n not in (k, 0) and (times < 1 or n == int(k * times)):
                yield Value({"demos.k": n}, hope, {"demos.k": n})

    def _selector(self) -> Iterator[Value]:
        now = (self.program.spec.demos or {}).get("name")
        for name, hope in SELECTORS.items() if now and self.program.pool else ():
            if name != now and (name != "entity" or self.program.kb is not None):
                yield Value({"demos.name": name}, hope, {"demos.name": name})

    def _format(self) -> Iterator[Value]:
        for name in names("ner_programs.formats"):
            if name != self.program.spec.format["name"]:
                yield Value({"format.name": name}, -0.004, {"format.name": name})

    def _retriever(self) -> Iterator[Value]:
        now = {f"retriever.{key}": value for key, value in self.program.spec.retriever.items()}
        if now.get("retriever.name") == "walk":
            now = {"retriever.hops": 1, **now}
        for settings, hope in RETRIEVERS if self.program.kb is not None else ():
            if any(now.get(key) != to for key, to in settings.items()):
                yield Value({key: to for key, to in settings.items() if now.get(key) != to}, hope, settings)

    def _verify(self) -> Iterator[Value]:
        if self.program.verify is not None:
            if self.program.spec.verify is not None:
                yield Value({"verify": "off"}, -0.005, {"verify": None})
            return
        if self.examples and len(self.program.pool) >= FEWEST:
            yield Value({"verify.name": "fuse"}, 0.03, {"verify.name": "fuse"}, price=UNITS_FUSED)
        if self.examples and self.lm.writes:
            how = {"verify.name": "llm", "verify.mode": "reject"}
            yield Value(how, -0.01, how | {"verify.k": VERDICTS}, self._taught_by_train, TRIES * VERDICTS)

    def _taught_by_train(self, program: NERProgram) -> NERProgram:
        """Give the verifier demonstrations. They are made once and shared by all candidates."""
        if not self._taught:
            self._taught.append(taught(program, self.examples, self.seed))
        first = dict(self._taught[0].named_predictors())["verify.verifier.predict"]
        made: NERProgram = program.deepcopy()
        predictor = dict(made.named_predictors())["verify.verifier.predict"]
        predictor.demos = [made.refilled(predictor, d) for d in first.demos]
        return made

    def _demonstrations(self) -> Iterator[Value]:
        for n, (labelled, own) in enumerate(DRAWN if self.examples else ()):
            shows = {"demonstrations": labelled + own, "bootstrapped": own, "seed": self.seed + n}
            put = partial(_drawn, self.examples, labelled, own, self.seed + n)
            yield Value({k: v for k, v in shows.items() if v}, 0.0, {}, put, tries=TRIED * own)


def _drawn(examples: Sequence[dspy.Example], labelled: int, own: int, seed: int, program: NERProgram) -> NERProgram:
    """Give the extractor fixed demonstrations: `labelled` gold texts, and `own` texts that the program gets right.

    Half of the labelled texts have mentions. All of the others do, because empty answers are easy to get right
    (dspy.BootstrapFewShot).
    """
    shuffled = random.Random(f"drawn {seed}").sample(list(examples), len(examples))
    full, empty = [e for e in shuffled if e.entities], [e for e in shuffled if not e.entities]
    tried, rest = full[: TRIED * own], full[TRIED * own :]
    answers = in_threads(lambda e: program(text=e.text, exclude=e.exclude), tried)
    right = [e for e, a in zip(tried, answers, strict=True) if metric(e, a, trace=True)][:own]
    none = empty[: labelled // 2]
    made: NERProgram = program.deepcopy()
    predictor = made.extract.predict
    predictor.demos = [made.refilled(predictor, e) for e in [*none, *rest[: labelled - len(none)], *right]]
    return made


def _instructed(instruction: str, program: NERProgram) -> NERProgram:
    made: NERProgram = program.deepcopy()
    made.extract.predict.signature = made.extract.predict.signature.with_instructions(instruction)
    return made


def moved(point: Point, to: Mapping[int, int]) -> Point:
    """Return `point` with the values of the dimensions in `to` replaced."""
    return tuple(to.get(d, i) for d, i in enumerate(point))


def _k(program: NERProgram) -> int:
    """Return the number of demonstrations that the selector shows."""
    return int(getattr(program.extract.select, "k", 0))
