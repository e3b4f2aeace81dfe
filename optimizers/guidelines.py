"""Rules of annotation, induced from train and kept where they pay on dev. Our own; needs no LM that writes.

The program answers some train documents without seeing them (design D8); `_lines` makes candidates of all gold of train and
of these errors. On dev the program and the program with all candidates answer the documents that the lines can change; what
changed is credited to the lines that speak of it, and a line stays if it gains. So one pass tests many lines: rules are mostly
about different words. The rest is scored against the program on all of dev that can be paid for. A language model is told the
rules at the end of its instruction; for one that follows no instruction the verifier `rules` does what they say.
Error-driven rules: Brill (1995), transformation-based learning; guidelines in the prompt: Sainz et al. (2024), GoLLIE.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

from ner_programs.errors import ComponentError
from ner_programs.evaluate import Scored, calls_for, score
from ner_programs.guidelines import Rule, plain, render
from ner_programs.lms.metered import Budget
from ner_programs.program import NERProgram
from ner_programs.types import Document, Entity
from optimizers._draws import interleaved
from optimizers._guidelines.lines import Line, candidates, explains, matters
from optimizers.budget import paid
from optimizers.search import Contender, Search, identity
from optimizers.trial import OnTrial, writes

TRAIN_SHARE = 5
"""One call of so many that a search may make goes to train."""
Credits = dict[Rule, list[float]]


class GuidelineLines:
    """Adds rules with at most `words` listed strings to a program."""

    def __init__(self, words: int, seed: int) -> None:
        self.words, self.seed = words, seed

    def compile(
        self,
        program: NERProgram,
        *,
        train: Sequence[Document],
        dev: Sequence[Document],
        budget: Budget,
        on_trial: OnTrial,
    ) -> NERProgram:
        """Return the program with the rules that pay on dev; the program itself where none does."""
        search = Search(program, dev, budget, on_trial, self.seed)
        rules: list[Rule] = []
        with search.spending():
            lines = self._induced(search, train)
            rules = self._tested(search, lines) if lines else []
        if not rules:
            return search.choose(program)
        kept = told(program, rules)
        search.contenders[identity(kept)] = Contender(kept, {"guidelines": "\n".join(map(render, rules))})
        return search.choose(kept, program)

    def _induced(self, search: Search, train: Sequence[Document]) -> list[Line]:
        """Return the candidates of train, where the program has answered as many of its documents as its share pays for."""
        program, mixed = search.program, random.Random(f"train {self.seed}").sample(list(train), len(train))
        sample = paid(program, interleaved(mixed), search.left // TRAIN_SHARE)
        answers = score(program, sample).entities if sample else ()
        answered = {d.id: said for d, said in zip(sample, answers, strict=True)}
        return candidates(train, answered, known(program), words=self.words)

    def _tested(self, search: Search, lines: Sequence[Line]) -> list[Rule]:
        """Return the rules that pay on dev, as far as the search's share allows to see."""
        program, sample = search.program, list[Document]()
        rules = [line.rule for line in lines]
        full, left = told(program, rules), search.left
        for document in search.order:
            listed = any(matters(rule, document.text, document.entities) for rule in rules)
            left -= calls_for(program, [document]) + (calls_for(full, [document]) if listed else 0)
            if left < 0:
                break
            sample.append(document)
        if not sample:
            return []
        before = score(program, sample)
        search.finished(program, {}, sample, before)
        rows = [(d, said) for d, said in zip(sample, before.entities, strict=True)]
        touched = payable(search, full, [d for d, said in rows if any(matters(rule, d.text, said) for rule in rules)])
        if not touched:
            return []
        after = score(full, touched)
        then = dict(zip((d.id for d in touched), after.entities, strict=True))
        failed = {
            d.id for d, c in zip((*sample, *touched), (*before.counts, *after.counts), strict=True) if c.unanswered
        }
        answered = [(d, said, then[d.id]) for d, said in rows if d.id in then and d.id not in failed]
        return paying(lines, credited(rules, answered, before))


def known(program: NERProgram) -> tuple[Rule, ...]:
    """Return the rules that a program was given before: that its instruction still says, and those of its verifier."""
    said = program.extract.predict.signature.instructions
    own = program.spec.verify or {}
    followed = (Rule(**rule) for rule in (own.get("rules", ()) if own.get("name") == "rules" else ()))
    return (*(rule for rule in _told(program) if render(rule) in said), *followed)


def _told(program: NERProgram) -> list[Rule]:
    return [Rule(**rule) for rule in program.spec.rules]


def told(program: NERProgram, rules: Sequence[Rule]) -> NERProgram:
    """Return a copy of the program with `rules` added: to its instruction, or to what the verifier `rules` follows."""
    if not writes():
        return followed(program, rules)
    kept = [rule for rule in known(program) if rule in _told(program)]
    made: NERProgram = program.with_settings(rules=[plain(rule) for rule in (*kept, *rules)])
    signature = made.extract.predict.signature
    said = "\n".join([signature.instructions.rstrip(), "", *map(render, rules)])
    made.extract.predict.signature = signature.with_instructions(said)
    return made


def followed(program: NERProgram, rules: Sequence[Rule]) -> NERProgram:
    """Return a copy of the program whose last stage follows `rules`, after those that it follows and what else it verifies.

    Raises ComponentError for a verify stage that the spec does not name.
    """
    own = program.spec.verify
    if program.verify is not None and own is None:
        raise ComponentError("guidelines: the spec does not name the program's verify stage; name it")
    before = own.get("rules", []) if own and own["name"] == "rules" else []
    of = own.get("of") if own and own["name"] == "rules" else own
    both = [*before, *(plain(rule) for rule in rules)]
    return program.with_settings(verify={"name": "rules", "rules": both, **({"of": of} if of else {})})


def payable(search: Search, program: NERProgram, documents: Sequence[Document]) -> list[Document]:
    """Return the first of `documents`, as many as the program may answer with what the search has left."""
    too_many = bisect_left(range(len(documents) + 1), True, key=lambda n: not search.affords(program, documents[:n]))
    return list(documents[: max(too_many - 1, 0)])


def credited(
    rules: Sequence[Rule], rows: Iterable[tuple[Document, Sequence[Entity], Sequence[Entity]]], before: Scored
) -> Credits:
    """Return for each rule what it gained in the documents where it changed anything, in micro-F1 (linear in the counts).

    `rows` are documents with the entities before and after. Changes that touch one another are one; a change belongs to the
    rules that speak of it, in equal parts, lists before others.
    """
    f1, weight = before.total.f1, max(before.total.predicted + before.total.gold, 1)
    gains: Credits = defaultdict(list)
    for document, said, then in rows:
        own: defaultdict[Rule, float] = defaultdict(float)
        for change in _changes(set(said) ^ set(then)):
            gone, come = [e for e in change if e not in then], [e for e in change if e in then]
            worth = sum(2.0 for e in come if e in document.entities) - sum(2.0 for e in gone if e in document.entities)
            worth -= f1 * (len(come) - len(gone))
            mine = [r for r in rules if explains(r, document.text, gone, come)]
            mine = [r for r in mine if r.kind in ("always", "never")] or mine
            for rule in mine:
                own[rule] += worth / weight / len(mine)
        for rule, worth in own.items():
            gains[rule].append(worth)
    return gains


def _changes(entities: Iterable[Entity]) -> list[list[Entity]]:
    """Join entities that touch one another, in the order of the text."""
    found: list[list[Entity]] = []
    end = -1
    for e in sorted(entities):
        if found and e.start < end:
            found[-1].append(e)
        else:
            found.append([e])
        end = max(end, e.end)
    return found


def paying(lines: Sequence[Line], gains: Credits) -> list[Rule]:
    """Return the rules of the families (of one label) that gain on dev, without those that lose by themselves.

    Strings that are always marked and words that edges take in have the other documents of train to speak for them, and only
    have to gain; a list of strings of which dev met nothing stays with its family. Any other family has to gain more than the
    standard error of its gain.
    """
    kept: list[Rule] = []
    families: defaultdict[tuple[str, str], list[Rule]] = defaultdict(list)
    for line in lines:
        families[line.family, line.rule.label].append(line.rule)
    for rules in families.values():
        found = [g for rule in rules for g in gains.get(rule, ())]
        vouched = rules[0].kind in ("always", "keep_start", "keep_end")
        if sum(found) > (0.0 if vouched else math.sqrt(sum(g * g for g in found))):
            kept += [r for r in rules if sum(gains.get(r, ())) > 0 or (r.kind == "always" and r not in gains)]
    return kept


def build(*, words: Annotated[int, Field(ge=1, le=10_000)] = 1500, seed: int = 1) -> GuidelineLines:
    """Build it; `words` are the strings that all lists together may have."""
    return GuidelineLines(words, seed)
