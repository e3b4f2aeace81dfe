"""The account of a run: what it may spend and has spent on all its LMs, with limits, reservations, ledger and cached answers.

A *call* is one distinct request of a run, whether the provider or the cache of an earlier run answers it. A call is reserved
before it is sent, so that a budget is never exceeded, whichever LM is called.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from dspy.lm15 import Response
from dspy.utils.exceptions import LMConfigurationError

from ner_programs.errors import LMSetupError
from ner_programs.lms.call import PLAIN, Call
from ner_programs.lms.ledger import Ledger, Spent
from ner_programs.lms.price import Price, read_from_cache, usage
from ner_programs.lms.store import AnswerStore, LastAnswers

Cost = tuple[int, float]
"""Tokens (input and output together), and US dollars."""
_UNBOUNDED = "a limit in tokens or US dollars needs {}.max_tokens, the most that an answer may be"


@dataclass(frozen=True, slots=True)
class Budget:
    """An upper limit; None means no limit. Tokens and cost count what the run sends, not what another run has paid for.

    >>> str(Budget(calls=500, cost=1.5))
    '500 calls, 1.5 US dollars'
    >>> with first.lm.meter.limited(Budget(calls=0)):
    ...     program("Day 8: given aspirin.")
    Traceback (most recent call last):
    ner_programs.lms.account.BudgetSpent: 0 calls
    """

    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None

    def __str__(self) -> str:
        parts = [(self.calls, "calls"), (self.tokens, "tokens"), (self.cost, "US dollars")]
        return ", ".join(f"{limit:g} {unit}" for limit, unit in parts if limit is not None) or "no limit"


def _in_tokens(budget: Budget) -> bool:
    return budget.tokens is not None or budget.cost is not None


class BudgetSpent(BaseException):  # not an Exception: DSPy turns those into a score
    """The next call would exceed the budget. It was not sent."""


class RunStopped(BaseException):
    """The next call would exceed the budget of the whole run. It was not sent, and the run ends, not only a search."""


class Outage(RunStopped):
    """An LM stopped answering, and the run ends with it."""


class Priced(Protocol):
    """A model whose price may be known."""

    model: str
    price: Price | None


@dataclass(slots=True)
class Tariff:
    """The cost of one backend's answers, and its number of calls. `table` is the table of the spec that describes it."""

    backend: Priced
    table: str = "lm"
    bounded: bool = True  # False if its requests do not limit the length of an answer
    calls: int = 0
    longest: int = 1024  # tokens of the longest answer
    unseen: int = 0  # tokens of a prompt beyond those of its text: a provider's template

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Return the cost in US dollars; 0 if the price is not known."""
        return self.backend.price.cost(tokens_in, tokens_out) if self.backend.price else 0.0

    @property
    def costs(self) -> bool:
        """Whether the price is above 0."""
        return self.cost(1_000_000, 1_000_000) > 0

    def at_most(self, call: Call) -> Cost:
        """Return an upper estimate of a request's cost, from its text and from the longest answers and templates so far."""
        tokens_in = call.size // 3 + 8 + self.unseen
        tokens_out = call.request.config.max_tokens
        if not tokens_out:
            last = len((call.request.messages[-1].text or "").encode())
            tokens_out = max(last // 2 + 1024, self.longest)
        return tokens_in + tokens_out, self.cost(tokens_in, tokens_out)


class Account:
    """Counts and limits what several LMs spend together. The caller of `reserve` or `count` must hold `lock`."""

    def __init__(self, *, store: AnswerStore | LastAnswers | None = None, ledger: Ledger | None = None) -> None:
        self.store: AnswerStore | LastAnswers = store if store is not None else LastAnswers(None)
        self.ledger = ledger or Ledger()
        self.spent = Spent()
        self.last_failure = ""
        self.outage: type[BaseException] | None = None
        """Raised where an LM stopped answering (`pace.Pace`); with None its calls fail, and others go on."""
        self.tariffs: list[Tariff] = []
        self.under_way: dict[str, Future[Response]] = {}
        self.lock = threading.RLock()
        self._sent_before = self.ledger.sent()  # by this run before it was killed: paid for, so counted again
        self._seen = set[int]()  # of a million keys: 70 MB; as text it would be 160
        if isinstance(self.store, LastAnswers):  # a request whose answer was dropped counts as new
            self.store.dropped = lambda key: self._seen.discard(_short(key))
        self._limits: list[tuple[Budget, Spent, type[BaseException]]] = []
        self._reserved = [0, 0.0]  # tokens and cost of the requests in progress

    def __deepcopy__(self, memo: dict[int, Any]) -> Account:
        return self

    @property
    def answered(self) -> int:
        """The number of finished calls."""
        with self.lock:
            return max(self.spent.calls - len(self.under_way), 0)

    @contextmanager
    def limited(self, budget: Budget, stop: type[BaseException] = BudgetSpent) -> Iterator[None]:
        """Limit what may be spent from now on. A call that would exceed the limit raises `stop` and is not sent.

        Raises LMSetupError for a limit in money if the price of an LM is not known, and for a limit in tokens or money if a
        role's LM does not limit the length of its answers.
        """
        for tariff in self.tariffs:
            if not tariff.bounded and _in_tokens(budget) and tariff.costs:
                raise LMSetupError(_UNBOUNDED.format(tariff.table))
            if budget.cost is not None and tariff.backend.price is None:
                raise LMSetupError(
                    f"the price of {tariff.backend.model} is not known, so no limit in US dollars can hold: give "
                    f"{tariff.table}.price, US dollars for a million tokens: price = {{ input = 0.4, output = 1.6 }}"
                )
        with self.lock:
            limit = (budget, Spent(**{f: getattr(self.spent, f) for f in Spent.__slots__}), stop)
            self._limits.append(limit)
        try:
            yield
        finally:
            with self.lock:
                self._limits = [other for other in self._limits if other is not limit]

    def must_end(self, tariff: Tariff, budget: Budget) -> None:
        """Raise LMSetupError if a limit in tokens or money is active, or `budget` is one, and the LM has a price."""
        if tariff.costs and any(map(_in_tokens, (budget, *(limit for limit, _, _ in self._limits)))):
            raise LMSetupError(_UNBOUNDED.format(tariff.table))

    def reserve(self, call: Call, tariff: Tariff, kept: Response | None) -> Cost:
        """Count a call if it is new in this run and every limit allows it. `kept` is its cached answer, if there is one.

        Returns the reservation, which must be given to `release`. The ledger records which sample of a request it is. If this
        run paid for the answer before it was killed, that cost is counted again, so that a budget ends at the same call. Raises
        LMConfigurationError if a limit in tokens or money is active and nothing limits the cost of an answer.
        """
        key, which = call.key, call.which
        new, ours = _short(key) not in self._seen, key in self._sent_before
        if kept is not None and not new:
            return 0, 0.0
        tokens, cost = self._at_most(tariff, call) if kept is None or ours else (0, 0.0)
        self._allow(new, tokens, cost)
        self._seen.add(_short(key))
        self.spent.calls += new
        tariff.calls += new
        if kept is None:
            self.ledger.write("reserved", key, **({} if which == PLAIN else {"sample": which}))
            self._reserved[0] += tokens
            self._reserved[1] += cost
            return tokens, cost
        self.ledger.write("cached", key)
        self.spent.cached += not ours
        if ours:
            self.spent.attempts += 1
            self.count(tariff, call, kept)
        else:
            tokens_in, tokens_out = usage(call.size, kept)
            self.spent.kept_in += tokens_in
            self.spent.kept_out += tokens_out
            self.spent.kept_cached += read_from_cache(kept)
        return 0, 0.0

    def release(self, reserved: Cost) -> None:
        """Cancel a reservation, because its request is finished."""
        self._reserved[0] -= reserved[0]
        self._reserved[1] -= reserved[1]

    def count(self, tariff: Tariff, call: Call, response: Response) -> dict[str, float]:
        """Add the tokens and cost of an answer, and return them. They are estimated if the usage is missing."""
        tokens_in, tokens_out = usage(call.size, response)
        cost, cached = tariff.cost(tokens_in, tokens_out), read_from_cache(response)
        self.spent.tokens_in += tokens_in
        self.spent.tokens_out += tokens_out
        self.spent.tokens_cached += cached
        self.spent.cost += cost
        tariff.longest = max(tariff.longest, tokens_out)
        tariff.unseen = max(tariff.unseen, tokens_in - call.size // 3 - 8)
        return {"tokens_in": tokens_in, "tokens_out": tokens_out, "tokens_cached": cached, "cost": cost}

    def _allow(self, new: bool, tokens: int, cost: float) -> None:
        all_tokens = self.spent.tokens + self._reserved[0] + tokens
        all_cost = self.spent.cost + self._reserved[1] + cost
        for budget, start, stop in self._limits:
            over = (
                (budget.calls is not None and new and self.spent.calls - start.calls + 1 > budget.calls)
                or (budget.tokens is not None and all_tokens - start.tokens > budget.tokens)
                or (budget.cost is not None and all_cost - start.cost > budget.cost)
            )
            if over:
                raise stop(str(budget))

    def _at_most(self, tariff: Tariff, call: Call) -> Cost:
        limited = any(_in_tokens(budget) for budget, _, _ in self._limits)
        if limited and call.request.config.max_tokens is None and tariff.costs:
            raise LMConfigurationError(_UNBOUNDED.format(tariff.table))
        return tariff.at_most(call)


def _short(key: str) -> int:
    """Return the first 64 bits of a key: two of a million requests have the same once in thirty million runs."""
    return int(key[:16], 16)
