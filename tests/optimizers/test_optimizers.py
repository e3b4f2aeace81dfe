"""Optimizers report trials as they happen, keep to their budget, prefer the earlier of equals, change nothing they get."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy._vendor.lm15.serde import request_to_dict
from dspy.lm15 import Request, Response, TokenLogprob, Usage
from dspy.utils.exceptions import LMAuthError

import optimizers
from ner_programs import ComponentError, Document, LMSetupError, NERProgram, load, save
from ner_programs.bundle.state import identity, state_of
from ner_programs.components import names
from ner_programs.errors import BudgetError
from ner_programs.evaluate import calls_for, score
from ner_programs.lms.metered import Budget, Meter, MeteredLM, RunStopped, Sample, sample
from optimizers._program_diff import nested
from optimizers.search import Search
from optimizers.trial import Compilation, Trial
from tests.effort import THOROUGH
from tests.laws import EXTENDING, law
from tests.tiny import DEV, TRAIN, Scripted, documents, gold, program, text_of

EVERY = [n for n in names("optimizers") if n != "calibrate"]  # test_calibration.py: it needs a grammar
AN_OPTIMIZER = f"{EXTENDING}#an-optimizer"
WRITE = ("copro", "gepa", "infer_rules", "mipro", "race", "simba")
OPTIONS: dict[str, dict[str, Any]] = {
    "teleprompter": {
        "of": "dspy.teleprompt.BootstrapFewShotWithRandomSearch",
        "options": {"num_candidate_programs": 2, "max_labeled_demos": 3},
    }
}


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


@cache
def compiled(name: str) -> tuple[Bench, NERProgram, NERProgram]:
    """One compilation by an optimizer, its calls limited and four at once: what was asked, the program given, the one made."""
    bench, given = Bench(helped(), concurrency=4), program()
    return bench, given, bench.compile(asked(name, budget={"calls": 90}), given)


SENTENCE = re.compile(
    r"(?:Trial (?P<trial>\d+) wins|The program that the search began with is kept): "
    r"F1 (?P<f1>\d\.\d{3}) on (?:all )?(?P<documents>\d+)(?: of \d+)? dev documents, [^\n]+\."
)


@pytest.mark.parametrize("name", EVERY)
class TestEvery:
    @law(
        "The program that it is given stays as it is; the one that it returns has the same knowledge base and pool.",
        AN_OPTIMIZER,
    )
    def test_leaves_the_program_it_is_given_alone(self, name: str) -> None:
        _, given, made = compiled(name)
        fresh = program()
        same = (state_of(given), given.spec, given.wants) == (state_of(fresh), fresh.spec, fresh.wants)
        assert same, "the given program was changed: work on program.deepcopy() or program.with_settings(...)"
        assert made is given or name != "none"
        assert made.kb is given.kb and made.pool is given.pool

    @law("It reports every trial as it happens, numbered from 1.", AN_OPTIMIZER)
    def test_reports_trials_as_they_happen(self, name: str) -> None:
        bench, _, _ = compiled(name)
        assert bench.trials, "no trial was reported: search.score(...) scores a program and reports it"
        assert [t.number for t in bench.trials] == list(range(1, len(bench.trials) + 1))
        assert [t.calls for t in bench.trials] == sorted(t.calls for t in bench.trials)
        assert all(len(t.scored.counts) == len(t.scored.predicted) == t.documents for t in bench.trials)

    @law(
        "The program that it returns says in its `why`, in one sentence, why it won: `search.choose()` writes it.",
        AN_OPTIMIZER,
    )
    def test_says_why_in_figures_of_its_trials(self, name: str) -> None:
        bench, _, made = compiled(name)
        said = SENTENCE.fullmatch(made.why)
        if name == "cascade":  # it says what its steps gain
            assert made.why.endswith(".") and not said
            return
        assert said, f"program.why is {made.why!r}"
        own = [t for t in bench.trials if identity(t.program) == identity(made)]
        assert said["trial"] is None or int(said["trial"]) in {t.number for t in own}
        assert (int(said["documents"]), said["f1"]) in {(t.documents, f"{t.scored.total.f1:.3f}") for t in own}

    @law("Its program can be saved, and each demonstration in it names its document and group.", AN_OPTIMIZER)
    def test_makes_a_program_that_is_saved_with_demonstrations_that_know_their_documents(
        self, name: str, tmp_path: Path
    ) -> None:
        made = compiled(name)[2]
        assert state_of(load(save(made, tmp_path / "b"))) == state_of(made)
        assert not any(getattr(m, "_compiled", False) for _, m in made.named_sub_modules())
        assert all(d["document"] and d["group"] for d in made.extract.predict.demos)

    @law("It sends no request twice.", AN_OPTIMIZER)
    def test_sends_a_request_again_only_for_another_sample(self, name: str) -> None:
        bench, _, _ = compiled(name)
        spent, sent = bench.lm.meter.spent, Counter(bench.backend.sent)
        assert set(sent.values()) == {1} and len(sent) == spent.calls == spent.attempts <= 90

    @law(
        "The same seed gives the same program, however many calls run at once; another seed gives another search.",
        AN_OPTIMIZER,
    )
    def test_is_repeatable_however_many_calls_run_at_once_heeds_the_seed_of_the_run_and_prints_nothing(
        self, name: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        first, _, made = compiled(name)
        capfd.readouterr()
        benches = [Bench(helped()) for _ in range(2)]
        same, _ = (b.compile(asked(name, budget={"calls": 90}), seed=s) for b, s in zip(benches, (1, 2), strict=True))
        assert state_of(same) == state_of(made)
        assert [t.scored.counts for t in benches[0].trials] == [t.scored.counts for t in first.trials]
        one, again, other = ([request for request, _ in b.backend.sent] for b in (first, *benches))
        assert Counter(one) == Counter(again), "the same seed asked for other things"
        assert (again != other) is (name != "none"), "another seed asked for the same: hand it on, Search(..., seed)"
        assert tuple(capfd.readouterr()) == ("", ""), "it printed something"

    @law("A verifier keeps its own demonstrations.", AN_OPTIMIZER)
    def test_a_verifier_keeps_its_own_demonstrations(self, name: str) -> None:
        made = Bench(concurrency=4).compile(asked(name, budget={"calls": 60}), program(verify={"name": "llm", "k": 2}))
        state = state_of(made)
        for key in (k for k in state if k.startswith("verify")):
            assert len(state[key]["demos"]) == 2 and all("verdicts" in d for d in state[key]["demos"])
        assert all("mentions" in d for d in state["extract.predict"]["demos"])

    @pytest.mark.parametrize("calls", [6, 25])
    @law("It keeps to its budget in calls, tokens and money.", AN_OPTIMIZER)
    def test_keeps_to_its_budget_of_calls(self, name: str, calls: int) -> None:
        bench = Bench(concurrency=4)
        try:
            made = bench.compile(asked(name, budget={"calls": calls}))
        except BudgetError as error:
            assert f"{calls} calls" in str(error) or "being bootstrapped" in str(error)
        else:
            assert isinstance(made, NERProgram)
            assert bench.trials, f"{calls} calls were allowed, and no trial was reported"
        sent = len(bench.backend.requests)
        assert sent <= calls, f"{calls} calls were allowed, {sent} were made"

    @law("A budget that is too small for one trial is a `BudgetError`.", AN_OPTIMIZER)
    def test_says_when_the_budget_is_too_small(self, name: str) -> None:
        dev = [Document(f"l{n}", "Takes aspirin. Has gout. Feels well.") for n in range(3)]
        with pytest.raises(BudgetError, match=r"2 calls.*(dev|first trial)|bootstrapped"):
            Bench().compile(asked(name, budget={"calls": 2}), program(unit="sentence"), dev=dev)

    @law("It keeps to its budget in calls, tokens and money.", AN_OPTIMIZER)
    def test_a_budget_in_money_and_tokens_holds(self, name: str) -> None:
        """At eight at once, with answers as long as they may be, which no plan expects: simba shows nothing before its end."""
        every: list[dict[str, Any]] = [{"cost": 0.03}, {"tokens": 30_000}]
        for budget in every if THOROUGH else [every[EVERY.index(name) % 2]]:
            bench = Bench(concurrency=8, max_tokens=1000)
            bench.backend.usage = Usage(input_tokens=10, output_tokens=1000, total_tokens=1010)
            with pytest.raises(BudgetError, match="one trial on dev") if name == "simba" else nullcontext():
                bench.compile(asked(name, budget=budget))
            assert bool(bench.trials) is (name != "simba"), f"{budget} was allowed, and no trial was reported"
            assert bench.lm.meter.spent.tokens == 1010 * len(bench.backend.requests) <= 30_000
            assert bench.lm.meter.spent.cost <= 0.03

    def test_a_budget_in_money_or_tokens_needs_max_tokens_where_nothing_bounds_an_answer(self, name: str) -> None:
        for budget in ({"cost": 1000.0}, {"tokens": 10**9}):
            bench = Bench(concurrency=8)
            bench.backend.max_answer = 0
            with pytest.raises(LMSetupError, match=r"needs lm\.max_tokens"):
                bench.compile(asked(name, budget=budget))
            assert not bench.backend.requests

    def test_answers_of_the_stages_are_bounded_and_instructions_are_not(self, name: str) -> None:
        bench = Bench(concurrency=8)
        bench.backend.usage = Usage(input_tokens=10, output_tokens=1000, total_tokens=1010)
        written = name in WRITE
        with pytest.raises(LMSetupError, match=r"needs lm\.max_tokens") if written else nullcontext():
            bench.compile(asked(name, budget={"cost": 1000.0, "calls": 25}))
        assert bool(bench.trials) is bool(bench.backend.requests) is not written
        assert all(1024 < (r.config.max_tokens or 0) < 2048 for r in bench.backend.requests)

    @law("It swallows no error: a wrong key, the end of the whole run, or a report that fails ends it.", AN_OPTIMIZER)
    def test_ends_with_the_run_when_the_run_is_stopped(self, name: str) -> None:
        """The limit of the whole run does not end a search with the best so far: a later run could not go on from there."""
        bench = Bench()
        with bench.lm.meter.limited(Budget(calls=8), RunStopped), pytest.raises(RunStopped):
            bench.compile(asked(name), dev=documents(9, "d"))
        assert len(bench.backend.requests) == 8

    @law("It swallows no error: a wrong key, the end of the whole run, or a report that fails ends it.", AN_OPTIMIZER)
    def test_a_wrong_key_ends_it(self, name: str) -> None:
        def script(request: Request) -> str:
            raise LMAuthError("no", model="m", status=401)

        bench = Bench(script, concurrency=4)
        with pytest.raises(LMSetupError, match="HTTP 401"):
            bench.compile(asked(name))
        assert len(bench.backend.requests) <= len(TRAIN)

    @law("It swallows no error: a wrong key, the end of the whole run, or a report that fails ends it.", AN_OPTIMIZER)
    def test_an_error_in_a_report_is_not_swallowed(self, name: str) -> None:
        def broken(trial: Trial) -> None:
            raise OSError("disk full")

        bench = Bench(helped())
        bench.on_trial = broken  # type: ignore[method-assign]
        with pytest.raises(OSError, match="disk full"):
            bench.compile(asked(name, budget={"calls": 90}))

    def test_needs_a_metered_lm(self, name: str) -> None:
        with dspy.context(lm=None), pytest.raises(BudgetError, match="open_lm"):
            optimizers.compile(program(), asked(name), train=TRAIN, dev=DEV)


class TestOptions:
    @pytest.mark.parametrize("name", ["labeled", "bootstrap", "random_search"])
    def test_a_seed_of_its_own_goes_first(self, name: str) -> None:
        one, two = (Bench(learns(1)).compile({"name": name, "k": 3, "seed": 5}, seed=s) for s in (1, 2))
        assert state_of(one) == state_of(two)

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
    def test_hold_what_they_say(self) -> None:
        bench = Bench(lambda request: gold(request, lambda text: "day" in text))
        bench.compile({"name": "random_search", "candidates": 3, "k": 2})
        for trial in bench.trials:
            with dspy.context(lm=bench.lm):
                assert score(trial.program, DEV).counts == trial.scored.counts
            assert trial.documents == len(DEV) and 0 < trial.scored.total.f1 < 1

    def test_are_ranked_by_corpus_micro_f1(self) -> None:
        """One document of many mentions outweighs three of none: the mean over documents would choose otherwise."""
        many = Document("m", "aspirin fever codeine gout asthma", documents(1, "x")[0].entities[:0])
        from ner_programs.types import Entity

        spots = [
            ("aspirin", "drug"), ("fever", "problem"), ("codeine", "drug"), ("gout", "problem"), ("asthma", "problem"),
        ]  # fmt: skip
        many = Document("m", many.text, tuple(Entity.of(many.text, many.text.index(w), many.text.index(w) + len(w), label)
                                              for w, label in spots))  # fmt: skip
        empty = [Document(f"e{n}", f"Nothing {n} of fever here.") for n in range(3)]

        def script(request: Request) -> str:
            if shots(request):  # finds everything, and too much in the empty ones
                return gold(request)
            return "[]"

        lm = MeteredLM(Meter(Scripted(script)), concurrency=1)
        with dspy.context(lm=lm):
            plain, shown = program(), program(demos={"name": "random", "k": 1})
            search = Search(plain, [many, *empty], Compilation(lm))
            search.score(plain, {}, search.order)
            search.score(shown, {"demos.k": 1}, search.order)
            assert [c.number for c in search.best()] == [2, 1] and search.choose() is shown


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
        assert scored.predicted == tuple(d.entities for d in docs)

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


class TestRandomSearch:
    def test_searches_over_settings(self) -> None:
        bench = Bench(learns(5))
        options = {
            "name": "random_search", "candidates": 6, "search": {"demos.k": [1, 2, 5], "format.name": ["json_list"]},
        }  # fmt: skip
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

    def test_without_anything_to_vary_there_is_one_candidate(self) -> None:
        bench = Bench()
        bench.compile({"name": "random_search"}, program(train=()), train=())
        assert len(bench.trials) == 1

    def test_nested(self) -> None:
        assert nested({"demos.k": 3, "demos.name": "random", "unit": "sentence"}) == {
            "demos": {"k": 3, "name": "random"}, "unit": "sentence",
        }  # fmt: skip
