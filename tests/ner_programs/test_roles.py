"""Several LMs on one account: a budget holds over all of them, whoever is asked, however often it fails."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.lm15 import Request, Response, Usage
from dspy.utils.exceptions import LMInvalidRequestError, LMRateLimitError

from ner_programs import LMSetupError, open_lm
from ner_programs.lms import default_lm
from ner_programs.lms.ledger import Ledger
from ner_programs.lms.metered import Account, Budget, BudgetSpent, Meter, MeteredLM, RunStopped
from ner_programs.lms.price import Price
from ner_programs.lms.store import AnswerStore
from tests.effort import often
from tests.tiny import Scripted, response, text_of

PRICES = {"lm": Price(1.0, 1.0), "prompt": Price(20.0, 60.0), "strong": Price(10.0, 30.0)}
TOKENS = {"lm": (50, 20), "prompt": (40, 100), "strong": (60, 30)}
NAMES = tuple(PRICES)


@pytest.fixture(autouse=True)
def _no_dspy_cache() -> Iterator[None]:
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    yield


class Flaky:
    """A backend that now and then fails, and sometimes for good; it keeps its own books of what it was sent and answered."""

    supports_schema, identity, logprobs, local, writes = False, "", False, True, True

    def __init__(self, name: str, seed: int, failing: float = 0.3) -> None:
        self.name, self.model, self.price = name, f"flaky/{name}", PRICES[name]
        self.sent: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self._random, self._failing, self._lock = random.Random(f"{name} {seed}"), failing, threading.Lock()

    def complete(self, request: Request) -> Response:
        text = text_of(request).split()[0]
        with self._lock:
            self.sent[text] += 1
            luck = self._random.random()
        if luck < self._failing / 6:
            raise LMInvalidRequestError("no", model=self.model)
        if luck < self._failing:
            raise LMRateLimitError("later", model=self.model)
        with self._lock:
            self.answered[text] += 1
        tokens_in, tokens_out = TOKENS[self.name]
        return response(request, f"{self.name}: {text}", Usage(input_tokens=tokens_in, output_tokens=tokens_out))

    @property
    def tokens(self) -> int:
        return sum(TOKENS[self.name]) * self.answered.total()

    @property
    def cost(self) -> float:
        return self.price.cost(*TOKENS[self.name]) * self.answered.total()


class Bench:
    """A task LM and two roles, flaky all three, on one account."""

    def __init__(self, seed: int = 0, failing: float = 0.3, folder: Path | None = None) -> None:
        self.store = AnswerStore(folder and folder / "answers.db")
        self.ledger = Ledger(folder and folder / "ledger.jsonl")
        account, roles = Account(store=self.store, ledger=self.ledger), dict[str, MeteredLM]()
        self.backends = {name: Flaky(name, seed, failing) for name in NAMES}
        made = {
            name: MeteredLM(
                Meter(backend, account=account, retries=2, backoff=0.0, table="lm" if name == "lm" else f"lm.{name}"),
                roles=roles, max_tokens=100,
            )
            for name, backend in self.backends.items()
        }  # fmt: skip
        roles |= {name: lm for name, lm in made.items() if name != "lm"}
        self.lm, self.spent = made["lm"], account.spent

    def ask(self, name: str, text: str) -> Any:
        return (self.lm if name == "lm" else self.lm.role(name))(f"{text} " + "word " * 40)  # some 60 tokens

    def close(self) -> None:
        self.store.close()
        self.ledger.close()

    @property
    def distinct(self) -> int:
        """Distinct requests that any backend has seen."""
        return sum(len(b.sent) for b in self.backends.values())


def asked(seed: int, of_each: int = 25) -> list[tuple[str, str]]:
    """Requests to all three in any order, each of them three times."""
    questions = [(name, f"q{n}") for name in NAMES for n in range(of_each)] * 3
    random.Random(seed).shuffle(questions)
    return questions


def at_once(work: list[Callable[[], Any]], threads: int = 8) -> list[Any]:
    def safely(job: Callable[[], Any]) -> Any:
        try:
            return job()
        except (Exception, BudgetSpent, RunStopped) as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(safely, work))


class TestRoles:
    def test_a_role_is_its_own_lm_or_the_lm_itself(self) -> None:
        bench = Bench(failing=0.0)
        assert bench.ask("strong", "q") == ["strong: q"] and bench.ask("lm", "q") == ["lm: q"]
        assert bench.lm.has_role("strong") and bench.lm.role("strong").role("prompt") is bench.lm.role("prompt")
        assert bench.lm.copy(temperature=1.0).role("strong") is bench.lm.role("strong")
        assert deepcopy(bench.lm).role("strong") is bench.lm.role("strong")
        alone = MeteredLM(Meter(Scripted()))
        assert alone.role("prompt") is alone.role("strong") is alone and not alone.has_role("prompt")
        with pytest.raises(ValueError, match=r"'strongest' is no role of an LM; there are: prompt, strong"):
            alone.role("strongest")

    def test_calls_are_counted_together_and_by_role(self) -> None:
        bench = Bench(failing=0.0)
        for name, text in (("lm", "a"), ("lm", "b"), ("prompt", "a"), ("strong", "a"), ("strong", "a")):
            bench.ask(name, text)
        said = bench.lm.spent()
        assert (said["calls"], said["calls_prompt"], said["calls_strong"]) == (4, 1, 1)
        assert bench.lm.role("prompt").spent()["calls"] == 4
        assert "calls_strong" not in MeteredLM(Meter(Scripted())).spent()

    def test_an_equal_request_to_a_role_of_the_same_model_is_one_call(self) -> None:
        backend, account = Scripted(), Account()
        lm = MeteredLM(Meter(backend, account=account), roles={"strong": MeteredLM(Meter(backend, account=account))})
        at_once([lambda: lm("q"), lambda: lm.role("strong")("q")] * 4)
        assert len(backend.requests) == 1 == lm.meter.spent.calls

    def test_a_library_user_names_them(self, tmp_path: Path) -> None:
        lm = open_lm("openai/a", strong="openai/b", prompt={"model": "crf", "temperature": 1.0})
        assert lm.role("strong").model == "openai/b" and lm.role("prompt").kwargs["temperature"] == 1.0
        assert lm.role("strong").meter.account is lm.role("prompt").meter.account is lm.meter.account
        assert not open_lm("openai/a").has_role("strong")

    def test_a_program_that_wants_a_strong_lm_says_so(self) -> None:
        own = {"model": "crf"}
        assert not default_lm(own | {"strong": own}).has_role("strong")
        with pytest.raises(LMSetupError, match=r'crf and openai/b; .*open_lm\("crf", strong="openai/b"\)'):
            default_lm(own | {"strong": {"model": "openai/b"}})


class TestOneBudget:
    @pytest.mark.parametrize("limit", [1, 7, 40])
    @pytest.mark.parametrize("seed", range(often(2, 20)))
    def test_of_calls_on_eight_threads_with_failures(self, limit: int, seed: int) -> None:
        bench = Bench(seed)
        with bench.lm.meter.limited(Budget(calls=limit)):
            said = at_once([lambda q=q: bench.ask(*q) for q in asked(seed)])  # type: ignore[misc]
        assert bench.distinct == limit == bench.spent.calls
        assert any(isinstance(s, BudgetSpent) for s in said)
        books = [b.sent.total() for b in bench.backends.values()]
        assert sum(books) == bench.spent.attempts
        assert all(count == 1 for b in bench.backends.values() for count in b.answered.values()), "never answered twice"
        by_role = [lm.meter.tariff.calls for lm in (bench.lm, *bench.lm.roles.values())]
        assert sum(by_role) == limit and by_role == [len(bench.backends[n].sent) for n in NAMES]

    @pytest.mark.parametrize("budget", [Budget(tokens=4_000), Budget(cost=0.05), Budget(tokens=4_000, cost=0.02)])
    @pytest.mark.parametrize("seed", range(often(2, 20)))
    def test_of_tokens_and_money(self, budget: Budget, seed: int) -> None:
        bench = Bench(seed)
        with bench.lm.meter.limited(budget):
            said = at_once([lambda q=q: bench.ask(*q) for q in asked(seed)])  # type: ignore[misc]
        tokens = sum(b.tokens for b in bench.backends.values())
        cost = sum(b.cost for b in bench.backends.values())
        assert tokens == bench.spent.tokens <= (budget.tokens or 10**9)
        assert cost == pytest.approx(bench.spent.cost) and cost <= (budget.cost or 10**9)
        assert any(isinstance(s, BudgetSpent) for s in said) and bench.spent.calls > 5

    def test_the_one_for_a_run_stops_a_role_as_well(self) -> None:
        bench = Bench(failing=0.0)
        with bench.lm.meter.limited(Budget(cost=0.001), RunStopped), pytest.raises(RunStopped):
            bench.ask("prompt", "q")
        with bench.lm.role("strong").meter.limited(Budget(calls=1)), pytest.raises(BudgetSpent):
            bench.ask("prompt", "a")
            bench.ask("lm", "a")

    def test_what_a_provider_adds_to_a_prompt_is_expected_once_seen(self) -> None:
        backend = Scripted()
        backend.usage = Usage(input_tokens=500, output_tokens=5)
        lm = MeteredLM(Meter(backend), max_tokens=5)
        with lm.meter.limited(Budget(tokens=2100)), pytest.raises(BudgetSpent):
            for n in range(9):
                lm(f"q{n}")
        assert lm.meter.spent.tokens == 4 * 505

    def test_a_role_without_price_or_max_tokens_is_refused_before_anything_is_sent(self) -> None:
        account = Account()
        backend, unknown = Scripted(), Scripted(model="scripted/y")
        role = MeteredLM(Meter(unknown, account=account, table="lm.prompt"))
        lm = MeteredLM(Meter(backend, account=account), roles={"prompt": role}, max_tokens=10)
        for budget in (Budget(tokens=10**6), Budget(cost=1.0)):
            with pytest.raises(LMSetupError, match=r"needs lm\.prompt\.max_tokens"), lm.meter.limited(budget):
                pass
        unknown.price = None
        with pytest.raises(LMSetupError, match=r"scripted/y is not known.*lm\.prompt\.price"):
            lm.meter.limited(Budget(cost=1.0)).__enter__()
        with lm.meter.limited(Budget(calls=1)):
            role("q")
        assert not backend.requests

    def test_answers_of_the_strong_lm_are_bounded_unless_it_may_think_first(self) -> None:
        account = Account()
        backend = Scripted()
        role = MeteredLM(Meter(backend, account=account, table="lm.strong"))
        with role.meter.limited(Budget(cost=1.0)):
            pass
        backend.max_answer = 0  # type: ignore[attr-defined]
        MeteredLM(role.meter)
        with pytest.raises(LMSetupError, match=r"needs lm\.strong\.max_tokens"), role.meter.limited(Budget(cost=1.0)):
            pass


class TestGoingOn:
    """Killed and run again: a new account over the same ledger and store."""

    def run(self, folder: Path, limit: Budget, stop_at: int | None = None) -> tuple[list[str], Bench]:
        bench, done = Bench(failing=0.0, folder=folder), list[str]()
        try:
            with bench.lm.meter.limited(limit):
                for n, question in enumerate(asked(5)):
                    if n == stop_at:
                        break
                    done += bench.ask(*question)
        except BudgetSpent:
            done.append("budget spent")
        bench.close()
        return done, bench

    @pytest.mark.parametrize("limit", [Budget(calls=30), Budget(tokens=3000), Budget(cost=0.05)])
    def test_ends_where_it_would_have_ended(self, limit: Budget, tmp_path: Path) -> None:
        whole, bench = self.run(tmp_path / "whole", limit)
        assert whole[-1] == "budget spent" and all(b.sent for b in bench.backends.values())
        parts = [self.run(tmp_path / "killed", limit, stop_at=n)[1] for n in (4, 11, 17)]
        again, last = self.run(tmp_path / "killed", limit)
        assert again == whole and last.spent == bench.spent and last.lm.spent() == bench.lm.spent()
        sent = sum((b.sent for part in (*parts, last) for b in part.backends.values()), Counter[str]())
        assert sum(sent.values()) == bench.distinct, "nothing is sent twice"
