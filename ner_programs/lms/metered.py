"""The one LM that every call goes through: counted, budgeted, retried, never sent twice.

A *call* is one distinct request of a run, whether a provider or an earlier run answers it. A call is reserved before it is
sent, so that a budget is never overrun; equal requests under way at the same time are sent once.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, Protocol

import dspy
from dspy._vendor.lm15.serde import request_to_dict, response_from_dict, response_to_dict
from dspy.lm15 import Request, Response, response_to_events
from dspy.utils.exceptions import is_retryable_lm_error

from ner_programs.lms._ledger import Ledger, Spent
from ner_programs.lms._store import AnswerStore
from ner_programs.lms.price import Price


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


@dataclass(frozen=True, slots=True)
class Budget:
    """An upper limit; None means no limit. Tokens and cost count what is sent, not what a cache answers."""

    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None


class BudgetSpent(BaseException):  # no Exception: DSPy turns those into a score
    """The next call would exceed the budget; nothing was sent for it."""


_sample: ContextVar[tuple[Any, Iterator[int]] | None] = ContextVar("nerc_sample", default=None)


class Meter:
    """Counts, limits, caches and retries the calls to one backend; shared by all copies of its LM."""

    def __init__(
        self, backend: Backend, *, store: AnswerStore | None = None, ledger: Ledger | None = None, retries: int = 4,
        backoff: float = 1.0,
    ) -> None:  # fmt: skip
        self.backend, self.retries, self.backoff = backend, retries, backoff
        self.store, self.ledger = store or AnswerStore(), ledger or Ledger()
        self.spent = Spent()
        self._seen: set[str] = set()
        self._under_way: dict[str, Future[Response]] = {}
        self._limits: list[tuple[Budget, Spent]] = []
        self._reserved = [0, 0.0]  # tokens and cost of requests that are under way
        self._lock = threading.RLock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Meter:
        return self

    @contextmanager
    def limited(self, budget: Budget) -> Iterator[None]:
        """Limit what may be spent from here on; the call that would exceed it raises BudgetSpent instead of being sent."""
        with self._lock:
            limit = (budget, Spent(**{f: getattr(self.spent, f) for f in Spent.__slots__}))
            self._limits.append(limit)
        try:
            yield
        finally:
            with self._lock:
                self._limits.remove(limit)

    def complete(self, request: Request) -> Response:
        """Answer a request: from an equal one under way, from the store, or from the backend."""
        key = self.key(request)
        with self._lock:
            flight = self._under_way.get(key)
            leads = flight is None
            if flight is None:
                answer = self.store.get(key)
                reserved = self._reserve(key, request, cached=answer is not None)
                if answer is not None:
                    return response_from_dict(answer)
                flight = self._under_way[key] = Future()
        if not leads:
            return flight.result()
        try:
            response = self._send(key, request)
            flight.set_result(response)
            return response
        except BaseException as error:
            flight.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._under_way[key]
                self._reserved[0] -= reserved[0]
                self._reserved[1] -= reserved[1]

    def key(self, request: Request) -> str:
        """Return what makes a request distinct: backend, messages, settings, rollout, and which sample of several."""
        drawn = _sample.get()
        which = [drawn[0], next(drawn[1])] if drawn else [None, 0]
        parts = [self.backend.model, self.backend.identity, request_to_dict(request), which]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()

    def _reserve(self, key: str, request: Request, *, cached: bool) -> tuple[int, float]:
        """Count a call that was not seen in this run before, if every limit allows it."""
        if key in self._seen and cached:
            return 0, 0.0
        tokens, cost = (0, 0.0) if cached else self._at_most(request)
        for budget, start in self._limits:
            spent = self.spent
            over = (
                (budget.calls is not None and key not in self._seen and spent.calls - start.calls + 1 > budget.calls)
                or (budget.tokens is not None and spent.tokens - start.tokens + self._reserved[0] + tokens > budget.tokens)
                or (budget.cost is not None and spent.cost - start.cost + self._reserved[1] + cost > budget.cost)
            )
            if over:
                raise BudgetSpent(str(budget))
        if key not in self._seen:
            self._seen.add(key)
            self.spent.calls += 1
            self.spent.cached += cached
        self.ledger.write("cached" if cached else "reserved", key)
        self._reserved[0] += tokens
        self._reserved[1] += cost
        return tokens, cost

    def _at_most(self, request: Request) -> tuple[int, float]:
        """Return a careful estimate of a request's tokens and cost."""
        characters = len(request.system or "") + sum(len(m.text or "") for m in request.messages)
        last = len(request.messages[-1].text or "")
        tokens_in, tokens_out = characters // 3 + 8, request.config.max_tokens or last // 2 + 1024
        price = self.backend.price
        return tokens_in + tokens_out, price.cost(tokens_in, tokens_out) if price else 0.0

    def _send(self, key: str, request: Request) -> Response:
        for attempt in itertools.count():
            with self._lock:
                self.spent.attempts += 1
            try:
                response = self.backend.complete(request)
            except Exception as error:
                self.ledger.write("failed", key, error=type(error).__name__)
                if attempt >= self.retries or not is_retryable_lm_error(error):
                    with self._lock:
                        self.spent.failed += 1
                    raise
                asked = getattr(error, "retry_after", None)
                time.sleep(min(asked if asked is not None else self.backoff * 2**attempt, 60))
            else:
                self._settle(key, response)
                return response
        raise AssertionError("unreachable")

    def _settle(self, key: str, response: Response) -> None:
        self.store.put(key, response_to_dict(response))
        tokens_in, tokens_out = response.usage.input_tokens or 0, response.usage.output_tokens or 0
        cost = self.backend.price.cost(tokens_in, tokens_out) if self.backend.price else 0.0
        self.ledger.write("answered", key, tokens_in=tokens_in, tokens_out=tokens_out, cost=cost)
        with self._lock:
            self.spent.tokens_in += tokens_in
            self.spent.tokens_out += tokens_out
            self.spent.cost += cost


class _Engine:
    """The meter as a DSPy engine."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def complete(self, request: Request) -> Response:
        return self.meter.complete(request)

    def stream(self, request: Request) -> Iterator[Any]:
        yield from response_to_events(self.complete(request))

    def close(self) -> None: ...


class _AsyncEngine:
    """The meter as an asynchronous DSPy engine: the same path, on threads of its own."""

    def __init__(self, meter: Meter, concurrency: int) -> None:
        self.meter = meter
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="nerc-lm")

    def __deepcopy__(self, memo: dict[int, Any]) -> _AsyncEngine:
        return self

    async def complete(self, request: Request) -> Response:
        run = copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._threads, run, self.meter.complete, request)

    async def stream(self, request: Request) -> AsyncIterator[Any]:
        for event in response_to_events(await self.complete(request)):
            yield event

    async def aclose(self) -> None: ...


class MeteredLM(dspy.LM):
    """A `dspy.LM` whose every call goes through a meter; copies (`lm.copy(temperature=1)`) share it."""

    def __init__(self, meter: Meter, *, concurrency: int = 8, **generation: Any) -> None:
        engines = {"engine": _Engine(meter), "async_engine": _AsyncEngine(meter, concurrency)}
        super().__init__(meter.backend.model, cache=False, num_retries=0, **engines, **generation)
        self.meter, self.concurrency = meter, concurrency

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
        token = _sample.set(({**self.kwargs, **kwargs}.get("rollout_id"), itertools.count()))
        try:
            yield
        finally:
            _sample.reset(token)

    @property
    def supports_response_schema(self) -> bool:
        """Whether the backend can be held to a JSON schema."""
        return self.meter.backend.supports_schema
