"""Optimizers report trials as they happen, keep to their budget, prefer the earlier of equals, change nothing they get."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import dspy
import pytest
from dspy._vendor.lm15.serde import request_to_dict
from dspy.lm15 import Request, Response, TokenLogprob, Usage

import optimizers
from ner_programs import ComponentError, Document, LMSetupError, NERProgram
from ner_programs.bundle.folder import state_of
from ner_programs.components import names
from ner_programs.errors import BudgetError
from ner_programs.evaluate import calls_for, score
from ner_programs.lms import open_lm
from ner_programs.lms.metered import Budget, BudgetSpent, Meter, MeteredLM, RunStopped, Sample, sample
from optimizers._program_diff import nested
from optimizers.search import Search
from optimizers.trial import Trial
from tests.tiny import DEV, TRAIN, Scripted, documents, gold, program, text_of

EVERY = [n for n in names("optimizers") if n != "calibrate"]  # test_calibration.py: it needs a grammar
WRITE = ("copro", "gepa", "infer_rules", "mipro", "race", "simba")
OPTIONS: dict[str, dict[str, Any]] = {"teleprompter": {"of": "dspy.teleprompt.BootstrapFewShot"}}


def asked(name: str, **options: Any) -> dict[str, Any]:
    """Return the table of a spec that asks for an optimizer, with what it cannot do without."""
    return {"name": name, **OPTIONS.get(name, {}), **options}


class Sure(Scripted):
    """A backend that also says how sure it is of every token."""

    logprobs = True
    max_answer = 1 << 30

    def __init__(self, script: Callable[[Request], str]) -> None:
        super().__init__(script)
        self.sent: list[tuple[str, Sample]] = []

    def complete(self, request: Request) -> Response:
        self.sent.append((json.dumps(request_to_dict(request), sort_keys=True), sample.get()))
        said = super().complete(request)
        return replace(said, logprobs=(TokenLogprob(said.message.text or "", -0.1),))


class Bench:
    """Compiles under a scripted model; keeps what was asked and which trials were reported after how many requests."""

    def __init__(self, script: Callable[[Request], str] = gold, concurrency: int = 1, **generation: Any) -> None:
        self.backend = Sure(script)
        self.lm = MeteredLM(Meter(self.backend), concurrency=concurrency, **generation)
        self.trials: list[Trial] = []
        self.at: list[int] = []

    def on_trial(self, trial: Trial) -> None:
        self.trials.append(trial)
        self.at.append(len(self.backend.requests))

    def compile(
        self, options: dict[str, Any], given: NERProgram | None = None, train: Sequence[Document] = TRAIN,
        dev: Sequence[Document] = DEV, **more: Any,
    ) -> NERProgram:  # fmt: skip
        with dspy.context(lm=self.lm, disable_history=True):
            return optimizers.compile(given or program(), options, train=train, dev=dev, on_trial=self.on_trial, **more)


def shots(request: Request) -> int:
    """Return how many demonstrations a prompt shows."""
    return len(request.messages) // 2


def learns(needed: int) -> Callable[[Request], str]:
    """A model that answers only when it is shown so many demonstrations."""
    return lambda request: gold(request) if shots(request) >= needed else "[]"


def helped(script: Callable[[Request], str] = gold) -> Callable[[Request], str]:
    """A model that finds nothing in dev texts without demonstrations: so that a program with some is the better one."""
    dev = {d.text for d in DEV}
    return lambda request: (
        script(request) if shots(request) or text_of(request).rpartition("### text\n")[2] not in dev else "[]"
    )


class TestEvery:
    @pytest.mark.parametrize("name", EVERY)
    def test_leaves_the_program_it_is_given_alone(self, name: str) -> None:
        given = program()
        before = (state_of(given), given.spec, dict(given.wants))
        made = Bench().compile(asked(name), given)
        assert (state_of(given), given.spec, dict(given.wants)) == before
        assert made is given or name != "none"
        assert made.kb is given.kb and made.pool is given.pool

    @pytest.mark.parametrize("name", EVERY)
    def test_keeps_to_its_budget_of_calls(self, name: str) -> None:
        for calls in (6, 11, 25):
            bench = Bench(concurrency=4)
            try:
                made = bench.compile(asked(name, budget={"calls": calls}))
            except BudgetError as error:
                assert f"{calls} calls" in str(error) or "being bootstrapped" in str(error)
            else:
                assert bench.trials and isinstance(made, NERProgram)
            assert len(bench.backend.requests) <= calls

    @pytest.mark.parametrize("name", EVERY)
    def test_says_when_the_budget_is_too_small(self, name: str) -> None:
        dev = [Document(f"l{n}", "Takes aspirin. Has gout. Feels well.") for n in range(3)]
        with pytest.raises(BudgetError, match=r"2 calls.*(dev|first trial)|bootstrapped"):
            Bench().compile(asked(name, budget={"calls": 2}), program(unit="sentence"), dev=dev)

    @pytest.mark.parametrize("name", EVERY)
    def test_a_budget_in_money_and_tokens_holds(self, name: str) -> None:
        """At eight at once, with answers as long as they may be, which no plan expects: simba shows nothing before its end."""
        for budget in ({"cost": 0.03}, {"tokens": 30_000}):
            bench = Bench(concurrency=8, max_tokens=1000)
            bench.backend.usage = Usage(input_tokens=10, output_tokens=1000, total_tokens=1010)
            with pytest.raises(BudgetError, match="one trial on dev") if name == "simba" else nullcontext():
                bench.compile(asked(name, budget=budget))
            assert bool(bench.trials) is (name != "simba")
            assert bench.lm.meter.spent.tokens == 1010 * len(bench.backend.requests) <= 30_000
            assert bench.lm.meter.spent.cost <= 0.03

    @pytest.mark.parametrize("name", EVERY)
    def test_a_budget_in_money_or_tokens_needs_max_tokens_where_nothing_bounds_an_answer(self, name: str) -> None:
        for budget in ({"cost": 1000.0}, {"tokens": 10**9}):
            bench = Bench(concurrency=8)
            bench.backend.max_answer = 0
            with pytest.raises(LMSetupError, match=r"needs lm\.max_tokens"):
                bench.compile(asked(name, budget=budget))
            assert not bench.backend.requests

    @pytest.mark.parametrize("name", EVERY)
    def test_answers_of_the_stages_are_bounded_and_instructions_are_not(self, name: str) -> None:
        bench = Bench(concurrency=8)
        bench.backend.usage = Usage(input_tokens=10, output_tokens=1000, total_tokens=1010)
        written = name in WRITE
        with pytest.raises(LMSetupError, match=r"needs lm\.max_tokens") if written else nullcontext():
            bench.compile(asked(name, budget={"cost": 1000.0, "calls": 25}))
        assert bool(bench.trials) is bool(bench.backend.requests) is not written
        assert all(1024 < (r.config.max_tokens or 0) < 2048 for r in bench.backend.requests)

    @pytest.mark.parametrize("name", EVERY)
    def test_ends_with_the_run_when_the_run_is_stopped(self, name: str) -> None:
        """The limit of the whole run does not end a search with the best so far: a later run could not go on from there."""
        bench = Bench()
        with bench.lm.meter.limited(Budget(calls=8), RunStopped), pytest.raises(RunStopped):
            bench.compile(asked(name), dev=documents(9, "d"))
        assert len(bench.backend.requests) == 8

    @pytest.mark.parametrize("name", EVERY)
    def test_is_repeatable_however_many_calls_run_at_once_and_heeds_the_seed_of_the_run(self, name: str) -> None:
        benches = [Bench(learns(1), concurrency) for concurrency in (1, 4, 1)]
        states = [state_of(b.compile(asked(name), seed=s)) for b, s in zip(benches, (1, 1, 2), strict=True)]
        one, same, other = ([request for request, _ in b.backend.sent] for b in benches)
        assert (states[0], Counter(one)) == (states[1], Counter(same))
        assert (one != other) is (name != "none")

    @pytest.mark.parametrize("name", ["labeled", "bootstrap", "random_search"])
    def test_its_own_seed_goes_first(self, name: str) -> None:
        one, two = (Bench(learns(1)).compile({"name": name, "k": 3, "seed": 5}, seed=s) for s in (1, 2))
        assert state_of(one) == state_of(two)

    @pytest.mark.parametrize("name", EVERY)
    def test_sends_a_request_again_only_for_another_sample(self, name: str) -> None:
        bench = Bench(helped(), concurrency=4)
        bench.compile(asked(name, budget={"calls": 90}))
        spent, sent = bench.lm.meter.spent, Counter(bench.backend.sent)
        assert set(sent.values()) == {1} and len(sent) == spent.calls == spent.attempts

    @pytest.mark.parametrize("name", EVERY)
    def test_needs_a_metered_lm(self, name: str) -> None:
        with dspy.context(lm=None), pytest.raises(BudgetError, match="open_lm"):
            optimizers.compile(program(), asked(name), train=TRAIN, dev=DEV)

    @pytest.mark.parametrize(
        ("budget", "said"),
        [
            ({"call": 5}, r"optimizer\.budget\.call: .*calls, tokens, cost"),
            ({"calls": "many"}, r"optimizer\.budget\.calls: a number above 0, not 'many'"),
            ({"calls": 0}, "above 0"), ({"calls": -1}, "above 0"), ({"calls": 2.5}, "above 0"), ({"tokens": True}, "above 0"),
            (5, "is a table"),
        ],
    )  # fmt: skip
    def test_a_budget_that_is_none_is_refused(self, budget: Any, said: str) -> None:
        bench = Bench()
        with pytest.raises(BudgetError, match=said):
            bench.compile({"name": "none", "budget": budget})
        assert not bench.backend.requests

    @pytest.mark.parametrize(
        "options", [{"name": "nosuch"}, {"name": "labeled", "kk": 3}, {"name": "labeled", "k": "x"}, {}]
    )
    def test_a_wrong_option_is_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ComponentError):
            Bench().compile(options)


class TestTrials:
    def test_are_reported_as_they_happen(self) -> None:
        bench = Bench()
        bench.compile({"name": "random_search", "candidates": 4, "k": 2})
        assert [t.number for t in bench.trials] == [1, 2, 3, 4]
        assert bench.at == [t.calls for t in bench.trials] and bench.at[0] == len(DEV)
        assert bench.at == sorted(set(bench.at))

    def test_hold_what_they_say(self) -> None:
        bench = Bench(lambda request: gold(request, lambda text: "day" in text))
        bench.compile({"name": "random_search", "candidates": 3, "k": 2})
        for trial in bench.trials:
            with dspy.context(lm=bench.lm):
                assert score(trial.program, DEV).counts == trial.scored.counts
            assert trial.documents == len(DEV) and 0 < trial.scored.total.f1 < 1

    def test_of_equal_ones_the_earlier_is_taken(self) -> None:
        bench = Bench()
        given = program()
        made = bench.compile({"name": "random_search", "candidates": 4, "k": 2}, given)
        assert {t.scored.total.f1 for t in bench.trials} == {1.0}
        assert state_of(made) == state_of(given)

    def test_are_ranked_by_corpus_micro_f1(self) -> None:
        """One document of many mentions outweighs three of none: the mean over documents would choose otherwise."""
        many = Document("m", "aspirin fever codeine gout asthma", documents(1, "x")[0].entities[:0])
        from ner_programs.types import Entity

        spots = [
            ("aspirin", "drug"),
            ("fever", "problem"),
            ("codeine", "drug"),
            ("gout", "problem"),
            ("asthma", "problem"),
        ]
        many = Document("m", many.text, tuple(Entity.of(many.text, many.text.index(w), many.text.index(w) + len(w), label)
                                              for w, label in spots))  # fmt: skip
        empty = [Document(f"e{n}", f"Nothing {n} of fever here.") for n in range(3)]

        def script(request: Request) -> str:
            if shots(request):  # finds everything, and too much in the empty ones
                return gold(request)
            return "[]"

        with dspy.context(lm=MeteredLM(Meter(Scripted(script)), concurrency=1)):
            plain, shown = program(), program(demos={"name": "random", "k": 1})
            search = Search(plain, [many, *empty], Budget(), lambda trial: None)
            search.score(plain, {}, search.order)
            search.score(shown, {"demos.k": 1}, search.order)
            assert [c.number for c in search.best()] == [2, 1] and search.choose() is shown

    def test_an_unfinished_one_is_dropped_and_the_best_finished_one_returned(self) -> None:
        bench = Bench(learns(2))
        made = bench.compile({"name": "random_search", "candidates": 8, "k": 2, "budget": {"calls": 45}})
        assert len(bench.backend.requests) <= 45
        best = max(bench.trials, key=lambda t: (t.scored.total.f1, -t.number))
        assert best.scored.total.f1 == 1.0 and len(state_of(made)["extract.predict"]["demos"]) == 2

    def test_an_error_in_a_report_is_not_swallowed(self) -> None:
        def broken(trial: Trial) -> None:
            raise OSError("disk full")

        with dspy.context(lm=Bench().lm), pytest.raises(OSError, match="disk full"):
            optimizers.compile(program(), {"name": "none"}, train=TRAIN, dev=DEV, on_trial=broken)


class TestScore:
    def test_runs_as_many_at_a_time_as_the_lm_says_and_keeps_the_order(self) -> None:
        import threading

        lock, now, most, together = (
            threading.Lock(),
            [0],
            [0],
            threading.Barrier(6),
        )  # hangs where fewer are asked at once

        def script(request: Request) -> str:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            together.wait()
            with lock:
                now[0] -= 1
            return gold(request)

        docs, ticks = documents(24, "s"), []
        with dspy.context(lm=MeteredLM(Meter(Scripted(script)), concurrency=6)):
            scored = score(program(), docs, lambda: ticks.append(1))
        assert most[0] == 6 and len(ticks) == 24
        assert scored.entities == tuple(d.entities for d in docs)

    def test_a_spent_budget_stops_what_has_not_begun(self) -> None:
        bench = Bench(concurrency=4)
        with dspy.context(lm=bench.lm), bench.lm.meter.limited(Budget(calls=5)), pytest.raises(BudgetSpent):
            score(program(), documents(40, "s"))
        assert len(bench.backend.requests) == 5

    def test_a_document_and_its_kin_are_no_demonstrations_for_it(self) -> None:
        """Two notes of two sentences for each patient: all four stay out of the prompts for any of them."""
        singles = documents(16, "k")
        notes = [
            Document(f"n{n}", f"{one.text} {two.text}", group=f"patient{n // 2}")
            for n, (one, two) in enumerate(zip(singles[::2], singles[1::2], strict=True))
        ]
        bench = Bench()
        with dspy.context(lm=bench.lm):
            score(program(notes, unit="sentence", demos={"name": "random", "k": 50}), notes)
        patient_of = {piece.text: n // 4 for n, piece in enumerate(singles)}
        assert len(bench.backend.requests) == 16
        for request in bench.backend.requests:
            asked = text_of(request).rpartition("### text\n")[2]
            shown = "\n".join(m.text or "" for m in request.messages[:-1])
            assert shots(request) == 12
            assert not any(piece in shown for piece, patient in patient_of.items() if patient == patient_of[asked])

    def test_calls_for_is_a_bound(self) -> None:
        for settings in (
            {},
            {"verify": {"name": "llm"}},
            {"unit": "sentence"},
            {"verify": {"name": "llm", "mode": "reject"}},
        ):
            bench = Bench()
            made = program(**settings)
            with dspy.context(lm=bench.lm):
                score(made, DEV)
            assert len(DEV) <= len(bench.backend.requests) <= calls_for(made, DEV)


class TestLabeled:
    def test_shows_k_demonstrations_from_train(self) -> None:
        bench = Bench(helped())
        made = bench.compile({"name": "labeled", "k": 4})
        demos = state_of(made)["extract.predict"]["demos"]
        assert len(demos) == 4 == len({d["text"] for d in demos}) and {d["text"] for d in demos} <= {
            d.text for d in TRAIN
        }
        assert [shots(r) for r in bench.backend.requests] == [4] * len(DEV) + [0] * len(DEV)
        assert [t.changes for t in bench.trials] == [{"labeled": 4, "seed": 1, "demonstrations": 4}, {}]

    def test_leaves_the_verifiers_demonstrations_to_the_verifier(self) -> None:
        made = Bench().compile({"name": "labeled", "k": 4}, program(verify={"name": "llm", "k": 3}))
        state = state_of(made)
        assert all("verdicts" in d for d in state["verify.verifier.predict"]["demos"])
        assert all("mentions" in d for d in state["extract.predict"]["demos"])


class TestBootstrap:
    def test_shows_only_what_was_right(self) -> None:
        bench = Bench(helped(lambda request: gold(request, lambda text: "Takes" in text)))
        made = bench.compile({"name": "bootstrap", "k": 4, "bootstrapped": 4}, seed=3)
        demos = state_of(made)["extract.predict"]["demos"]
        tried = {text_of(r).rpartition("### text\n")[2] for r in bench.backend.requests[: bench.at[0] - len(DEV)]}
        own = [d for d in demos if d["text"] in tried]
        assert own and not any("Takes" in d["text"] for d in own) and any("Takes" in t for t in tried)
        gold_of = {d.text: sorted(e.text for e in d.entities) for d in TRAIN}
        assert all(sorted(m["text"] for m in d["mentions"]) == gold_of[d["text"]] for d in demos)
        assert len(demos) == 4 and not set(demos[0]) & {"entities", "exclude", "augmented"}

    def test_nothing_right_leaves_labelled_ones(self) -> None:
        made = Bench(learns(1)).compile({"name": "bootstrap", "k": 3, "bootstrapped": 2})
        assert len(state_of(made)["extract.predict"]["demos"]) == 3

    def test_a_failed_call_is_not_right(self) -> None:
        from dspy.utils.exceptions import LMInvalidRequestError

        def script(request: Request) -> str:
            if any(text_of(request).endswith(d.text) for d in TRAIN):
                raise LMInvalidRequestError("filtered", model="m")
            return gold(request)

        made = Bench(helped(script)).compile({"name": "bootstrap", "k": 2, "bootstrapped": 2})
        assert len(made.extract.predict.demos) == 2 and not any(d.get("augmented") for d in made.extract.predict.demos)
        right = Bench(helped()).compile({"name": "bootstrap", "k": 2, "bootstrapped": 2})
        assert all(d.get("augmented") for d in right.extract.predict.demos)  # DSPy's mark of an own answer

    def test_with_the_stand_in(self) -> None:
        trials: list[Trial] = []
        with dspy.context(lm=open_lm()):
            given = program(demos={"name": "tfidf", "k": 6})
            optimizers.compile(given, {"name": "bootstrap", "k": 2}, train=TRAIN, dev=DEV, on_trial=trials.append)
        assert trials[0].scored.total.f1 > 0.5


class TestRandomSearch:
    def test_searches_over_settings(self) -> None:
        bench = Bench(learns(5))
        options = {
            "name": "random_search",
            "candidates": 6,
            "search": {"demos.k": [1, 2, 5], "format.name": ["json_list"]},
        }
        made = bench.compile(options, program(demos={"name": "random", "k": 3}))
        assert made.spec.demos == {"name": "random", "k": 5}
        assert sorted(t.changes.get("demos.k", 0) for t in bench.trials) == [0, 1, 2, 5]
        assert not any("demonstrations" in t.changes for t in bench.trials)

    def test_every_setting_is_tried_with_labelled_and_with_own_demonstrations(self) -> None:
        bench = Bench()
        bench.compile(
            {"name": "random_search", "candidates": 5, "search": {"unit": ["document", "sentence"]}}, program()
        )
        tried = {
            (t.changes["unit"], t.changes["demonstrations"]) for t in bench.trials if "demonstrations" in t.changes
        }
        assert len(tried) == 4

    def test_a_setting_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(ComponentError, match="kk"):
            Bench().compile({"name": "random_search", "search": {"demos.kk": [1]}}, program(demos={"name": "random"}))

    def test_needs_dev(self) -> None:
        with pytest.raises(BudgetError, match="dev documents"):
            Bench().compile({"name": "random_search"}, dev=())

    def test_without_anything_to_vary_there_is_one_candidate(self) -> None:
        bench = Bench()
        bench.compile({"name": "random_search"}, program(train=()), train=())
        assert len(bench.trials) == 1

    def test_a_small_budget_scores_on_a_sample_and_decides_on_the_whole(self) -> None:
        dev = documents(20, "v")
        bench = Bench(learns(2))
        options = {"name": "random_search", "candidates": 4, "search": {"demos.k": [1, 2, 3]}, "budget": {"calls": 64}}
        made = bench.compile(options, program(demos={"name": "random", "k": 1}), dev=dev)
        first = [t for t in bench.trials if "final" not in t.changes]
        final = [t for t in bench.trials if "final" in t.changes]
        assert {t.documents for t in first} == {8} and {t.documents for t in final} == {20} and len(final) >= 2
        assert [t.number for t in bench.trials] == list(range(1, len(bench.trials) + 1))
        assert len(bench.backend.requests) <= 64
        assert made.spec.demos is not None and made.spec.demos["k"] in (2, 3)
        assert {t.changes["final"] for t in final} <= {t.number for t in first}

    def test_nested(self) -> None:
        assert nested({"demos.k": 3, "demos.name": "random", "unit": "sentence"}) == {
            "demos": {"k": 3, "name": "random"}, "unit": "sentence",
        }  # fmt: skip
