"""Annotation rules, induced from train and kept if they gain on dev. Needs no LM that writes. This is nerc's own method.

1. The program answers some train documents, cross-fitted (design D8). `_guidelines.lines` derives candidate rules from the
   gold of train and from these errors.
2. On dev, the program with and without all candidates answers the documents that the rules can change. Each change is
   credited to the rules that explain it, and rules that gain stay. One pass tests many rules, because most are about different
   words.
3. The program with these rules is compared with the initial program on as much of dev as the budget covers.

A language model gets the rules at the end of its instruction. For an LM that follows no instruction, the verifier `rules`
applies them. Error-driven rules: Brill (1995), transformation-based learning. Guidelines in the prompt: Sainz et al. (2024),
GoLLIE.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

from ner_programs.bundle.state import identity
from ner_programs.errors import ComponentError
from ner_programs.evaluate import Scored, calls_for, score
from ner_programs.guidelines import Rule, plain, render
from ner_programs.program import NERProgram
from ner_programs.types import Document, Entity
from optimizers._draws import interleaved
from optimizers._guidelines.lines import Line, candidates, explains, matters
from optimizers.budget import paid
from optimizers.search import Contender, Search
from optimizers.trial import Compilation

TRAIN_SHARE = 5
"""One call in TRAIN_SHARE is spent on train."""
Credits = dict[Rule, list[float]]


class GuidelineLines:
    """Adds rules with at most `words` listed strings to a program."""

    def __init__(self, words: int, seed: int) -> None:
        self.words, self.seed = words, seed

    def compile(
        self, program: NERProgram, *, train: Sequence[Document], dev: Sequence[Document], compilation: Compilation
    ) -> NERProgram:
        """Return the program with the rules that gain on dev, or the program itself if none does."""
        search = Search(program, dev, compilation, self.seed)
        rules: list[Rule] = []
        with search.spending():
            lines = self._induced(search, train)
            rules = self._tested(search, lines) if lines else []
        if not rules:
            return search.choose(program)
        kept = with_rules(program, rules, writes=compilation.lm.writes)
        search.contenders[identity(kept)] = Contender(kept, {"guidelines": "\n".join(map(render, rules))})
        return search.choose(kept, program)

    def _induced(self, search: Search, train: Sequence[Document]) -> list[Line]:
        """Return the candidates from train, after the program has answered as many train documents as its share covers."""
        program, mixed = search.program, random.Random(f"train {self.seed}").sample(list(train), len(train))
        sample = paid(program, interleaved(program.task, mixed), search.left // TRAIN_SHARE)
        answers = score(program, sample).predicted if sample else ()
        answered = {d.id: entities for d, entities in zip(sample, answers, strict=True)}
        return candidates(train, answered, known(program), words=self.words)

    def _tested(self, search: Search, lines: Sequence[Line]) -> list[Rule]:
        """Return the rules that gain on the part of dev that the search's share covers."""
        program, sample = search.program, list[Document]()
        rules = [line.rule for line in lines]
        full, left = with_rules(program, rules, writes=search.compilation.lm.writes), search.left
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
        rows = [(d, entities) for d, entities in zip(sample, before.predicted, strict=True)]
        touched = payable(
            search, full, [d for d, entities in rows if any(matters(rule, d.text, entities) for rule in rules)]
        )
        if not touched:
            return []
        after = score(full, touched)
        new = dict(zip((d.id for d in touched), after.predicted, strict=True))
        failed = {
            d.id for d, c in zip((*sample, *touched), (*before.counts, *after.counts), strict=True) if c.unanswered
        }
        answered = [(d, entities, new[d.id]) for d, entities in rows if d.id in new and d.id not in failed]
        return paying(lines, credited(rules, answered, before))


def known(program: NERProgram) -> tuple[Rule, ...]:
    """Return the rules that a program has already: those still in its instruction, and those of its verifier."""
    instruction = program.extract.predict.signature.instructions
    own = program.spec.verify or {}
    followed = (Rule(**rule) for rule in (own.get("rules", ()) if own.get("name") == "rules" else ()))
    return (*(rule for rule in _prompted_rules(program) if render(rule) in instruction), *followed)


def _prompted_rules(program: NERProgram) -> list[Rule]:
    return [Rule(**rule) for rule in program.spec.rules]


def with_rules(program: NERProgram, rules: Sequence[Rule], *, writes: bool) -> NERProgram:
    """Return a copy of the program with `rules` added to its instruction, or to the verifier `rules` for a stand-in.

    `writes` says whether the LM follows an instruction.
    """
    if not writes:
        return followed(program, rules)
    kept = [rule for rule in known(program) if rule in _prompted_rules(program)]
    made: NERProgram = program.with_settings(rules=[plain(rule) for rule in (*kept, *rules)])
    signature = made.extract.predict.signature
    instruction = "\n".join([signature.instructions.rstrip(), "", *map(render, rules)])
    made.extract.predict.signature = signature.with_instructions(instruction)
    return made


def followed(program: NERProgram, rules: Sequence[Rule]) -> NERProgram:
    """Return a copy of the program whose last stage applies `rules`, after its present verifier and rules.

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
    """Return the first of `documents`, as many as the rest of the search's budget covers."""
    too_many = bisect_left(range(len(documents) + 1), True, key=lambda n: not search.affords(program, documents[:n]))
    return list(documents[: max(too_many - 1, 0)])


def credited(
    rules: Sequence[Rule], rows: Iterable[tuple[Document, Sequence[Entity], Sequence[Entity]]], before: Scored
) -> Credits:
    """Return the gains of each rule in micro-F1 (linear in the counts), one for each document where it changed something.

    `rows` are documents with the entities before and after. Overlapping changes count as one. A change is credited in equal
    parts to the rules that explain it; if a list explains it, only to lists.
    """
    f1, weight = before.total.f1, max(before.total.predicted + before.total.gold, 1)
    gains: Credits = defaultdict(list)
    for document, old, new in rows:
        own: defaultdict[Rule, float] = defaultdict(float)
        for change in _changes(set(old) ^ set(new)):
            gone, come = [e for e in change if e not in new], [e for e in change if e in new]
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
    """Group overlapping entities, in the order of the text."""
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
    """Return the rules of the families (of one label) that gain on dev, without rules that lose on their own.

    "always" lists and rules that keep edge words are supported by other train documents: any gain is enough, and an "always"
    list that dev never met stays with its family. Any other family must gain more than the standard error of its gain.
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
    """Build it; `words` is the maximum number of strings in all lists together."""
    return GuidelineLines(words, seed)
