"""Rules that an LM infers from examples of train, added to the instruction (dspy.InferRules).

Each candidate sees other examples, because a deterministic model answers the same prompt with the same rules. As in
InferRules, the program first gets demonstrations from its own right answers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import dspy
from dspy.teleprompt.infer_rules import RulesInductionProgram
from pydantic import Field

from ner_programs import metric
from ner_programs.errors import BudgetError
from ner_programs.evaluate import calls_for
from ner_programs.program import NERProgram
from ner_programs.types import Document
from optimizers._dspy.teleprompter import Right, run, trainset, valset
from optimizers._dspy.writer_failures import WriterFailures
from optimizers.search import Search
from optimizers.trial import Compilation

SHOWN = 40
"""Examples in the prompt for a candidate's rules: as many as a prompt has room for."""
TRIES = 4
"""Units answered for each own right answer that is wanted, at most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a search spends its calls: the number of candidates, and of dev documents that each is scored on."""

    candidates: int
    documents: int


def plan(search: Search, bootstrapped: int) -> Plan:
    """Divide a search's calls: most go to dev, for the initial program and up to ten candidates."""
    left = search.calls - TRIES * bootstrapped * len(search.program.predictors())
    candidates = max(2, min(10, left // 40))
    left -= 2 * candidates * len(search.program.predictors())
    sizes = range(len(search.order), 1, -1)
    fits = (n for n in sizes if (candidates + 1) * calls_for(search.program, search.sample(n)) <= left)
    return Plan(candidates, next(fits, 1))


class Inferring(dspy.InferRules):
    """InferRules that shows each candidate other `examples` and changes no shared signature."""

    def __init__(
        self, *, prompt_lm: Any, examples: Sequence[dspy.Example], seed: int, asked: WriterFailures, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.examples, self.asked = list(examples), asked
        self.rules_induction_program = RulesInductionProgram(self.num_rules, teacher_settings={"lm": prompt_lm})
        self.rules_induction_program.rng = random.Random(seed)
        self.drawn = random.Random(f"examples {seed}")

    def induce_natural_language_rules(self, predictor: Any, trainset: Sequence[dspy.Example]) -> str:
        """Return rules; "" if the LM wrote none, or if the examples have no gold answer for the stage.

        `trainset` is for bootstrapping only.
        """
        if not all(name in self.examples[0] for name in predictor.signature.output_fields):
            return ""
        drawn = self.drawn.sample(self.examples, min(SHOWN, len(self.examples)))
        shown = self.format_examples(self.get_predictor_demos(drawn, predictor), predictor.signature)
        with suppress(ValueError), self.asked.noted():
            if not (rules := str(self.rules_induction_program(shown)).strip()):
                raise ValueError
            self.asked.answered += 1
            return rules
        return ""

    def update_program_instructions(self, predictor: Any, natural_language_rules: str) -> None:
        """Add rules to an instruction."""
        if natural_language_rules:
            instruction = f"{predictor.signature.instructions}\n{natural_language_rules}"
            predictor.signature = predictor.signature.with_instructions(instruction)


class InferRules:
    """Asks for up to `rules` rules at a time."""

    needs_writer = True

    def __init__(self, rules: int, bootstrapped: int, seed: int) -> None:
        self.rules, self.bootstrapped, self.seed = rules, bootstrapped, seed

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the candidate that is best on all of dev."""
        if not train:
            raise BudgetError("infer_rules needs train documents; give the corpus a train part")
        search = Search(program, dev, compilation, self.seed)
        examples = trainset(program, train, self.seed)
        planned = plan(search, self.bootstrapped)

        def make(student: NERProgram) -> NERProgram:
            documents = valset(search, planned.documents)
            dspy.Evaluate(devset=documents, metric=metric)(student)  # InferRules does not score the initial program
            asked = WriterFailures()
            teleprompter = Inferring(
                prompt_lm=compilation.lm.role("prompt"), examples=examples, seed=self.seed,
                metric=Right(program.task, examples),
                num_candidates=planned.candidates, num_rules=self.rules, max_bootstrapped_demos=self.bootstrapped,
                max_labeled_demos=0, asked=asked,
            )  # fmt: skip
            tried = examples[: TRIES * self.bootstrapped or 1]
            made: NERProgram = teleprompter.compile(student, trainset=tried, valset=documents)
            asked.report(search)
            return made

        return run(search, make, examples)


def build(
    *,
    rules: Annotated[int, Field(ge=1, le=10_000)] = 10,
    bootstrapped: Annotated[int, Field(ge=0, le=10_000)] = 4,
    seed: int = 1,
) -> InferRules:
    """Build it: up to `rules` rules for a candidate, and up to `bootstrapped` own right answers as demonstrations."""
    return InferRules(rules, bootstrapped, seed)
