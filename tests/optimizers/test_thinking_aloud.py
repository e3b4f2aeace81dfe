"""An LM that thinks aloud, as it writes instructions and as it answers: no program or trial keeps any of it."""

from __future__ import annotations

import json
from collections.abc import Callable

import dspy
import pytest
from dspy.lm15 import Request

import optimizers
from ner_programs.bundle.state import state_of
from ner_programs.lms.metered import Account, Meter, MeteredLM
from optimizers.trial import Trial
from tests import tiny
from tests.effort import THOROUGH
from tests.optimizers.test_reflective import MAGIC, moody, writer
from tests.tiny import Scripted, program

TRAIN, DEV = tiny.documents(40, "p"), tiny.documents(20, "q")
ALOUD = [
    "<think>HUSH {}</think>\n{}", "HUSH {}\n</think>\n{}",
    "<|channel|>analysis<|message|>HUSH {}<|end|><|channel|>final<|message|>{}",
]  # fmt: skip


def aloud(form: str, script: Callable[[Request], str]) -> Callable[[Request], str]:
    def answer(request: Request) -> str:
        said = script(request)
        return form.format(said.replace(MAGIC, "HUSH"), said)

    return answer


def inside(request: Request) -> str:
    """Think again within the field that is asked for."""
    return writer(request, f"<think>HUSH, no</think>{MAGIC}")


NAMES = ("bootstrap", "copro", "mipro", "simba", "gepa", "infer_rules")
EVERY = [(name, form) for n, name in enumerate(NAMES) for f, form in enumerate(ALOUD) if THOROUGH or n % 3 == f]


@pytest.mark.parametrize(("name", "form"), EVERY)
def test_reasoning_becomes_no_instruction_and_no_demonstration(name: str, form: str) -> None:
    account, trials = Account(), list[Trial]()
    writing = Scripted(aloud(form, inside if form.startswith("<think>") else writer), "scripted/prompt")
    own = MeteredLM(Meter(writing, account=account, table="lm.prompt", retries=0))
    lm = MeteredLM(Meter(Scripted(aloud(form, moody())), account=account), roles={"prompt": own})
    with dspy.context(lm=lm, disable_history=True):
        spec = {"name": name, "budget": {"calls": 400}}
        made = optimizers.compile(program(TRAIN), spec, train=TRAIN, dev=DEV, on_trial=trials.append)
    kept = [json.dumps([state_of(p), repr(c)], default=str) for p, c in ((t.program, t.changes) for t in trials)]
    assert not [said for said in [*kept, json.dumps(state_of(made), default=str)] if "HUSH" in said or "think>" in said]
    assert name == "bootstrap" or writing.requests
    assert trials[-1].scored.total.correct


def test_a_role_is_answered_without_reasoning() -> None:
    lm = MeteredLM(Meter(Scripted(lambda request: "<thinking>HUSH</thinking>\n\nMark all.<|im_end|>")))
    with dspy.context(disable_history=True):
        assert lm("How?")[0].strip() == "Mark all."
