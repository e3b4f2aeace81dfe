"""The one LM that every call goes through: counted, budgeted, retried, never sent twice.

Equal requests under way at the same time are sent once. A run may ask several LMs (`MeteredLM.role`), each behind a meter of
its own; their meters share one account (`account.py`), which says what they may spend together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import dspy
from dspy.lm15 import Request, Response

from ner_programs.errors import code_of
from ner_programs.lms._engine import Engine
from ner_programs.lms.account import Account, Budget, BudgetSpent, RunStopped, Tariff
from ner_programs.lms.call import PLAIN, Call, Keys, Sample, key_of
from ner_programs.lms.ledger import Spent
from ner_programs.lms.pace import LMStopped, Pace
from ner_programs.lms.price import Price, size
from ner_programs.lms.threads import in_thread
from ner_programs.prompts.answers import cleaned, heard

__all__ = [
    "ROLES",
    "Account",
    "Backend",
    "Budget",
    "BudgetSpent",
    "Meter",
    "MeteredLM",
    "RunStopped",
    "Sample",
    "Tape",
    "sample",
]

ROLES = ("prompt", "strong")
"""What an LM may be asked beside the task: to write instructions, to answer hard documents."""


class Backend(Protocol):
    """What answers a request, once, without cache or retry."""

    model: str
    """The model's name as DSPy shows it; it identifies what answers, down to a content hash for an engine."""
    identity: str
    """What else an answer depends on besides model and request, for instance the host."""
    supports_schema: bool
    """Whether a JSON schema may be asked for."""
    logprobs: bool
    """Whether it reports the log-probabilities of its answers' tokens."""
    local: bool
    """Whether it answers inside this process or its children: no text leaves the machine."""
    writes: bool
    """Whether it is a language model: follows instructions, writes them, and answers any prompt."""
    price: Price | None
    """What tokens cost; None when it is not known."""
    form: frozenset[str]
    """What can hold an answer to its form: `grammar` (GBNF), `bias` (favoured tokens); nothing where it is not declared."""
    max_answer: int
    """Up to how many tokens an answer may be limited to, any number where it is not declared; 0 where it may think before it
    answers: then nothing but `max_tokens` limits it."""

    def complete(self, request: Request) -> Response:
        """Answer one request or raise a `dspy.utils.exceptions.LMError`."""


def max_answer(backend: Backend) -> int:
    """Return `Backend.max_answer`, or any number."""
    return int(getattr(backend, "max_answer", 1 << 30))


class Tape(Protocol):
    """What is shown every answer that a run uses, sent for or kept from earlier."""

    def keep(self, request: Request, sample: Sample, response: Response) -> None:
        """Take note of an answer; may be called from several threads, and twice with the same answer."""


_sampling: ContextVar[tuple[Any, Iterator[int]] | None] = ContextVar("nerc_sampling", default=None)
_form: ContextVar[Mapping[str, Any] | None] = ContextVar("nerc_form", default=None)
"""What holds the answers of a call to their form: DSPy's requests know no grammar."""
sample: ContextVar[Sample] = ContextVar("nerc_sample", default=PLAIN)
"""Set while a backend answers."""


class Meter:
    """Counts, limits, caches and retries the calls to one backend; shared by all copies of its LM.

    Meters of one `account` spend from the same limits. `table` is where a spec describes the backend: errors name it.
    """

    def __init__(
        self, backend: Backend, *, account: Account | None = None, tape: Tape | None = None, retries: int = 4,
        backoff: float = 1.0, table: str = "lm",
    ) -> None:  # fmt: skip
        self.backend, self.tape, self.retries, self.pace = backend, tape, retries, Pace(backoff)
        self.account = account or Account()
        self.tariff = Tariff(backend, table)
        self.account.tariffs.append(self.tariff)
        self.keys = Keys(backend.model, backend.identity)

    def __deepcopy__(self, memo: dict[int, Any]) -> Meter:
        return self

    @property
    def spent(self) -> Spent:
        """What was spent from the account, by all that share it."""
        return self.account.spent

    @property
    def last_failure(self) -> str:
        """What the last call that failed said: a kind of error and its code, no text."""
        return self.account.last_failure

    def limited(self, budget: Budget, stop: type[BaseException] = BudgetSpent) -> AbstractContextManager[None]:
        """Limit what all that share the account may spend: see `Account.limited`."""
        return self.account.limited(budget, stop)

    def complete(self, request: Request) -> Response:
        """Answer a request: from an equal one under way, from the store, or from the backend; without its reasoning."""
        drawn = _sampling.get()
        which = (drawn[0], next(drawn[1])) if drawn and request.config.temperature != 0 else PLAIN
        if form := _form.get():
            extensions = {**(request.config.extensions or {}), **form}
            request = replace(request, config=replace(request.config, extensions=extensions))
        return self.answer(Call(request, self.key(request, which), size(request), which))

    def answer(self, call: Call) -> Response:
        """Answer a request that knows its key."""
        response = self._answer(call)
        if self.tape is not None:
            self.tape.keep(call.request, call.which, response)
        response = cleaned(call.request, response)
        heard().hear(response)
        return response

    def _answer(self, call: Call) -> Response:
        key, account = call.key, self.account
        with account.lock:
            flight = account.under_way.get(key)
            leads = flight is None
            if flight is None:
                response = account.store.get(key)
                reserved = account.reserve(call, self.tariff, response)
                if response is not None:
                    return response
                flight = account.under_way[key] = Future()
        if not leads:
            return flight.result()
        token = sample.set(call.which)
        try:
            response = self._send(call)
            flight.set_result(response)
            return response
        except BaseException as error:
            flight.set_exception(error)
            raise
        finally:
            sample.reset(token)
            with account.lock:
                del account.under_way[key]
                account.release(reserved)

    def key(self, request: Request, which: Sample = PLAIN) -> str:
        """Return what makes a request distinct: see `key_of`."""
        return key_of(self.backend.model, self.backend.identity, request, which)

    def _send(self, call: Call) -> Response:
        account, key, due = self.account, call.key, 0.0
        for attempt in itertools.count():
            try:
                response = self.pace.send(partial(self._attempt, call.request), due)
            except Exception as error:
                said = " ".join(str(x) for x in (type(error).__name__, *_codes(error)) if x)
                account.ledger.write("failed", key, error=said)
                again = self.pace.again(error, attempt) if attempt < self.retries else None
                if again is None:
                    self._lost(error, said)
                    raise
                due = again
            else:
                account.store.put(key, response)
                with account.lock:
                    counted = account.count(self.tariff, call, response)
                account.ledger.write("answered", key, **counted)
                return response
        raise AssertionError("unreachable")

    def _attempt(self, request: Request) -> Response:
        with self.account.lock:
            self.account.spent.attempts += 1
        return self.backend.complete(request)

    def _lost(self, error: Exception, said: str) -> None:
        """Count a call that failed for good. Raises `Account.outage` where the LM stopped answering and a run ends with it."""
        account, stopped = self.account, isinstance(error, LMStopped)
        self.pace.lost(error)
        with account.lock:
            account.spent.failed += 1
            account.last_failure = account.last_failure if stopped else said
        if account.outage is not None and (stopped or self.pace.stopped):
            raise account.outage(account.last_failure) from None


def _codes(error: Exception) -> tuple[Any, Any]:
    return getattr(error, "status", None), code_of(error)


class MeteredLM(dspy.LM):
    """A `dspy.LM` whose every call goes through a meter; copies (`lm.copy(temperature=1)`) share it.

    `roles` are the LMs that take a role of `ROLES`, behind meters of the same account.
    """

    def __init__(
        self, meter: Meter, *, roles: Mapping[str, MeteredLM] | None = None, concurrency: int = 8, **generation: Any
    ) -> None:
        super().__init__(meter.backend.model, cache=False, num_retries=0, engine=Engine(meter.complete), **generation)
        self.meter, self.concurrency = meter, concurrency
        # Of the task's LM the first call says so, and soon.
        stages = meter.tariff.table == "lm" or (meter.tariff.table == "lm.strong" and self.max_answer > 0)
        meter.tariff.bounded = stages or "max_tokens" in generation
        self.roles: Mapping[str, MeteredLM] = {} if roles is None else roles
        self.reports_logprobs = meter.backend.logprobs  # then stages ask for them
        self.writes = meter.backend.writes
        self.form = frozenset(getattr(meter.backend, "form", ()))

    def __deepcopy__(self, memo: dict[int, Any]) -> MeteredLM:
        return self

    def role(self, name: str) -> MeteredLM:
        """Return the LM that takes a role of `ROLES`: the role's own, where there is one, else this one."""
        return self.roles[name] if self.has_role(name) else self

    def must_end(self, budget: Budget) -> None:
        """Raise LMSetupError where the requests that no stage makes could cost more than a limit that stands, or `budget`."""
        if self.kwargs.get("max_tokens") is None:
            self.meter.account.must_end(self.meter.tariff, budget)

    def has_role(self, name: str) -> bool:
        """Return whether another LM takes the role; raises ValueError for what is no role."""
        if name not in ROLES:
            raise ValueError(f"{name!r} is no role of an LM; there are: {', '.join(ROLES)}")
        return name in self.roles

    def answered(self) -> int:
        """Return how many calls from the account were answered, or have failed for good."""
        return self.meter.account.answered

    def spent(self) -> dict[str, float]:
        """Return what was spent from the account as plain data, with the calls to each role's own LM."""
        own = {f"calls_{name}": lm.meter.tariff.calls for name, lm in self.roles.items()}
        return self.meter.spent.as_dict() | own

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Ask; several samples of one request (`n=3`), and rollouts, are distinct calls, but at temperature 0."""
        with self._sampling(kwargs):
            return super().__call__(*args, **kwargs)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Ask in a thread: see `in_thread`."""
        return await in_thread(partial(self, *args, **kwargs))

    @contextmanager
    def _sampling(self, kwargs: dict[str, Any]) -> Iterator[None]:
        form = _form.set(kwargs.pop("form", None))
        token = _sampling.set(({**self.kwargs, **kwargs}.get("rollout_id"), itertools.count()))
        try:
            yield
        finally:
            _sampling.reset(token)
            _form.reset(form)

    @property
    def max_answer(self) -> int:
        """Up to how many tokens a stage may limit an answer to; 0 for not at all."""
        return max_answer(self.meter.backend)

    @property
    def supports_response_schema(self) -> bool:
        """Whether the backend can be held to a JSON schema."""
        return self.meter.backend.supports_schema
