"""GEPA, SIMBA and InferRules in a search: what is asked of which LM, what comes of it, and that budgets and seeds hold."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import dspy
import pytest
from dspy.lm15 import Request
from dspy.utils.exceptions import LMAuthError, LMServerError

import optimizers
from ner_programs import LMSetupError, NERProgram
from ner_programs.bundle.state import state_of
from ner_programs.errors import BudgetError
from ner_programs.lms.metered import Account, Budget, Meter, MeteredLM
from optimizers.search import Search
from optimizers.simba import plan
from optimizers.trial import Compilation, Trial
from tests import tiny
from tests.lms import writer as scripted_writer
from tests.tiny import Scripted, gold, program, text_of

EVERY = ("gepa", "simba", "infer_rules")
MAGIC = "Mark every drug and every problem."
TRAIN, DEV = tiny.documents(40, "p"), tiny.documents(20, "q")
_FIELD = re.compile(r"^\d+\. `(\w+)` \((\w+)", re.MULTILINE)


def task(request: Request) -> str:
    """A model that is right where the instruction says so; else at times, by half, or not."""
    text, said = text_of(request), gold(request)
    if MAGIC in str(request.system) or len(text) % 3 == 0:
        return said
    return json.dumps(json.loads(said)[:1]) if len(text) % 3 == 1 else "[]"


def moody() -> Callable[[Request], str]:
    """The same model, but for train units: there it is right every third time that it is asked, as if it drew."""
    asked: Counter[str] = Counter()

    def answer(request: Request) -> str:
        text = text_of(request).rpartition("### text\n")[2]
        if MAGIC in str(request.system) or not re.search(r"\bp\d+\b", text):
            return task(request)
        asked[text] += 1
        return gold(request) if asked[text] % 3 == 0 else json.dumps(json.loads(gold(request))[:1])

    return answer


def writer(request: Request, what: str = MAGIC) -> str:
    """A model that writes one line wherever an instruction, rules or advice are asked for."""
    fields = _FIELD.findall(str(request.system).partition("Your output fields are:")[2])
    advice = {"extract.predict": what}
    if "Outputs will be a JSON object" in str(request.system):
        return json.dumps({name: advice if kind == "dict" else what for name, kind in fields})
    said = {name: json.dumps(advice) if kind == "dict" else what for name, kind in fields}
    return "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in said.items()) + "[[ ## completed ## ]]"


def broken(request: Request) -> str:
    raise LMServerError("down", model="x", provider="y")


class Bench:
    """A task model and one that writes instructions, on one account; what they were asked, and the trials."""

    def __init__(self, written: Callable[[Request], str] = writer, concurrency: int = 1) -> None:
        account = Account()
        self.task, self.prompt = Scripted(moody()), Scripted(written, "scripted/prompt")
        own = MeteredLM(Meter(self.prompt, account=account, table="lm.prompt", retries=0), concurrency=concurrency)
        self.lm = MeteredLM(Meter(self.task, account=account), roles={"prompt": own}, concurrency=concurrency)
        self.trials: list[Trial] = []

    def compile(self, name: str, calls: int = 400, given: NERProgram | None = None, **options: Any) -> NERProgram:
        with dspy.context(lm=self.lm, disable_history=True):
            return optimizers.compile(
                given or program(TRAIN), {"name": name, "budget": {"calls": calls}, **options}, train=TRAIN, dev=DEV,
                on_trial=self.trials.append,
            )  # fmt: skip

    @property
    def calls(self) -> int:
        return len(self.task.requests) + len(self.prompt.requests)


@pytest.mark.parametrize("name", EVERY)
def test_what_the_other_model_writes_is_tried_and_kept_if_it_pays(name: str) -> None:
    bench, given = Bench(), program(TRAIN)
    before = state_of(given), given.extract.predict.signature.instructions
    made = bench.compile(name, given=given)
    assert MAGIC in made.extract.predict.signature.instructions
    assert (state_of(given), given.extract.predict.signature.instructions) == before
    first, last = bench.trials[0], bench.trials[-1]
    assert first.scored.total.f1 < 0.8 and not first.changes, "the program as it is comes first"
    assert last.documents == len(DEV) and last.scored.total.f1 == 1.0
    assert any(t.changes.get("instruction") == MAGIC for t in bench.trials)
    assert not any(getattr(m, "_compiled", False) for _, m in made.named_sub_modules())
    assert bench.prompt.requests and not any("Your output fields are" in str(r.system) for r in bench.task.requests)


@pytest.mark.parametrize("name", ["gepa", "simba"])
def test_the_other_model_is_told_what_was_wrong(name: str) -> None:
    bench = Bench()
    bench.compile(name)
    asked = [text_of(r) for r in bench.prompt.requests]
    assert all(re.search(r"(\d of \d mentions? found|Right: the text)", said) for said in asked)
    assert any("Missed: [[" in said.replace('\\"', '"') and "Elsewhere in train" in said for said in asked)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("calls", [3, 60])
def test_a_budget_holds_at_eight_at_once(name: str, calls: int) -> None:
    bench = Bench(concurrency=8)
    try:
        made = bench.compile(name, calls)
    except BudgetError as error:
        assert calls == 3 and "does not allow one trial" in str(error)
    else:
        assert bench.trials and isinstance(made, NERProgram)
    assert bench.calls == bench.lm.meter.spent.calls <= calls


@pytest.mark.parametrize("name", EVERY)
def test_a_model_that_writes_nothing_is_reported(name: str) -> None:
    bench = Bench(broken)
    made = bench.compile(name)
    assert {"no instruction was written": "LMServerError"} in [dict(t.changes) for t in bench.trials]
    assert made.extract.predict.signature.instructions == program().extract.predict.signature.instructions


@pytest.mark.parametrize("name", EVERY)
def test_a_model_that_is_set_up_wrongly_ends_the_run(name: str) -> None:
    def wrong(request: Request) -> str:
        raise LMAuthError("no key", model="x", provider="y", status=401)

    bench = Bench(wrong)
    with pytest.raises(LMSetupError):
        bench.compile(name)
    assert len(bench.prompt.requests) == 1


@pytest.mark.parametrize("name", ["gepa", "infer_rules"])
def test_an_empty_answer_is_no_instruction(name: str) -> None:
    bench = Bench(lambda request: writer(request, " "))
    bench.compile(name)
    assert {"no instruction was written": "empty"} in [dict(t.changes) for t in bench.trials]


def test_each_candidate_of_infer_rules_sees_other_examples_and_keeps_its_own_rules() -> None:
    number = iter(range(1000))
    bench = Bench(lambda request: writer(request, f"Rule {next(number)}."))
    bench.compile("infer_rules")
    shown = [text_of(r) for r in bench.prompt.requests]
    assert len(set(shown)) == len(shown) > 2
    lines = [t.changes["instruction"] for t in bench.trials if "instruction" in t.changes and "final" not in t.changes]
    assert lines == [f"Rule {n}." for n in range(len(lines))] and len(lines) > 2


def test_simba_comes_to_its_end_with_what_it_plans() -> None:
    """It keeps nothing if it is cut off: what it asks at most is within its share."""
    lm = scripted_writer()
    with dspy.context(lm=lm):
        given = program(TRAIN)
        examples = given.examples(TRAIN)
        for calls in (120, 400, 10_000):
            search = Search(given, DEV, Compilation(lm, Budget(calls=calls)))
            p = plan(search, examples)
            step = p.batch * (2 * p.candidates + 1) + 2 * (p.candidates + 1)
            assert p.steps * step + (p.candidates + 1) * p.units <= search.calls
            assert p.batch <= p.units <= len(examples)


def test_demonstrations_that_simba_takes_say_which_document_they_are_from() -> None:
    """So they are not shown for another part of it."""
    bench = Bench(broken)
    made = bench.compile("simba")
    tried = [d for t in bench.trials for d in t.program.extract.predict.demos]
    assert tried and {d["document"] for d in tried} <= {d.id for d in TRAIN}
    assert all(d.get("group") for d in made.extract.predict.demos)


def test_a_verifier_keeps_its_demonstrations_and_gets_no_rules_from_examples_that_show_no_verdict() -> None:
    bench, given = Bench(), program(TRAIN, verify={"name": "llm", "mode": "reject"})
    made = bench.compile("infer_rules", 900, given)
    verifier = made.verify.verifier.predict  # type: ignore[union-attr]
    assert verifier.demos and all("verdicts" in d for d in verifier.demos)
    assert MAGIC not in verifier.signature.instructions
    assert bench.trials[-1].scored.total.f1 == 1.0
