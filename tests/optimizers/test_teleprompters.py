"""DSPy's optimizers on NER programs: within their budget, repeatable, and with nothing of theirs left behind."""

from __future__ import annotations

import random
from typing import Any

import dspy
import numpy as np
import pytest
from dspy.lm15 import Request
from dspy.utils.exceptions import LMInvalidRequestError
from hypothesis import given
from hypothesis import strategies as st

import optimizers
from ner_programs import ComponentError, NERProgram
from ner_programs.bundle.state import state_of
from ner_programs.evaluate import score
from ner_programs.lms.metered import Budget, Meter, MeteredLM
from ner_programs.ner import NER
from optimizers._draws import interleaved
from optimizers._dspy.teleprompter import Right, Watch, mended, trainset
from optimizers.search import Search
from optimizers.trial import Compilation, Trial
from tests.lms import writer
from tests.tiny import Scripted, documents, gold, program, text_of

TRAIN, DEV = documents(30, "t"), documents(12, "d")
WRITING = ("copro", "mipro")
NEAREST = dspy.Embedder(lambda texts: np.ones((len(texts), 2)))
writing = pytest.mark.parametrize("name", WRITING)


class Run:
    """One compilation, by default under an LM that finds all and writes one line; keeps its trials."""

    def __init__(
        self, options: dict[str, Any], calls: int | None = 150, lm: MeteredLM | None = None, given: NERProgram | None = None,
        budget: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.trials: list[Trial] = []
        self.given = given or program(TRAIN, demos={"name": "tfidf", "k": 3})
        budget = budget or ({"calls": calls} if calls else {})
        with dspy.context(lm=lm or scripted(saying("Find all.")), disable_history=True):
            self.callbacks = list(dspy.settings.get("callbacks", []))
            self.made = optimizers.compile(
                self.given, {**options, "budget": budget}, train=TRAIN, dev=DEV, on_trial=self.on_trial
            )
            self.spent = dspy.settings.lm.meter.spent.calls
            assert dspy.settings.get("callbacks", []) == self.callbacks

    def on_trial(self, trial: Trial) -> None:
        print(f"trial {trial.number}")
        self.trials.append(trial)


def scripted(script: Any, concurrency: int = 1, **generation: Any) -> MeteredLM:
    return MeteredLM(Meter(Scripted(script), backoff=0), concurrency=concurrency, **generation)


def asks_for_instruction(request: Request) -> bool:
    return "### text" not in text_of(request)


def saying(instruction: str) -> Any:
    """A model that extracts what is there, and whose every field of another prompt is `instruction`."""

    def script(request: Request) -> str:
        if not asks_for_instruction(request):
            return gold(request)
        fields = [line for line in text_of(request).split("`") if line.startswith("[[ ## ")]
        return "\n\n".join(f"{field}\n{instruction}" if "completed" not in field else field for field in fields)

    return script


class TestEvery:
    def test_shows_no_document_its_own_demonstrations(self) -> None:
        """DSPy keeps of a demonstration only what the program was asked and said."""
        made = next(t.program for t in Run({"name": "bootstrap"}).trials if t.program.extract.predict.demos)
        own = made.extract.predict.demos[0]
        assert own["text"] not in {d["text"] for d in made.extract.demos("Other text.", (own["document"],))}

    @pytest.mark.parametrize("name", ["copro", "random_search"])
    def test_what_was_compiled_before_is_compiled_again(self, name: str) -> None:
        made = Run({"name": "labeled", "k": 2}, lm=scripted(gold)).made
        made._compiled = made.extract._compiled = True
        assert "extract.predict" in state_of(Run({"name": name}, 80, given=made).made)

    @pytest.mark.parametrize("name", ["labeled", "mipro"])
    def test_prints_only_what_a_report_prints(self, name: str, capfd: pytest.CaptureFixture[str]) -> None:
        run = Run({"name": name}, 60)
        said = capfd.readouterr()
        assert said.out.split("\n") == [*(f"trial {t.number}" for t in run.trials), ""] and not said.err


class TestInstructions:
    @writing
    def test_the_engine_writes_lines_and_trials_say_which(self, name: str) -> None:
        trials = Run({"name": name}, 300, writer()).trials
        written = [t.changes["instruction"] for t in trials if "instruction" in t.changes]
        assert written and not any("Find every mention" in lines for lines in written)

    def test_an_empty_proposal_is_a_failure_that_is_said(self) -> None:
        """In its place the first instruction is scored, which costs nothing again."""
        lm = scripted(saying(""))
        run = Run({"name": "copro"}, 150, lm)
        first = run.given.extract.predict.signature.instructions
        assert any(t.changes.get("empty proposal") == "extract" for t in run.trials)
        assert run.made.extract.predict.signature.instructions == first
        assert all(t.program.extract.predict.signature.instructions.strip() for t in run.trials)

    def test_mipro_tries_no_empty_one(self) -> None:
        run = Run({"name": "mipro"}, 300, scripted(saying("")))
        assert run.trials and not any("instruction" in t.changes for t in run.trials)
        assert all(t.changes["empty proposals"] >= 2 for t in run.trials if "final" not in t.changes)

    @writing
    def test_an_lm_that_writes_none_ends_the_search_and_a_trial_says_so(self, name: str) -> None:
        def script(request: Request) -> str:
            if asks_for_instruction(request):
                raise LMInvalidRequestError("filtered", model="m")
            return gold(request)

        run = Run({"name": name}, 150, scripted(script))
        assert any(t.changes.get("no instruction was written") == "LMInvalidRequestError" for t in run.trials)
        assert run.made.extract.predict.signature.instructions

    @writing
    def test_the_role_prompt_writes_them(self, name: str) -> None:
        task = scripted(gold)
        writer = MeteredLM(Meter(Scripted(saying("Find all."), "scripted/writer"), account=task.meter.account))
        Run({"name": name}, 150, MeteredLM(task.meter, roles={"prompt": writer}, concurrency=1))
        assert writer.meter.backend.requests and all(map(asks_for_instruction, writer.meter.backend.requests))
        assert not any(map(asks_for_instruction, task.meter.backend.requests))


class TestOther:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"of": "dspy.teleprompt.Nothing"}, "no Teleprompter; in dspy.teleprompt there are: .*BootstrapFewShot"),
            ({"of": "no.such.Thing"}, "No module named 'no'"), ({"of": "Thing"}, "no Teleprompter"),
            ({"of": "..Other"}, "of = '..Other'"),
            ({"of": "dspy.teleprompt.LabeledFewShot", "options": {"kk": 3}}, "has no 'kk'; it has: k"),
            ({"of": "dspy.teleprompt.LabeledFewShot", "compile": {"sampel": 3}}, "has no 'sampel'; it has: trainset, sample"),
            ({"of": "dspy.teleprompt.LabeledFewShot", "options": {"k": "x"}}, "LabeledFewShot: TypeError"),
            ({"of": "dspy.teleprompt.KNNFewShot", "options": {"k": 2, "vectorizer": NEAREST}}, "lives in code"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_said(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ComponentError, match=said):
            Run({"name": "teleprompter", **options})

    def test_what_an_error_says_after_the_first_call_stays_away_for_it_may_quote_the_text(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def compile(self: Any, student: Any, *, trainset: Any, sample: bool = True) -> Any:
            student(text=trainset[0].text)
            raise ValueError(trainset[0].text)

        monkeypatch.setattr(dspy.LabeledFewShot, "compile", compile)
        with pytest.raises(ComponentError) as caught:
            Run({"name": "teleprompter", "of": "dspy.teleprompt.LabeledFewShot"})
        assert str(caught.value) == "LabeledFewShot: ValueError"

    def test_runs_the_stock_copro_as_ours_does(self) -> None:
        run = Run({"name": "teleprompter", "of": "dspy.COPRO", "options": {"breadth": 2, "depth": 2},
                   "compile": {"eval_kwargs": {}}})  # fmt: skip
        assert run.trials and state_of(run.made)["extract.predict"]["instructions"]


class TestMended:
    def test_a_demonstration_of_a_piece_of_an_example_knows_the_document(self) -> None:
        first, made = program(TRAIN), program(TRAIN)
        made.extract.predict.demos = [dspy.Example(text=TRAIN[0].text[6:-3], knowledge="", mentions=[])]
        (demo,) = mended(made, first, first.examples(TRAIN)).extract.predict.demos
        assert demo.document == TRAIN[0].id


class TestSamples:
    @given(st.lists(st.booleans(), max_size=60))
    def test_every_beginning_has_its_share_of_mentions(self, full: list[bool]) -> None:
        examples = [dspy.Example(text=str(n), entities=(1,) if some else ()) for n, some in enumerate(full)]
        mixed = interleaved(NER, examples)
        assert sorted(e.text for e in mixed) == sorted(e.text for e in examples)
        for size in range(len(mixed) + 1):
            assert abs(sum(bool(e.entities) for e in mixed[:size]) - size * sum(full) / max(len(full), 1)) <= 1

    def test_a_draw_is_seeded_and_limited(self) -> None:
        one, two, other = (trainset(program(TRAIN), TRAIN, seed, most=9) for seed in (1, 1, 2))
        assert [e.id for e in one] == [e.id for e in two] != [e.id for e in other] and len(one) == 9

    def test_right_for_free_is_right_only_in_proportion(self) -> None:
        rng = random.Random(1)
        examples = [dspy.Example(entities=("x",) if rng.random() < 0.25 else ()) for _ in range(80)]
        right = Right(NER, examples)
        taken = [e for e in examples if right(e, dspy.Prediction(entities=e.entities), ())]
        assert abs(sum(not e.entities for e in taken) / len(taken) - right.share) < 0.1
        wrong = dspy.Prediction(entities=DEV[0].entities)
        assert not any(Right(NER, examples)(dspy.Example(entities=d.entities), wrong, ()) for d in TRAIN[:5])

    def test_an_evaluation_that_cannot_be_paid_is_not_begun(self) -> None:
        lm = scripted(gold)
        with dspy.context(lm=lm, disable_history=True):
            search = Search(program(), DEV, Compilation(lm, Budget(calls=20)))
            from optimizers._dspy.teleprompter import run, valset

            def make(student: NERProgram) -> NERProgram:
                evaluate = dspy.Evaluate(devset=valset(search, 8), metric=Right(NER, ()))
                assert evaluate(student).score == 100
                asked.append(len(lm.meter.backend.requests))
                other = student.deepcopy()
                other.extract.predict.signature = other.extract.predict.signature.with_instructions("Other.")
                evaluate(other)
                raise AssertionError("8 calls are gone, 2 are left")

            asked: list[int] = []
            made = run(search, make)
            assert asked == [8] and score(made, DEV).total.f1 == 1.0 and len(search.contenders) == 1

    def test_threads_that_are_left_ask_for_nothing(self) -> None:
        lm = scripted(gold)
        with dspy.context(lm=lm, disable_history=True):
            watch = Watch(Search(program(), DEV, Compilation(lm)), (), {})
            with watch.watching():
                callbacks = list(dspy.settings.callbacks)
            from ner_programs.lms.metered import BudgetSpent

            with dspy.context(callbacks=callbacks), pytest.raises(BudgetSpent):
                program()(text="Takes aspirin.")
        assert not lm.meter.backend.requests
