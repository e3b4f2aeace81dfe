"""The one LM that every call goes through: counted, budgeted, retried, never sent twice.

A *call* is one distinct request of a run, whether a provider or an earlier run answers it. A call is reserved before it is
sent, so that a budget is never overrun; equal requests under way at the same time are sent once.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import dspy
from dspy._vendor.lm15.serde import request_to_dict, response_from_dict, response_to_dict
from dspy.lm15 import Request, Response
from dspy.utils.exceptions import LMConfigurationError, is_retryable_lm_error

from ner_programs._errors import LMSetupError, code_of
from ner_programs.lms._engines import AsyncEngine, Engine
from ner_programs.lms._ledger import Ledger, Spent
from ner_programs.lms._store import AnswerStore
from ner_programs.lms.price import Price, size, usage


class Backend(Protocol):
    """What answers a request, once, without cache or retry."""

    model: str
    """The model's name as DSPy shows it; it identifies what answers, down to a content hash for an engine."""
    identity: str
    """What else an answer depends on besides model and request, for instance the host."""
    supports_schema: bool
    """Whether a JSON schema may be asked for."""
    price: Price | None
    """What tokens cost; None when it is not known."""

    def complete(self, request: Request) -> Response:
        """Answer one request or raise a `dspy.utils.exceptions.LMError`."""


Sample = tuple[Any, int]
"""Which answer to a request is asked for: its rollout, and its number among several."""


class Tape(Protocol):
    """What is shown every answer that a run uses, sent for or kept from earlier."""

    def keep(self, request: Request, sample: Sample, response: Response) -> None:
        """Take note of an answer; may be called from several threads, and twice with the same answer."""


@dataclass(frozen=True, slots=True)
class Budget:
    """An upper limit; None means no limit. Tokens and cost count what the run sends, not what another run has paid for."""

    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None

    def __str__(self) -> str:
        parts = [(self.calls, "calls"), (self.tokens, "tokens"), (self.cost, "US dollars")]
        return ", ".join(f"{limit:g} {unit}" for limit, unit in parts if limit is not None) or "no limit"


class BudgetSpent(BaseException):  # no Exception: DSPy turns those into a score
    """The next call would exceed the budget; nothing was sent for it."""


class RunStopped(BaseException):
    """The next call would exceed what the whole run may spend: not a search ends but the run. Nothing was sent for it."""


_sampling: ContextVar[tuple[Any, Iterator[int]] | None] = ContextVar("nerc_sampling", default=None)
sample: ContextVar[Sample] = ContextVar("nerc_sample", default=(None, 0))
"""Set while a backend answers."""


class Meter:
    """Counts, limits, caches and retries the calls to one backend; shared by all copies of its LM."""

    def __init__(
        self, backend: Backend, *, store: AnswerStore | None = None, ledger: Ledger | None = None, tape: Tape | None = None,
        retries: int = 4, backoff: float = 1.0,
    ) -> None:  # fmt: skip
        self.backend, self.retries, self.backoff = backend, retries, backoff
        self.store = store if store is not None else AnswerStore()  # an empty one is false
        self.ledger, self.tape = ledger or Ledger(), tape
        self.spent = Spent()
        self.last_failure = ""
        self._sent_before = self.ledger.sent()  # by this run, before it was killed: paid for, and counted again
        self._seen: set[str] = set()
        self._under_way: dict[str, Future[Response]] = {}
        self._limits: list[tuple[Budget, Spent, type[BaseException]]] = []
        self._reserved = [0, 0.0]  # tokens and cost of requests that are under way
        self._longest = 1024  # tokens of an answer
        self._lock = threading.RLock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Meter:
        return self

    @contextmanager
    def limited(self, budget: Budget, stop: type[BaseException] = BudgetSpent) -> Iterator[None]:
        """Limit what may be spent from here on; the call that would exceed it raises `stop` instead of being sent.

        Raises LMSetupError for a limit in money where the price is not known.
        """
        if budget.cost is not None and self.backend.price is None:
            raise LMSetupError(
                f"the price of {self.backend.model} is not known, so no limit in US dollars can hold: give lm.price, US "
                "dollars for a million tokens: price = { input = 0.4, output = 1.6 }"
            )
        with self._lock:
            limit = (budget, Spent(**{f: getattr(self.spent, f) for f in Spent.__slots__}), stop)
            self._limits.append(limit)
        try:
            yield
        finally:
            with self._lock:
                self._limits = [other for other in self._limits if other is not limit]

    def complete(self, request: Request) -> Response:
        """Answer a request: from an equal one under way, from the store, or from the backend."""
        drawn = _sampling.get()
        which = (drawn[0], next(drawn[1])) if drawn else (None, 0)
        response = self._answer(request, which)
        if self.tape is not None:
            self.tape.keep(request, which, response)
        return response

    def _answer(self, request: Request, which: Sample) -> Response:
        key = self.key(request, which)
        with self._lock:
            flight = self._under_way.get(key)
            leads = flight is None
            if flight is None:
                kept = self.store.get(key)
                response = response_from_dict(kept) if kept is not None else None
                reserved = self._reserve(key, request, response)
                if response is not None:
                    return response
                flight = self._under_way[key] = Future()
        if not leads:
            return flight.result()
        token = sample.set(which)
        try:
            response = self._send(key, request)
            flight.set_result(response)
            return response
        except BaseException as error:
            flight.set_exception(error)
            raise
        finally:
            sample.reset(token)
            with self._lock:
                del self._under_way[key]
                self._reserved[0] -= reserved[0]
                self._reserved[1] -= reserved[1]

    def key(self, request: Request, which: Sample = (None, 0)) -> str:
        """Return what makes a request distinct: backend, messages, settings, rollout, and which sample of several."""
        parts = [self.backend.model, self.backend.identity, request_to_dict(request), list(which)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()

    def _reserve(self, key: str, request: Request, kept: Response | None) -> tuple[int, float]:
        """Count a call that was not seen in this run before, if every limit allows it; `kept` is its answer, if there is one.

        An answer that this run sent for before it was killed costs what it cost then: so a budget ends where it would have.
        """
        new, ours = key not in self._seen, key in self._sent_before
        if kept is not None and not new:
            return 0, 0.0
        tokens, cost = self._at_most(request) if kept is None or ours else (0, 0.0)
        for budget, start, stop in self._limits:
            if new and budget.calls is not None and self.spent.calls - start.calls + 1 > budget.calls:
                raise stop(str(budget))
            if (
                budget.tokens is not None
                and self.spent.tokens - start.tokens + self._reserved[0] + tokens > budget.tokens
            ):
                raise stop(str(budget))
            if budget.cost is not None and self.spent.cost - start.cost + self._reserved[1] + cost > budget.cost:
                raise stop(str(budget))
        self._seen.add(key)
        self.spent.calls += new
        if kept is not None:
            self.ledger.write("cached", key)
            self.spent.cached += not ours
            if ours:
                self.spent.attempts += 1
                self._count(request, kept)
            else:
                tokens_in, tokens_out = usage(request, kept)
                self.spent.kept_in += tokens_in
                self.spent.kept_out += tokens_out
            return 0, 0.0
        self.ledger.write("reserved", key)
        self._reserved[0] += tokens
        self._reserved[1] += cost
        return tokens, cost

    def _at_most(self, request: Request) -> tuple[int, float]:
        """Return a careful estimate of a request's tokens and cost; for the answer, the longest one so far at least.

        Raises LMConfigurationError where a limit in tokens or money stands and nothing bounds what an answer may cost.
        """
        limited = any(budget.tokens is not None or budget.cost is not None for budget, _, _ in self._limits)
        if limited and request.config.max_tokens is None and self._cost(1_000_000, 1_000_000) > 0:
            raise LMConfigurationError(
                "a limit in tokens or US dollars needs lm.max_tokens, the most that an answer may be"
            )
        last = len((request.messages[-1].text or "").encode())
        tokens_in = size(request) // 3 + 8
        tokens_out = request.config.max_tokens or max(last // 2 + 1024, self._longest)
        return tokens_in + tokens_out, self._cost(tokens_in, tokens_out)

    def _cost(self, tokens_in: int, tokens_out: int) -> float:
        return self.backend.price.cost(tokens_in, tokens_out) if self.backend.price else 0.0

    def _send(self, key: str, request: Request) -> Response:
        for attempt in itertools.count():
            with self._lock:
                self.spent.attempts += 1
            try:
                response = self.backend.complete(request)
            except Exception as error:
                said = " ".join(str(x) for x in (type(error).__name__, *_codes(error)) if x)
                self.ledger.write("failed", key, error=said)
                if attempt >= self.retries or not is_retryable_lm_error(error):
                    with self._lock:
                        self.spent.failed += 1
                        self.last_failure = said
                    raise
                asked = getattr(error, "retry_after", None)
                time.sleep(min(asked if asked is not None else self.backoff * 2**attempt, 60))
            else:
                self.store.put(key, response_to_dict(response))
                with self._lock:
                    tokens_in, tokens_out, cost = self._count(request, response)
                self.ledger.write("answered", key, tokens_in=tokens_in, tokens_out=tokens_out, cost=cost)
                return response
        raise AssertionError("unreachable")

    def _count(self, request: Request, response: Response) -> tuple[int, int, float]:
        """Add what an answer cost; where the provider does not say, what it must have cost about."""
        tokens_in, tokens_out = usage(request, response)
        cost = self._cost(tokens_in, tokens_out)
        self.spent.tokens_in += tokens_in
        self.spent.tokens_out += tokens_out
        self.spent.cost += cost
        self._longest = max(self._longest, tokens_out)
        return tokens_in, tokens_out, cost


def _codes(error: Exception) -> tuple[Any, Any]:
    return getattr(error, "status", None), code_of(error)


class MeteredLM(dspy.LM):
    """A `dspy.LM` whose every call goes through a meter; copies (`lm.copy(temperature=1)`) share it."""

    def __init__(self, meter: Meter, *, concurrency: int = 8, **generation: Any) -> None:
        engines = {"engine": Engine(meter.complete), "async_engine": AsyncEngine(meter.complete, concurrency)}
        super().__init__(meter.backend.model, cache=False, num_retries=0, **engines, **generation)
        self.meter, self.concurrency = meter, concurrency
        self.reports_logprobs = bool(getattr(meter.backend, "logprobs", False))  # then stages ask for them

    def __deepcopy__(self, memo: dict[int, Any]) -> MeteredLM:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Ask; several samples of one request (`n=3`), and rollouts, are distinct calls."""
        with self._sampling(kwargs):
            return super().__call__(*args, **kwargs)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Ask asynchronously."""
        with self._sampling(kwargs):
            return await super().acall(*args, **kwargs)

    @contextmanager
    def _sampling(self, kwargs: dict[str, Any]) -> Iterator[None]:
        token = _sampling.set(({**self.kwargs, **kwargs}.get("rollout_id"), itertools.count()))
        try:
            yield
        finally:
            _sampling.reset(token)

    @property
    def supports_response_schema(self) -> bool:
        """Whether the backend can be held to a JSON schema."""
        return self.meter.backend.supports_schema
