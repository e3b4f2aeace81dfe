"""Verifies only the units with low confidence, or gives them to a stronger LM. The threshold is learned on dev.

Every unit of text is answered once. Then the units with the lowest confidence are verified in steps: 5 % of the units, 10 %,
and so on. Each step is a trial; together the steps are the Pareto front of F1 against extra calls. A step replaces a cheaper
one only if its gain exceeds the standard error of the difference, paired over documents.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import ceil, sqrt
from typing import Annotated, Any

from pydantic import Field

from ner_programs.errors import ComponentError
from ner_programs.evaluate import Scored, calls_for, score, units_of
from ner_programs.lms.metered import BudgetSpent
from ner_programs.program import NERProgram
from ner_programs.scoring import Counts
from ner_programs.types import Document, Entity
from ner_programs.units import split
from ner_programs.verifiers.cascade import confidence
from ner_programs.verifiers.strong import Strong, has_strong
from optimizers.budget import paid
from optimizers.preparation import fused, fuses, llm_verifier, taught
from optimizers.search import Contender, Search
from optimizers.trial import Compilation

SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
"""Shares of the units that are verified, step by step."""
ANSWERED = 2 / 3
"""Share of the budget for the program's own answers, if the budget does not cover all of dev twice."""
FUSE = {"name": "fuse"}
FIRST = 8
"""Number of documents that show whether entities have confidence scores."""


class CascadeOptimizer:
    """Finds the threshold of the verifier `cascade`; `target` is the maximum average number of extra calls for a unit of text.

    The verifier for unsure units is `of`. By default it is the program's own verifier, else the strong LM if there is one,
    else the LM itself, or `boundary` if that is no language model. Confidence comes from the LM, else from `fuse`.
    """

    def __init__(self, target: float, of: Mapping[str, Any] | None, seed: int) -> None:
        self.target, self.of, self.seed = target, of, seed

    def check(self, program: NERProgram) -> None:
        """Raise ComponentError for a verify stage that the spec does not name: it cannot be limited to some texts."""
        if program.verify is not None and program.spec.verify is None and self.of is None:
            raise ComponentError(
                "cascade: the spec does not name the program's verify stage; name it, or give optimizer.of"
            )
        self._cascaded(program, "llm")

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the program with the best threshold, or without verification if no step pays.

        Raises ComponentError if its entities have no scores, LMSetupError if a strong LM is needed and there is none.
        """
        self.check(program)
        alone = program.with_settings(verify=_first(program))
        other = "strong" if has_strong(compilation.lm) else "llm" if compilation.lm.writes else "boundary"
        cascaded = self._cascaded(program, other)
        for _, strong in cascaded.named_sub_modules(Strong):
            strong.lm()  # raises an error, before anything is spent, if there is none
        search = Search(alone, dev, compilation, self.seed)
        total = search.calls + search.reserve
        with compilation.limited(), suppress(BudgetSpent):
            if not (first := paid(alone, search.sample(FIRST), int(ANSWERED * total))):
                return search.choose(alone)
            learning = compilation.spent.calls
            if _unsure(score(alone, first)):
                examples = program.examples(train)
                alone = fused(program.with_settings(verify=dict(FUSE)), examples, self.seed, total // 4)
                cascaded, learned = self._cascaded(program, other, FUSE), fuses(alone)
                if (inside := fuses(cascaded)) is not None and learned is not None:
                    inside.answers = learned.answers
            _refuse_unsure(score(alone, first))
            cascaded = self._taught(cascaded, train, (total - learning) // 4)
            left = total - (compilation.spent.calls - learning)
            documents = max(first, _affordable(alone, search.order, left), key=len)
            unverified = score(alone, documents)
            _refuse_unsure(unverified)
            taken = search.finished(alone, {"verify": "none", "extra_calls": 0.0}, documents, unverified)
            sure = confidences(alone, documents, unverified)
            return self._climb(search, taken, cascaded, documents, sure, total)
        return search.choose(alone)

    def _climb(
        self, search: Search, taken: Contender, cascaded: NERProgram, documents: Sequence[Document],
        sure: Sequence[float], calls: int,
    ) -> NERProgram:  # fmt: skip
        """Score the steps within target and `calls`, and return the last one that gains significantly over the one before."""
        so_far = 0  # steps are nested: each verifies the units of the one before, and more
        with suppress(BudgetSpent):
            for threshold in thresholds(sure):
                asked = sum(c <= threshold for c in sure)
                if asked - so_far > calls - search.compilation.spent.calls or asked > self.target * len(sure):
                    break
                made = cascaded.with_settings(verify={"threshold": threshold})
                scored, so_far = score(made, documents), asked
                gain, error = difference([taken.rows[search.place[d.id]] for d in documents], scored.counts)
                changes = {"verify.threshold": threshold, "extra_calls": round(asked / len(sure), 3),
                           "gain": round(gain, 4), "standard_error": round(error, 4)}  # fmt: skip
                step = search.finished(made, changes, documents, scored)
                if step.rankable and gain > error:
                    taken = step
        return search.won(taken, _why(taken))

    def _taught(self, program: NERProgram, train: Sequence[Document], most: int) -> NERProgram:
        """Return the program with demonstrations for its LM verifier, if it has one, for `most` calls at most."""
        judge = llm_verifier(program)
        if judge is None or judge.predict.demos or not train:
            return program
        examples = program.examples(train)
        return taught(program, random.Random(self.seed).sample(examples, min(len(examples), most)), self.seed)

    def _cascaded(self, program: NERProgram, other: str, first: Mapping[str, Any] | None = None) -> NERProgram:
        """Return the program with a cascade over all units, around its own verifier, or the `other`. Keeps the state."""
        own = program.spec.verify
        inside = own.get("of", {"name": "llm"}) if own and own["name"] == "cascade" else own
        first = first or _first(program)
        inside = None if inside == first else inside
        of = dict(self.of or inside or {"name": other})
        wanted = {"name": "cascade", "of": of, "threshold": 1.0, **({"first": first} if first else {})}
        made = program.with_settings(verify=wanted)
        if own == of:
            before = dict(program.named_predictors())
            for name, predictor in made.named_predictors():
                if (same := before.get(name.replace("verify.verifier.of.", "verify.verifier.", 1))) is not None:
                    predictor.signature, predictor.demos = same.signature, list(same.demos)
        return made


def _first(program: NERProgram) -> dict[str, Any] | None:
    """Return the verifier that scores confidence, if the program has one: `first` of a cascade, or `fuse`."""
    own = program.spec.verify
    if own is None or own["name"] == "fuse":
        return own
    first: dict[str, Any] | None = own.get("first") if own["name"] == "cascade" else None
    return first


def _why(taken: Contender) -> str:
    """Explain why a step was chosen, or none."""
    gain, error = (taken.changes.get(name) for name in ("gain", "standard_error"))
    if gain is None:
        return "no step of verification gained more than the standard error of its difference"
    return f"it gains {gain:+.3f} F1 over the cheaper step before, more than the standard error of that, {error:.3f}"


def confidences(program: NERProgram, documents: Sequence[Document], unverified: Scored) -> list[float]:
    """Return the confidence of the answer to each unit of text; `unverified` are the answers before verification."""
    sure = []
    for document, entities in zip(documents, unverified.predicted, strict=True):
        for unit in split(document.text, program.spec.unit, size=program.spec.window):
            sure.append(confidence([e for e in entities if unit.start <= e.start < unit.end]))
    return sure


def thresholds(sure: Sequence[float]) -> list[float]:
    """Return the thresholds at which about the `SHARES` of the units are verified, in ascending order."""
    ranked = sorted(sure)
    cuts = [] if not ranked else [ranked[max(ceil(share * len(ranked)) - 1, 0)] for share in SHARES]
    rounded = sorted({max(min(ceil(cut * 1000) / 1000, 1.0), 0.001) for cut in cuts})
    found = {
        sum(c <= threshold for c in sure): threshold for threshold in rounded
    }  # the highest of equivalent thresholds
    return list(found.values())


def difference(a: Sequence[Counts], b: Sequence[Counts]) -> tuple[float, float]:
    """Return the difference in micro-F1 (`b` minus `a`) on the same documents, and its standard error.

    The standard error is paired over documents and first-order in the counts (the delta method).
    """
    one, two = _pulls(a), _pulls(b)
    each = [y - x for x, y in zip(one, two, strict=True)]
    n = len(each)
    spread = sum(e * e for e in each) * n / max(n - 1, 1)
    return sum(b, Counts()).f1 - sum(a, Counts()).f1, sqrt(spread)


def _pulls(rows: Sequence[Counts]) -> list[float]:
    total = sum(rows, Counts())
    size = max(total.predicted + total.gold, 1)
    return [(2 * c.correct - total.f1 * (c.predicted + c.gold)) / size for c in rows]


def _affordable(program: NERProgram, order: Sequence[Document], calls: int) -> list[Document]:
    """Return all documents if `calls` covers answering and verifying them, else the first ones that ANSWERED of it covers."""
    if calls_for(program, order) + units_of(program, order) <= calls:
        return list(order)
    return paid(program, order, int(ANSWERED * calls))


def _unsure(unverified: Scored) -> bool:
    """Return whether there are entities and none has a score."""
    entities: list[Entity] = [e for found in unverified.predicted for e in found]
    return bool(entities) and all(e.score is None for e in entities)


def _refuse_unsure(unverified: Scored) -> None:
    """Raise ComponentError if there are entities and none has a score."""
    if _unsure(unverified):
        raise ComponentError(
            'cascade needs confidence, and this LM\'s entities have no score: [lm] can = ["logprobs"] asks an API for '
            "log-probabilities, and train has too little to learn how sure it may be"
        )


def build(
    *, target: Annotated[float, Field(gt=0, le=1)] = 1.0, of: dict[str, Any] | None = None, seed: int = 1
) -> CascadeOptimizer:
    """Build it: at most `target` extra calls for a unit of text; `of` is a verifier, as in `verify`."""
    return CascadeOptimizer(target, of, seed)
