"""Where no language model answers: what needs one says so before the first call, what does not asks for no instruction."""

from __future__ import annotations

from typing import Any

import dspy
import pytest

import optimizers
from ner_programs import LMSetupError, NERProgram
from ner_programs.errors import BudgetError
from ner_programs.lms import open_lm
from ner_programs.lms.metered import Meter, MeteredLM
from optimizers.trial import Trial
from tests.tiny import Scripted, documents, gold, program, text_of

TRAIN, DEV = documents(16, "t"), documents(8, "d")
NEED = ("copro", "gepa", "simba", "infer_rules")
WORK = ("mipro", "race", "coverage", "cascade", "guidelines", "random_search", "bootstrap", "labeled")


def compiled(name: str, lm: Any, given: NERProgram | None = None, **options: Any) -> tuple[NERProgram, list[Trial]]:
    trials: list[Trial] = []
    with dspy.context(lm=lm, disable_history=True):
        made = optimizers.compile(
            given or program(TRAIN, demos={"name": "tfidf", "k": 3}), {"name": name, "budget": {"calls": 120}, **options},
            train=TRAIN, dev=DEV, on_trial=trials.append,
        )  # fmt: skip
    return made, trials


@pytest.mark.parametrize("name", [*NEED, "teleprompter"])
def test_who_needs_a_writer_says_so_before_the_first_call(name: str) -> None:
    lm, more = open_lm(), {"of": "dspy.teleprompt.COPRO"} if name == "teleprompter" else {}
    with pytest.raises(
        LMSetupError, match=rf"^optimizer {name} needs a language model that writes: give \[lm.prompt\]$"
    ):
        compiled(name, lm, **more)
    assert lm.meter.spent.calls == 0


@pytest.mark.parametrize("name", NEED)
def test_and_a_budget_or_an_option_that_is_wrong_is_said_too(name: str) -> None:
    with pytest.raises(BudgetError, match=r"optimizer\.budget\.calls"):
        optimizers.check(program(), {"name": name, "budget": {"calls": 0}}, writes=False)


@pytest.mark.parametrize("name", WORK)
def test_the_others_ask_for_mentions_alone(name: str) -> None:
    backend = Scripted(gold)
    backend.writes, backend.logprobs = False, False
    asked = {"of": {"name": "boundary"}} if name == "cascade" else {}
    if name == "cascade":  # it needs scores
        made, trials = compiled(name, open_lm(), **asked)
    else:
        made, trials = compiled(name, MeteredLM(Meter(backend)), **asked)
        assert backend.requests and all("### text" in text_of(r) for r in backend.requests)
        assert not any("### candidates" in text_of(r) for r in backend.requests)
    assert trials and made.extract.predict.signature.instructions == program().extract.predict.signature.instructions


def test_cascade_asks_the_boundary_model_where_nothing_is_said() -> None:
    _, trials = compiled("cascade", open_lm())
    asked = [t.program.spec.verify for t in trials if t.program.spec.verify]
    assert all(v["of"] == {"name": "boundary"} for v in asked)


def test_a_cassette_is_as_able_as_what_it_recorded(tmp_path: Any) -> None:
    from ner_programs.lms.replay import Recorder, Replay

    for writes in (True, False):
        backend = Scripted(lambda request: "[]")
        backend.writes = writes
        Recorder(backend, tmp_path / f"{writes}.jsonl")
        assert Replay(tmp_path / f"{writes}.jsonl").writes is writes
