"""Whatever an optimizer ends with, it says in one sentence of figures why, and the figures are those of the trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dspy
from dspy.lm15 import Request

import optimizers
from ner_programs import Document, NERProgram
from ner_programs.bundle.state import identity
from ner_programs.lms.metered import Budget, Meter, MeteredLM
from ner_programs.scoring import Counts
from optimizers._explain import higher, of_race
from optimizers.search import Search
from optimizers.trial import Compilation, Trial
from tests.tiny import TRAIN, Scripted, documents, gold, program, text_of


def compiled(
    name: str, script: Callable[[Request], str], dev: Sequence[Document], k: int = 1, **options: Any
) -> tuple[NERProgram, list[Trial]]:
    trials: list[Trial] = []
    with dspy.context(lm=MeteredLM(Meter(Scripted(script)), concurrency=1), disable_history=True):
        given = program(demos={"name": "tfidf", "k": k})
        made = optimizers.compile(given, {"name": name, **options}, train=TRAIN, dev=dev, on_trial=trials.append)
    return made, trials


def test_a_final_says_how_the_winner_stands_and_who_was_ahead_before() -> None:
    """Three programs on a sample, two in the final; on the sample the one that is left out was ahead."""
    trials: list[Trial] = []
    dev = documents(20, "d")

    def script(request: Request) -> str:
        shown, text = len(request.messages) // 2, text_of(request).rpartition("### text\n")[2]
        right = (text not in hard[:1], text in early, text not in hard)[shown]
        return gold(request) if right else "[]"

    lm = MeteredLM(Meter(Scripted(script)))
    with dspy.context(lm=lm, disable_history=True):
        first = program()
        search = Search(first, dev, Compilation(lm, Budget(calls=50), trials.append))
        early, hard = [d.text for d in search.sample(8)], [d.text for d in search.order[:2]]
        for k in (1, 2):
            search.score(program(demos={"name": "random", "k": k}), {"k": k}, search.sample(8))
        kept = search.choose(program(demos={"name": "random", "k": 2}))
    assert kept.why == (
        "The program that the search began with is kept: F1 0.974 on all 20 dev documents, the highest of 2 finalists "
        "(next: trial 2, F1 0.947); higher on fewer documents, but no finalists: 1 of 1 others."
    )
    assert identity(kept) == identity(first)


def test_a_race_says_how_many_scored_higher_than_what_it_keeps() -> None:
    right, wrong = Counts(1, 1, 1), Counts(0, 1, 1)
    ours, better, worse = (dict(enumerate(rows)) for rows in ([right, wrong], [right], [wrong, wrong, right]))
    shorter = {1: right}
    assert higher(ours, [better, worse, shorter]) == 1  # each on the documents that both saw
    said = of_race(ours, [better, worse, shorter], -0.002, dev=5)
    assert said == (
        "F1 0.500 on 2 of 5 dev documents, 1 of 3 others scored higher on the documents that both saw, but by all "
        "comparisons together none of the others is expected to gain more than -0.002"
    )
    assert of_race(ours, [worse], -0.1, dev=2).endswith("none of 1 others scored higher on the documents that both saw")


def test_a_race_on_five_notes_says_why_it_keeps_its_start() -> None:
    """One note is right by luck with many settings: that is no reason to change the program."""

    def lucky(request: Request) -> str:
        return "[]" if "d4" in text_of(request) and len(request.messages) // 2 >= 8 else gold(request)

    made, trials = compiled("race", lucky, documents(5, "d"), k=8, budget={"calls": 400}, space=["k", "selector"])
    start = trials[0].program
    above = {identity(t.program) for t in trials if t.scored.total.f1 > trials[0].scored.total.f1}
    assert identity(made) == identity(start) and above, made.why
    assert f"{len(above)} of " in made.why and "others scored higher on the documents that both saw, but" in made.why
