"""The meter: what a call is, that none is sent twice, that no budget is overrun, and how failures are retried."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.lm15 import Message, Request, Response, TextPart, Usage
from dspy.utils.exceptions import (
    LMAuthError,
    LMConfigurationError,
    LMInvalidRequestError,
    LMRateLimitError,
    LMServerError,
)

from ner_programs import LMSetupError
from ner_programs.lms.ledger import Ledger, Spent
from ner_programs.lms.metered import Account, Budget, BudgetSpent, Meter, MeteredLM, RunStopped
from ner_programs.lms.price import Price
from ner_programs.lms.store import AnswerStore
from tests import tiny
from tests.loopback import without_waiting
from tests.tiny import Scripted, response, text_of

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the meter would have slept."""
    return without_waiting(monkeypatch)


def lm_of(
    script: Callable[[Request], str] | None = None, *, max_tokens: int | None = None, **options: Any
) -> tuple[MeteredLM, Scripted]:
    backend = Scripted(script)
    account = Account(**{k: options.pop(k) for k in ("store", "ledger") if k in options})
    bound = {} if max_tokens is None else {"max_tokens": max_tokens}
    return MeteredLM(Meter(backend, account=account, **options), **bound), backend


def at_once(work: list[Callable[[], Any]], threads: int = 8) -> list[Any]:
    """Run everything on so many threads; exceptions are returned as results."""

    def safely(job: Callable[[], Any]) -> Any:
        try:
            return job()
        except BaseException as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(safely, work))


class TestCalls:
    def test_equal_requests_under_way_fail_together_and_can_be_asked_again(self, naps: list[float]) -> None:
        failing = True

        def script(request: Request) -> str:
            while failing and waiting() < 7:
                time.sleep(0.001)
            if failing:
                raise LMInvalidRequestError("no", model="m")
            return "now"

        def waiting() -> int:
            """Return how many others wait for the answer that is under way."""
            (flight,) = lm.meter.account.under_way.values()
            return len(flight._condition._waiters)

        lm, backend = lm_of(script)
        said = at_once([lambda: lm("question")] * 8)
        assert [type(e) for e in said] == [LMInvalidRequestError] * 8 and len(backend.requests) == 1
        failing = False
        assert lm("question") == ["now"]
        assert (lm.meter.spent.calls, lm.meter.spent.attempts, lm.meter.spent.failed) == (1, 2, 1)

    def test_asynchronous_calls_go_the_same_way(self) -> None:
        lm, backend = lm_of(lambda request: (time.sleep(0.02), text_of(request))[1])

        async def ask() -> list[Any]:
            return await asyncio.gather(*(lm.acall(f"q{n % 4}") for n in range(16)))

        assert [a[0] for a in asyncio.run(ask())] == [f"q{n % 4}" for n in range(16)]
        assert len(backend.requests) == 4 == lm.meter.spent.calls

    def test_samples_of_one_request_are_distinct_and_repeatable(self) -> None:
        numbers = iter(range(100))
        lm, backend = lm_of(lambda request: f"answer {next(numbers)}")
        drawn = lm("question", n=3, temperature=1.0)
        assert len(set(drawn)) == 3 == len(backend.requests)
        assert lm("question", n=3, temperature=1.0) == drawn
        assert lm("question", temperature=1.0) == drawn[:1]
        assert len(backend.requests) == 3 == lm.meter.spent.calls

    def test_rollouts_are_distinct_calls_and_the_same_one_is_not(self) -> None:
        lm, backend = lm_of()
        for rollout in (None, 1, 2, 1, 2, None):
            lm("question", temperature=1.0, **({} if rollout is None else {"rollout_id": rollout}))
        assert lm.meter.spent.calls == 3 == len(backend.requests)
        copy = lm.copy(rollout_id=3, temperature=1.0)
        copy("question")
        assert copy.meter is lm.meter and lm.meter.spent.calls == 4

    def test_at_temperature_0_a_request_is_sent_once_whatever_sample_is_asked_for(self) -> None:
        """All its samples are the same: DSPy says of rollouts that they have no effect then."""
        lm, backend = lm_of()
        for rollout in (1, 2):
            with pytest.warns(UserWarning, match="no effect") if rollout == 1 else nullcontext():
                lm("question", temperature=0.0, rollout_id=rollout)
        assert lm("question", n=3, temperature=0.0) == ["hello"] * 3
        assert lm.meter.spent.calls == 1 == len(backend.requests)

    def test_the_ledger_says_what_is_another_sample_of_the_same_words(self, tmp_path: Path) -> None:
        """So whoever compares what was sent with what is distinct can account for the difference."""
        ledger = tmp_path / "ledger.jsonl"
        lm = MeteredLM(Meter(Scripted(), account=Account(ledger=Ledger(ledger))))
        for rollout in (None, 7, 7, 8):
            lm("question", temperature=1.0, **({} if rollout is None else {"rollout_id": rollout}))
        lm.meter.account.ledger.close()
        rows = [row for row in map(json.loads, ledger.read_text().splitlines()) if row["event"] == "reserved"]
        assert [row.get("sample") for row in rows] == [None, [7, 0], [8, 0]] and len({row["key"] for row in rows}) == 3

    def test_settings_and_backends_make_requests_distinct(self) -> None:
        lm, backend = lm_of()
        for settings in ({}, {"temperature": 0.0}, {"max_tokens": 5}, {"max_tokens": 6}):
            lm("question", **settings)
        assert len(backend.requests) == 4
        request = backend.requests[0]
        elsewhere = Scripted()
        elsewhere.identity = "http://other-host"
        assert Meter(elsewhere).key(request) != lm.meter.key(request)

    def test_a_copied_program_shares_the_meter(self) -> None:
        import copy

        lm, _ = lm_of()
        assert copy.deepcopy(lm) is lm and copy.deepcopy(lm.meter) is lm.meter

    def test_dspy_counts_usage_once(self) -> None:
        lm, _ = lm_of()
        with dspy.track_usage() as usage:
            lm("question")
        assert usage.get_total_tokens()["scripted/x"]["total_tokens"] == 15
        assert lm.meter.spent.tokens == 15


class TestBudgets:
    def test_a_call_that_is_known_is_free(self) -> None:
        lm, _ = lm_of()
        lm("q1")
        with lm.meter.limited(Budget(calls=1)):
            lm("q1")
            lm("q2")
            lm("q2")
            with pytest.raises(BudgetSpent, match="1 calls"):
                lm("q3")
        lm("q3")

    def test_the_tighter_of_nested_budgets_holds_and_is_lifted(self) -> None:
        lm, backend = lm_of()
        with lm.meter.limited(Budget(calls=3)):
            with lm.meter.limited(Budget(calls=1)):
                lm("q1")
                with pytest.raises(BudgetSpent):
                    lm("q2")
            lm("q2")
            lm("q3")
            with pytest.raises(BudgetSpent):
                lm("q4")
        assert len(backend.requests) == 3

    def test_equal_budgets_are_lifted_one_by_one(self) -> None:
        lm, _ = lm_of()
        with lm.meter.limited(Budget(calls=2)):
            lm("q1")
            with lm.meter.limited(Budget(calls=2)):
                lm("q2")
            with pytest.raises(BudgetSpent):  # the outer one: begun before q1
                lm("q3")

    @pytest.mark.parametrize("budget", [Budget(tokens=15_000), Budget(cost=0.015)])
    @pytest.mark.parametrize("stop", [BudgetSpent, RunStopped])
    def test_the_first_answers_may_be_as_long_as_max_tokens_allows(
        self, budget: Budget, stop: type[BaseException]
    ) -> None:
        """Eight at once, before any answer is seen: nothing but max_tokens says how long they will be."""
        together = threading.Barrier(2)  # hangs if only one request is under way at a time

        def script(request: Request) -> str:
            if backend.requests[2:]:
                together.abort()  # a third request is one too many, and finds no other to wait with
            with suppress(threading.BrokenBarrierError):
                together.wait()
            return "x" * 20_000

        lm, backend = lm_of(script, max_tokens=5000)
        backend.usage = Usage(input_tokens=10, output_tokens=5000, total_tokens=5010)
        with lm.meter.limited(budget, stop):
            said = at_once([lambda n=n: lm(f"q{n}") for n in range(16)])  # type: ignore[misc]
        assert len(backend.requests) == 2 and not together.broken  # a third might have cost too much
        assert lm.meter.spent.tokens == 2 * 5010 and lm.meter.spent.cost == pytest.approx(2 * 0.00501)
        assert [type(s) for s in said].count(stop) == 14

    @pytest.mark.parametrize("budget", [Budget(tokens=10**9), Budget(cost=1e9), Budget(calls=5, tokens=10**9)])
    def test_without_max_tokens_such_a_limit_sends_nothing(self, budget: Budget, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "ledger.jsonl")
        lm, backend = lm_of(ledger=ledger)
        needs = r"a limit in tokens or US dollars needs lm\.max_tokens"
        with lm.meter.limited(budget):
            with pytest.raises(LMConfigurationError, match=needs):
                lm("q")
            with pytest.raises(LMConfigurationError, match=needs):
                asyncio.run(lm.acall("q"))
            assert not backend.requests and lm.meter.spent == Spent()
            assert lm("q", max_tokens=20) == ["hello"]
        assert [event for event, _ in events(tmp_path / "ledger.jsonl")] == ["reserved", "answered"]
        assert lm("other") == ["hello"]  # the limit is lifted
        ledger.close()

    @pytest.mark.parametrize("price", [None, Price(0.0, 0.0)])
    def test_what_costs_nothing_needs_no_max_tokens(self, price: Price | None) -> None:
        lm, backend = lm_of()
        backend.price = price
        with lm.meter.limited(Budget(tokens=10_000)):
            assert lm("q") == ["hello"]

    def test_long_answers_of_a_free_model_are_expected_once_seen(self) -> None:
        """A reasoning model answers with more tokens than its prompt has; only the first such answer can surprise."""
        lm, backend = lm_of()
        backend.price = Price(0.0, 0.0)
        backend.usage = Usage(input_tokens=10, output_tokens=5000, total_tokens=5010)
        with lm.meter.limited(Budget(tokens=17_000)), pytest.raises(BudgetSpent):
            for n in range(10):
                lm(f"q{n}")
        assert lm.meter.spent.tokens == 3 * 5010

    def test_a_provider_that_reports_no_usage_does_not_make_the_budget_endless(self) -> None:
        lm, backend = lm_of(lambda request: "word " * 200, max_tokens=1000)
        backend.usage = Usage()
        with lm.meter.limited(Budget(tokens=5000)), pytest.raises(BudgetSpent):
            for n in range(100):
                lm(f"q{n}")
        assert 0 < len(backend.requests) < 20

    def test_money_cannot_be_limited_where_the_price_is_unknown(self) -> None:
        lm, backend = lm_of()
        backend.price = None
        with pytest.raises(LMSetupError, match=r"lm\.price"), lm.meter.limited(Budget(cost=1.0)):
            pass
        with lm.meter.limited(Budget(calls=1)):
            lm("q1")

    def test_a_letter_of_another_script_is_no_quarter_of_a_token(self) -> None:
        lm, backend = lm_of(max_tokens=20)
        with lm.meter.limited(Budget(tokens=2500)):
            with pytest.raises(BudgetSpent):
                lm("患者" * 1500)  # 9000 bytes, 3000 letters
            assert not backend.requests
            lm("ab" * 1500)

    def test_max_tokens_bounds_the_reservation(self) -> None:
        lm, _ = lm_of()
        with lm.meter.limited(Budget(tokens=100)):
            lm("q", max_tokens=20)
            with pytest.raises(BudgetSpent):
                lm("q", max_tokens=80)


class Ask(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.predict = dspy.Predict("question -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.predict(question=question)


def chatty(request: Request) -> str:
    return "[[ ## answer ## ]]\nfine\n\n[[ ## completed ## ]]"


EXAMPLES = [dspy.Example(question=f"q{n}", answer="fine").with_inputs("question") for n in range(12)]


class TestBudgetsComeThroughDSPy:
    @pytest.mark.parametrize("stop", [BudgetSpent, RunStopped])
    def test_they_are_no_exceptions(self, stop: type[BaseException]) -> None:
        assert not issubclass(stop, Exception)
        assert not issubclass(RunStopped, BudgetSpent)

    @pytest.mark.parametrize("stop", [BudgetSpent, RunStopped])
    @pytest.mark.parametrize("how", ["evaluate", "parallel", "bootstrap", "thread", "asyncify"])
    def test_out_of(self, how: str, stop: type[BaseException]) -> None:
        lm, backend = lm_of(chatty)
        module = Ask()
        with dspy.context(lm=lm), lm.meter.limited(Budget(calls=3), stop), pytest.raises(stop):
            if how == "evaluate":
                dspy.Evaluate(devset=EXAMPLES, metric=lambda *a: 1.0, num_threads=4, display_progress=False)(module)
            elif how == "parallel":
                dspy.Parallel(num_threads=4, disable_progress_bar=True)([(module, e) for e in EXAMPLES])
            elif how == "bootstrap":
                dspy.BootstrapFewShot(metric=lambda *a: True, max_bootstrapped_demos=8).compile(
                    module, trainset=EXAMPLES
                )
            elif how == "thread":
                for e in EXAMPLES:
                    module(question=e.question)
            else:

                async def all_of_them() -> None:
                    for e in EXAMPLES:
                        await dspy.asyncify(module)(question=e.question)

                asyncio.run(all_of_them())
        # DSPy does not wait for threads that are under way: the last request may not have got there yet.
        assert lm.meter.spent.calls == 3 and len(backend.requests) <= 3


class TestRetries:
    def test_waits_as_long_as_the_provider_says(self, naps: list[float]) -> None:
        failures = iter([7.0, 0.0, 500.0])

        def script(request: Request) -> str:
            for asked in failures:
                raise LMRateLimitError("slow down", model="m", retry_after=asked)
            return "fine"

        lm, backend = lm_of(script)
        assert lm("q") == ["fine"]
        assert naps == [8.0, 1.0, 501.0] and len(backend.requests) == 4
        assert (lm.meter.spent.calls, lm.meter.spent.attempts, lm.meter.spent.failed) == (1, 4, 0)

    @pytest.mark.parametrize("retries", [0, 1, 4])
    def test_backs_off_and_gives_up(self, retries: int, naps: list[float]) -> None:
        def script(request: Request) -> str:
            raise LMServerError("boom", model="m", status=503)

        lm, backend = lm_of(script, retries=retries, backoff=0.5)
        with pytest.raises(LMServerError):
            lm("q")
        assert naps == [0.5 * 2**n for n in range(retries)] and len(backend.requests) == retries + 1
        assert lm.meter.spent.failed == 1 and lm.meter.last_failure == "LMServerError 503"

    @pytest.mark.parametrize(
        "error", [LMAuthError("no", model="m"), LMInvalidRequestError("no", model="m"), KeyError("bug")]
    )
    def test_does_not_try_again_what_cannot_succeed(self, error: Exception, naps: list[float]) -> None:
        def script(request: Request) -> str:
            raise error

        lm, backend = lm_of(script)
        with pytest.raises(Exception, match=r"no|bug"):
            lm("q")
        assert not naps and len(backend.requests) == 1 == lm.meter.spent.failed


def events(path: Path) -> list[tuple[str, str]]:
    return [(row["event"], row["key"]) for row in map(json.loads, path.read_text().splitlines())]


class TestLedger:
    def test_is_written_before_a_request_is_sent_and_settled_after(self, tmp_path: Path, naps: list[float]) -> None:
        path, seen = tmp_path / "run" / "ledger.jsonl", []

        def script(request: Request) -> str:
            seen.append([event for event, _ in events(path)])
            if len(seen) == 1:
                raise LMServerError("boom", model="m")
            return "fine"

        ledger = Ledger(path)
        lm, _ = lm_of(script, ledger=ledger)
        lm("q")
        lm("q")
        ledger.close()
        assert seen == [["reserved"], ["reserved", "failed"]]
        assert [event for event, _ in events(path)] == ["reserved", "failed", "answered"]
        assert len({key for _, key in events(path)}) == 1
        assert "fine" not in path.read_text()

    def test_says_what_each_answer_took_and_what_of_its_prompt_was_cached(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path / "ledger.jsonl")
        lm, backend = lm_of(ledger=ledger)
        backend.usage = Usage(input_tokens=10, output_tokens=5, total_tokens=15, cache_read_tokens=7)
        lm("q")
        settled = json.loads((tmp_path / "ledger.jsonl").read_text().splitlines()[-1])
        assert {k: settled[k] for k in ("tokens_in", "tokens_out", "tokens_cached")} == {
            "tokens_in": 10, "tokens_out": 5, "tokens_cached": 7,
        }  # fmt: skip
        backend.usage = None  # a provider that does not say
        lm("another")
        ledger.close()
        assert lm.meter.spent.tokens_cached == 7

    def test_holds_no_text(self, tmp_path: Path) -> None:
        def script(request: Request) -> str:
            raise LMInvalidRequestError("Mr Smith has gout", model="m", status=400)

        ledger = Ledger(tmp_path / "ledger.jsonl")
        lm, _ = lm_of(script, ledger=ledger)
        with pytest.raises(LMInvalidRequestError):
            lm("Mr Smith has gout")
        ledger.close()
        assert "Smith" not in (tmp_path / "ledger.jsonl").read_text()
        assert "Smith" not in lm.meter.last_failure

    def test_a_line_that_was_cut_off_is_taken_away(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger.jsonl"
        path.write_text('{"event": "reserved", "key": "k1"}\n{"event": "reserved", "ke')
        ledger = Ledger(path)
        assert ledger.sent() == {"k1"}
        ledger.write("reserved", "k2")
        ledger.close()
        assert events(path) == [("reserved", "k1"), ("reserved", "k2")]


class TestGoingOn:
    """A run that was killed: a new meter over the same ledger and store."""

    def run(self, folder: Path, limit: Budget, stop_at: int | None = None) -> tuple[list[str], MeteredLM, Scripted]:
        store, ledger = AnswerStore(folder / "answers.db"), Ledger(folder / "ledger.jsonl")
        lm, backend = lm_of(lambda request: "x" * 40, max_tokens=1000, store=store, ledger=ledger)
        backend.usage = Usage(input_tokens=10, output_tokens=5, total_tokens=15, cache_read_tokens=7)
        done = []
        try:
            with lm.meter.limited(limit):
                for n in range(30):
                    if n == stop_at:
                        break
                    lm(f"question {n}")
                    done.append(f"question {n}")
        except BudgetSpent:
            pass
        store.close()
        ledger.close()
        return done, lm, backend

    def test_another_runs_answers_count_as_calls_and_cost_nothing(self, tmp_path: Path) -> None:
        self.run(tmp_path, Budget(), stop_at=5)
        (tmp_path / "ledger.jsonl").rename(tmp_path / "of-another-run.jsonl")
        _, lm, backend = self.run(tmp_path, Budget(calls=8))
        assert (lm.meter.spent.calls, lm.meter.spent.cached, len(backend.requests)) == (8, 5, 3)
        assert (lm.meter.spent.tokens, lm.meter.spent.tokens_cached, lm.meter.spent.kept_cached) == (
            3 * 15, 3 * 7, 5 * 7,
        )  # fmt: skip
        cached = [event for event, _ in events(tmp_path / "ledger.jsonl")].count("cached")
        assert cached == 5


WRITER = """
import os, sys
from pathlib import Path
from ner_programs.lms.store import AnswerStore
from tests.tiny import answer
store = AnswerStore(Path(sys.argv[1]))
for n in range(int(sys.argv[3])):
    store.put(f"{sys.argv[2]}{n}", answer(str(n)))
    store.put(f"both{n}", answer(str(n)))
    print(n, flush=True)
print("done", flush=True)
sys.stdin.read()
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


class TestStore:
    def test_survives_a_kill(self, tmp_path: Path) -> None:
        with writer(tmp_path / "a.db", "x", 10_000) as process:
            assert process.stdout is not None
            told = 0
            while told < 25:
                told = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
        store = AnswerStore(tmp_path / "a.db")
        assert all(store.get(f"x{n}") == tiny.answer(str(n)) for n in range(told + 1))
        store.put("more", tiny.answer("more"))
        store.close()

    def test_is_shared_by_processes_that_open_it_at_the_same_time(self, tmp_path: Path) -> None:
        processes = [writer(tmp_path / "a.db", name, 100) for name in "abc"]
        for process in processes:
            process.communicate("")
        assert [p.returncode for p in processes] == [0, 0, 0]
        store = AnswerStore(tmp_path / "a.db")
        assert len(store) == 400
        store.close()

    def test_only_the_user_can_read_it(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            store = AnswerStore(tmp_path / "corpus" / "answers.db")
            store.put("k", tiny.answer("Mr Smith"))
            files = [*(tmp_path / "corpus").iterdir()]
            assert {f.name for f in files} >= {"answers.db", "answers.db-wal"}
            assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
            assert stat.S_IMODE((tmp_path / "corpus").stat().st_mode) == 0o700
            store.close()
        finally:
            os.umask(before)

    def test_keeps_the_first_answer_and_half_a_surrogate_pair(self, tmp_path: Path) -> None:
        store = AnswerStore(tmp_path / "a.db")
        store.put("k", tiny.answer("\ud83d"))
        store.put("k", tiny.answer("other"))
        assert store.get("k") == tiny.answer("\ud83d") and store.get("unknown") is None
        store.close()

    def test_answers_come_back_as_they_were(self) -> None:
        lm, backend = lm_of(lambda request: "Schön\n\t“quoted”")
        first = lm("q")
        again = MeteredLM(Meter(Scripted(lambda r: "never"), account=Account(store=lm.meter.account.store)))
        assert again("q") == first == ["Schön\n\t“quoted”"]
        assert isinstance(response(backend.requests[0], "x"), Response)
        assert Message.assistant([TextPart("x")]).text == "x"
