"""Verification, or a stronger LM, only where the program is not sure: how sure is learned on dev.

Every unit of text is answered once; those with the least confidence are then verified, in steps: five per cent of the units,
ten, and so on. Each step is a trial, and together they are the front of F1 against extra calls. A step is taken instead of a
cheaper one only if it gains more than the standard error of the difference, paired over documents.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import ceil, sqrt
from typing import Annotated, Any

import dspy
from pydantic import Field

from ner_programs.errors import ComponentError
from ner_programs.evaluate import Scored, calls_for, score, units_of
from ner_programs.lms.metered import Budget, BudgetSpent
from ner_programs.program import NERProgram
from ner_programs.scoring import Counts
from ner_programs.types import Document, Entity
from ner_programs.units import split
from ner_programs.verifiers.cascade import confidence
from ner_programs.verifiers.strong import Strong, has_strong
from optimizers.budget import calls_made, paid, within
from optimizers.preparation import fused, fuses, llm_verifier, taught
from optimizers.search import Contender, Search
from optimizers.trial import OnTrial, writes

SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
"""How many of the units are verified, step by step."""
ANSWERED = 2 / 3
"""The share of the budget that the program's own answers may take, where it does not pay for all of dev twice."""
FUSE = {"name": "fuse"}
FIRST = 8
"""So many documents show whether there is any confidence."""


class CascadeOptimizer:
    """Finds the threshold of the verifier `cascade`; `target` is how many extra calls a unit of text may cost on average.

    What it asks is `of`; without, what the program verifies with; else the strong LM, where there is one, or the LM itself;
    where that is no language model, `boundary`. How sure an answer is says the LM, else what `fuse` makes of it.
    """

    def __init__(self, target: float, of: Mapping[str, Any] | None, seed: int) -> None:
        self.target, self.of, self.seed = target, of, seed

    def check(self, program: NERProgram) -> None:
        """Raise ComponentError for a verify stage that the spec does not name: it cannot be asked about some texts only."""
        if program.verify is not None and program.spec.verify is None and self.of is None:
            raise ComponentError(
                "cascade: the spec does not name the program's verify stage; name it, or give optimizer.of"
            )
        self._cascaded(program, 1.0)

    def compile(
        self,
        program: NERProgram,
        *,
        train: Sequence[Document],
        dev: Sequence[Document],
        budget: Budget,
        on_trial: OnTrial,
    ) -> NERProgram:
        """Return the program with the threshold that pays, or without verification where none does.

        Raises ComponentError where its entities have no score, LMSetupError where a strong LM is to be asked and there is none.
        """
        self.check(program)
        alone = program.with_settings(verify=_first(program))
        cascaded = self._cascaded(program, 1.0)
        for _, strong in cascaded.named_sub_modules(Strong):
            strong.lm()  # where there is none, nothing is spent
        search = Search(alone, dev, budget, on_trial, self.seed)
        total = search.calls + search.reserve
        stop = calls_made() + total
        with within(budget), suppress(BudgetSpent):
            if not (first := paid(alone, search.sample(FIRST), int(ANSWERED * total))):
                return search.choose(alone)
            learning = calls_made()
            if _unsure(score(alone, first)):
                examples = program.examples(train)
                alone = fused(program.with_settings(verify=dict(FUSE)), examples, self.seed, total // 4)
                cascaded, learned = self._cascaded(program, 1.0, FUSE), fuses(alone)
                if (inside := fuses(cascaded)) is not None and learned is not None:
                    inside.answers = learned.answers
            _refuse_unsure(score(alone, first))
            cascaded = self._taught(cascaded, train, (stop - learning) // 4)
            documents = max(first, _affordable(alone, search.order, total - (calls_made() - learning)), key=len)
            said = score(alone, documents)
            _refuse_unsure(said)
            taken = search.finished(alone, {"verify": "none", "extra_calls": 0.0}, documents, said)
            sure = confidences(alone, documents, said)
            return self._climb(search, taken, cascaded, documents, sure, stop)
        return search.choose(alone)

    def _climb(
        self, search: Search, taken: Contender, cascaded: NERProgram, documents: Sequence[Document],
        sure: Sequence[float], stop: int,
    ) -> NERProgram:  # fmt: skip
        """Score the steps of the front as far as the target and the budget go; return the cheapest that is as good as any."""
        so_far = 0  # steps are nested: each asks what the one before has asked, and more
        with suppress(BudgetSpent):
            for threshold in thresholds(sure):
                asked = sum(c <= threshold for c in sure)
                if asked - so_far > stop - calls_made() or asked > self.target * len(sure):
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
        """Return the program with demonstrations for the LM that judges candidates, if one does; for `most` calls at most."""
        judge = llm_verifier(program)
        if judge is None or judge.predict.demos or not train:
            return program
        examples = program.examples(train)
        return taught(program, random.Random(self.seed).sample(examples, min(len(examples), most)), self.seed)

    def _cascaded(
        self, program: NERProgram, threshold: float, first: Mapping[str, Any] | None = None
    ) -> NERProgram:  # fmt: skip
        """Return the program that asks its verifier, or the one that it is to have, up to a threshold; the state is kept."""
        own = program.spec.verify
        inside = own.get("of", {"name": "llm"}) if own and own["name"] == "cascade" else own
        first = first or _first(program)
        inside = None if inside == first else inside
        other = {"name": "strong" if has_strong(dspy.settings.lm) else "llm" if writes() else "boundary"}
        of = dict(self.of or inside or other)
        wanted = {"name": "cascade", "of": of, "threshold": threshold, **({"first": first} if first else {})}
        made = program.with_settings(verify=wanted)
        if own == of:
            before = dict(program.named_predictors())
            for name, predictor in made.named_predictors():
                if (same := before.get(name.replace("verify.verifier.of.", "verify.verifier.", 1))) is not None:
                    predictor.signature, predictor.demos = same.signature, list(same.demos)
        return made


def _first(program: NERProgram) -> dict[str, Any] | None:
    """Return the verifier that says how sure an answer is, where the program has one: what a cascade has `first`, or `fuse`."""
    own = program.spec.verify
    if own is None or own["name"] == "fuse":
        return own
    first: dict[str, Any] | None = own.get("first") if own["name"] == "cascade" else None
    return first


def _why(taken: Contender) -> str:
    """Say why a step was taken, or none."""
    gain, error = (taken.changes.get(name) for name in ("gain", "standard_error"))
    if gain is None:
        return "no step of verification gained more than the standard error of its difference"
    return f"it gains {gain:+.3f} F1 over the cheaper step before, more than the standard error of that, {error:.3f}"


def confidences(program: NERProgram, documents: Sequence[Document], said: Scored) -> list[float]:
    """Return how sure the answer to each unit of text is; `said` are the program's own answers, before verification."""
    sure = []
    for document, entities in zip(documents, said.entities, strict=True):
        for unit in split(document.text, program.spec.unit, size=program.spec.window):
            sure.append(confidence([e for e in entities if unit.start <= e.start < unit.end]))
    return sure


def thresholds(sure: Sequence[float]) -> list[float]:
    """Return the thresholds at which about so many of the units are verified as `SHARES` says, ascending; the last is 1."""
    ranked = sorted(sure)
    cuts = [] if not ranked else [ranked[max(ceil(share * len(ranked)) - 1, 0)] for share in SHARES]
    rounded = sorted({max(min(ceil(cut * 1000) / 1000, 1.0), 0.001) for cut in cuts})
    found = {sum(c <= threshold for c in sure): threshold for threshold in rounded}  # of equal ones the last
    return list(found.values())


def difference(a: Sequence[Counts], b: Sequence[Counts]) -> tuple[float, float]:
    """Return by how much the micro-F1 of `b` is above that of `a` on the same documents, and the standard error of that.

    The error is that of the sum over documents of what each adds to F1, to first order (the delta method).
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
    """Return the first documents: all, if the calls pay for verifying them, too, else as many as their share pays for."""
    if calls_for(program, order) + units_of(program, order) <= calls:
        return list(order)
    return paid(program, order, int(ANSWERED * calls))


def _unsure(said: Scored) -> bool:
    """Say whether there are entities and none has a score."""
    entities: list[Entity] = [e for found in said.entities for e in found]
    return bool(entities) and all(e.score is None for e in entities)


def _refuse_unsure(said: Scored) -> None:
    """Raise ComponentError where there are entities and none has a score."""
    if _unsure(said):
        raise ComponentError(
            'cascade needs confidence, and this LM\'s entities have no score: [lm] can = ["logprobs"] asks an API for '
            "log-probabilities, and train has too little to learn how sure it may be"
        )


def build(
    *, target: Annotated[float, Field(gt=0, le=1)] = 1.0, of: dict[str, Any] | None = None, seed: int = 1
) -> CascadeOptimizer:
    """Build it: `target` extra calls a unit of text at most; `of` is what is asked, as in `verify`."""
    return CascadeOptimizer(target, of, seed)
