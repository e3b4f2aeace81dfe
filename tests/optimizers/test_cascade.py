"""A cascade asks only where the program is not sure; how sure that must be is chosen on dev, against its cost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.lm15 import Message, Request, Response, TextPart, TokenLogprob, Usage
from dspy.utils.exceptions import LMInvalidRequestError
from hypothesis import given
from hypothesis import strategies as st

import optimizers
from ner_programs import ComponentError, Document, LMSetupError, NERProgram, load, save
from ner_programs.bundle.files import write_manifest
from ner_programs.bundle.state import state_of
from ner_programs.errors import BudgetError
from ner_programs.evaluate import score
from ner_programs.lms.metered import Account, Meter, MeteredLM
from ner_programs.prompts.likelihood import tokens_of
from ner_programs.scoring import Counts
from ner_programs.stages.verify import Verification
from ner_programs.types import Entity
from ner_programs.verifiers.cascade import Cascade, confidence
from ner_programs.verifiers.fuse import fuse_of
from optimizers.cascade import SHARES, build, difference, thresholds
from optimizers.preparation import llm_verifier, taught
from optimizers.trial import Trial
from tests.tiny import TRAIN, Scripted, documents, gold, program, text_of

DEV = documents(40, "v")
STRONG = {"name": "cascade", "of": {"name": "strong"}}


def unsure(request: Request) -> bool:
    return "day" in text_of(request)


class Weak(Scripted):
    """Takes drugs for problems where it is not sure, and says how sure it is; sees nothing on visits; keeps all candidates."""

    logprobs = True

    def complete(self, request: Request) -> Response:
        self.requests.append(request)
        if "### candidates" in text_of(request):
            return self._response(request, "1 keep", [])
        rows, pieces, places, at = json.loads(gold(request)), [], [], 1
        if "Visit" in text_of(request).rpartition("### text\n")[2]:
            rows = []
        for row in rows:
            row["label"] = "problem" if unsure(request) else row["label"]
            pieces.append(json.dumps(row))
            places.append(((at, at + len(pieces[-1])), 0.3 if unsure(request) else 0.9))
            at += len(pieces[-1]) + 2
        return self._response(request, f"[{', '.join(pieces)}]", places)

    def _response(self, request: Request, said: str, places: list[Any]) -> Response:
        tokens = tuple(TokenLogprob(token, p) for token, p in tokens_of(said, places))
        usage = Usage(input_tokens=10, output_tokens=5, total_tokens=15)
        message = Message.assistant([TextPart(said)])
        return Response(
            id="1", model="m", message=message, finish_reason="stop", usage=usage,
            logprobs=tokens if self.logprobs else None,
        )  # fmt: skip


class Bench:
    """A weak LM, and a strong one that is always right."""

    def __init__(self, strong: Any = gold, concurrency: int = 1) -> None:
        self.weak, self.strong, account = Weak(model="weak/x"), Scripted(strong, model="strong/x"), Account()
        roles = {"strong": MeteredLM(Meter(self.strong, account=account, table="lm.strong"))}
        self.lm = MeteredLM(Meter(self.weak, account=account), roles=roles, concurrency=concurrency)
        self.trials: list[Trial] = []

    def compile(self, given: NERProgram | None = None, dev: tuple[Document, ...] = DEV, **options: Any) -> NERProgram:
        with dspy.context(lm=self.lm, disable_history=True):
            return optimizers.compile(
                given or program(), {"name": "cascade", **options}, train=TRAIN, dev=dev, on_trial=self.trials.append
            )

    def counts(self, made: NERProgram, dev: tuple[Document, ...] = DEV) -> Counts:
        with dspy.context(lm=self.lm, disable_history=True):
            return score(made, dev).total

    @property
    def calls(self) -> int:
        return len(self.weak.requests) + len(self.strong.requests)


class TestComponent:
    @pytest.mark.parametrize(
        "of", [{"name": "llm", "mode": "full"}, {"name": "llm", "mode": "reject"}, {"name": "strong"}]
    )
    def test_threshold_0_is_never_and_1_is_always(self, of: dict[str, Any]) -> None:
        def answers(verify: Any, bench: Bench) -> list[Any]:
            made = program(verify=verify)
            with dspy.context(lm=bench.lm):
                said = [made(d.text) for d in DEV]
                again = asyncio.run(_all(made, [d.text for d in DEV]))
            assert [p.entities for p in said] == [p.entities for p in again]
            return [[(e, e.score, e.provenance) for e in p.entities] for p in said]

        none, whole, never, always = Bench(), Bench(), Bench(), Bench()
        assert answers(None, none) == answers({"name": "cascade", "of": of, "threshold": 0.0}, never)
        assert answers(of, whole) == answers({"name": "cascade", "of": of, "threshold": 1.0}, always)
        assert never.calls == none.calls and always.calls == whole.calls

    def test_asks_where_the_least_sure_candidate_is_not_above_the_threshold(self) -> None:
        def entity(p: float | None) -> Entity:
            return Entity(0, 1, "x", "a", score=p)

        cascade = Cascade(lambda *a: Verification(), 0.5)
        asked = [cascade.asks(list(map(entity, ps))) for ps in ([0.9, 0.4], [0.5], [0.51], [None, 0.9], [])]
        assert asked == [True, True, False, True, False]
        assert confidence([]) == 1.0

    def test_the_strong_answer_takes_the_place_of_the_candidates(self) -> None:
        """Also where only one of two equal strings is marked: the place is kept, and the strong LM's own confidence."""
        text = "No gout on day 3, so aspirin was stopped for gout."
        bench = Bench(lambda request: text.replace("for gout", "for [gout|problem]"))
        made = program(format={"name": "tanl"}, verify={**STRONG, "threshold": 1.0})
        bench.weak.complete = lambda r: bench.weak._response(r, text.replace("aspirin", "[aspirin|drug]"), [])  # type: ignore[method-assign]
        with dspy.context(lm=bench.lm):
            (found,) = made(text).entities
        assert (found.start, found.text, found.label) == (text.rindex("gout"), "gout", "problem")

    def test_asks_the_strong_lm_the_same_prompt_whatever_becomes_of_it(self, tmp_path: Path) -> None:
        made = program(verify={**STRONG, "threshold": 1.0}, demos={"name": "tfidf", "k": 2}).deepcopy()
        for predictor in made.predictors():
            predictor.signature = predictor.signature.with_instructions("Find it all.")
        save(made, tmp_path / "bundle")
        for one in (made, made.with_settings(demos={"k": 1}), load(tmp_path / "bundle"), made.deepcopy()):
            bench = Bench()
            with dspy.context(lm=bench.lm):
                one(DEV[0].text)
            (weak,), (strong,) = bench.weak.requests, bench.strong.requests
            assert weak.messages == strong.messages and weak.system == strong.system
            assert "Find it all." in str(weak.system) and [*state_of(one)] == ["extract.predict"]

    def test_a_strong_answer_that_fails_leaves_the_candidates(self) -> None:
        def fails(request: Request) -> str:
            raise LMInvalidRequestError("filtered", model="m")

        bench, one = Bench(fails), Document("d", "No gout on day 3, so aspirin was stopped.")
        with dspy.context(lm=bench.lm):
            said = program(verify={**STRONG, "threshold": 1.0})(one.text)
        assert said.unanswered == 1 and len(said.entities) == 2

    def test_without_a_strong_lm_it_says_so(self) -> None:
        with dspy.context(lm=MeteredLM(Meter(Weak()))), pytest.raises(LMSetupError, match=r"\[lm\.strong\]"):
            program(verify={**STRONG, "threshold": 1.0})(DEV[0].text)
        weak = Weak()
        with dspy.context(lm=MeteredLM(Meter(weak))), pytest.raises(LMSetupError, match=r"\[lm\.strong\]"):
            optimizers.compile(program(verify=STRONG), {"name": "cascade"}, train=TRAIN, dev=DEV)
        assert not weak.requests

    def test_a_verifier_inside_is_found_taught_and_saved(self, tmp_path: Path) -> None:
        verify = {"name": "cascade", "of": {"name": "cascade", "of": {"name": "llm", "k": 3}}}
        given = program(verify=verify)
        with dspy.context(lm=Bench().lm):
            made = taught(given, given.examples(TRAIN))
        judge = llm_verifier(made)
        assert (
            judge is not None
            and len(judge.predict.demos) == 3
            and not state_of(given)["verify.verifier.of.of.predict"]["demos"]
        )
        again = load(save(made, tmp_path / "bundle"))
        assert state_of(again) == state_of(made) and again.spec.verify == verify

    def test_what_is_asked_inside_needs_trust_too(self, tmp_path: Path) -> None:
        save(program(), tmp_path / "bundle")
        manifest = json.loads((tmp_path / "bundle/program.json").read_text())
        manifest["spec"]["verify"] = {"name": "cascade", "of": {"name": "lab.mine"}}
        (tmp_path / "bundle/program.json").write_text(json.dumps(manifest))
        (tmp_path / "bundle/manifest.json").unlink()
        write_manifest(tmp_path / "bundle")
        with pytest.raises(ComponentError, match=r"trust=\['lab'\]"):
            load(tmp_path / "bundle")

    @pytest.mark.parametrize("of", [{"name": "nosuch"}, {"mode": "full"}, {"name": "llm", "kk": 1}])
    def test_wrong_options_are_refused(self, of: dict[str, Any]) -> None:
        with pytest.raises(ComponentError):
            program(verify={"name": "cascade", "of": of})
        with pytest.raises(ComponentError, match="threshold"):
            program(verify={"name": "cascade", "threshold": 1.5})


async def _all(made: NERProgram, texts: list[str]) -> list[Any]:
    return [await made.acall(text) for text in texts]


class TestOptimizer:
    def test_spends_the_strong_lm_where_it_pays(self) -> None:
        bench = Bench()
        made = bench.compile(target=0.6)
        assert made.spec.verify is not None and made.spec.verify["of"] == {"name": "strong"}
        assert made.spec.verify["threshold"] < 0.9
        hard, fresh = [d for d in DEV if "day" in d.text], Bench()
        assert fresh.counts(made, tuple(d for d in DEV if "Visit" not in d.text)).f1 == 1.0
        assert len(fresh.strong.requests) == len(hard) < len(DEV) / 2

    def test_reports_the_front(self) -> None:
        bench = Bench()
        bench.compile()
        first, *steps = bench.trials
        assert first.changes == {"verify": "none", "extra_calls": 0.0} and 0 < len(steps) <= len(SHARES)
        costs = [t.changes["extra_calls"] for t in steps]
        assert costs == sorted(set(costs)) and costs[-1] == 1.0
        for trial in bench.trials:
            assert Bench().counts(trial.program) == trial.scored.total and trial.documents == len(DEV)
        for trial in steps:
            asked = Bench()
            asked.counts(trial.program)
            assert len(asked.strong.requests) == round(trial.changes["extra_calls"] * len(DEV))

    def test_a_target_is_kept(self) -> None:
        share = sum("day" in d.text for d in DEV) / len(DEV)
        for target in (share / 2, share + 0.05):
            bench = Bench()
            made = bench.compile(target=target)
            assert all(t.changes["extra_calls"] <= target for t in bench.trials)
            assert (made.spec.verify is not None) is (target > share)

    def test_what_does_not_pay_is_left_off(self) -> None:
        bench = Bench()
        made = bench.compile(of={"name": "llm", "k": 2}, budget={"calls": 500})
        assert made.verify is None and made.spec.verify is None
        assert len(bench.trials) > 2 and {t.scored.total.f1 for t in bench.trials} == {bench.trials[0].scored.total.f1}

    def test_keeps_the_verifier_that_the_program_has_with_its_state(self) -> None:
        given = program(verify={"name": "llm", "k": 2})
        bench = Bench()
        bench.compile(given)
        judged = bench.trials[-1].program
        assert judged.spec.verify is not None and judged.spec.verify["of"] == {"name": "llm", "k": 2}
        assert len(state_of(judged)["verify.verifier.of.predict"]["demos"]) == 2

    def test_without_confidence_the_fused_score_decides(self) -> None:
        bench, train = Bench(), documents(60, "t")
        bench.weak.logprobs = False
        with dspy.context(lm=bench.lm, disable_history=True):
            made = optimizers.compile(
                program(train), {"name": "cascade", "target": 0.5}, train=train, dev=DEV, on_trial=bench.trials.append
            )
        assert made.spec.verify is not None and made.spec.verify["name"] in ("cascade", "fuse")
        first = fuse_of(getattr(made.verify, "verifier", None))
        assert first is not None and len(first.answers) >= 20
        with dspy.context(lm=bench.lm, disable_history=True):
            assert all(e.score is not None for d in DEV for e in made(d.text).entities)
            assert score(made, DEV).total.f1 > 0.9

    def test_refuses_a_program_without_confidence_before_it_spends(self) -> None:
        bench = Bench()
        bench.weak.logprobs = False
        with pytest.raises(ComponentError, match=r'cascade needs confidence.*\[lm\] can = \["logprobs"\]'):
            bench.compile()
        assert bench.calls <= 8 and not bench.trials

    def test_refuses_a_stage_that_the_spec_does_not_name(self) -> None:
        given = program(verify={"name": "llm"})
        own = program()
        own.verify = given.verify
        with pytest.raises(ComponentError, match="does not name"):
            optimizers.check(own, {"name": "cascade"})

    def test_keeps_to_its_budget_and_uses_what_there_is(self) -> None:
        for calls in (3, 9, 55, 200):
            bench = Bench(concurrency=4)
            try:
                made = bench.compile(budget={"calls": calls})
            except BudgetError:
                assert calls < 4
            else:
                assert isinstance(made, NERProgram) and bench.trials
            assert bench.calls <= calls
        assert Bench().compile(budget={"calls": 70}).verify is not None


@given(
    st.lists(st.sampled_from([0.0, 0.0004, 0.2, 0.30001, 0.5, 0.9999, 1.0]) | st.floats(0, 1), min_size=1, max_size=60)
)
def test_thresholds_ascend_and_each_asks_more(sure: list[float]) -> None:
    found = thresholds(sure)
    asked = [sum(c <= t for c in sure) for t in found]
    assert found == sorted(set(found)) and asked == sorted(set(asked)) and found[0] > 0 and found[-1] <= 1
    assert len(found) <= len(SHARES) and asked[-1] == len(sure)


def test_the_standard_error_is_that_of_a_bootstrap() -> None:
    import random

    rng = random.Random(1)
    a = [Counts(c := rng.randint(0, 3), c + rng.randint(0, 2), c + 2, c) for _ in range(300)]
    b = [Counts(min(x.correct + rng.randint(0, 1), x.gold), x.predicted + 1, x.gold, x.gold) for x in a]
    gain, error = difference(a, b)
    drawn = []
    for _ in range(600):
        rows = rng.choices(range(300), k=300)
        drawn.append(sum((b[i] for i in rows), Counts()).f1 - sum((a[i] for i in rows), Counts()).f1)
    mean = sum(drawn) / 600
    assert error == pytest.approx((sum((d - mean) ** 2 for d in drawn) / 599) ** 0.5, rel=0.12)
    assert gain == pytest.approx(mean, abs=error) and not any(difference(a, a))


def test_is_built_with_limits() -> None:
    assert build().target == 1.0
    for options in ({"target": 0}, {"target": 2}, {"of": 3}):
        with pytest.raises(ComponentError):
            optimizers.opened({"name": "cascade", **options})


def test_where_the_budget_pays_for_less_than_dev_a_share_is_left_for_what_is_asked() -> None:
    for calls in (1, 2, 5, 9):
        bench = Bench()
        bench.compile(budget={"calls": calls})
        assert bench.calls <= calls and bench.trials
        assert calls < 5 or bench.strong.requests
