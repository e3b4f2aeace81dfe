"""The session of a run. This is the only place that configures DSPy: caches off, history off, the metered LM of a spec."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dspy
from dspy.lm15 import Request, Response
from dspy.utils.exceptions import LMInvalidRequestError

from experiments.errors import SpecError
from experiments.spec import Answering, Encoder, Model
from ner_programs.errors import BudgetError, ComponentError, OutageError
from ner_programs.lms import is_api, open_backend
from ner_programs.lms.account import Outage
from ner_programs.lms.ledger import Ledger
from ner_programs.lms.metered import Account, Backend, Budget, Meter, MeteredLM, RunStopped, max_answer
from ner_programs.lms.replay import Recorder
from ner_programs.lms.store import AnswerStore
from ner_programs.privacy import Privacy, confined
from ner_programs.program import NERProgram
from ner_programs.verifiers.strong import Strong

CONCURRENCY = 8
"""Number of concurrent calls, if neither [lm] nor the backend sets it."""


@contextmanager
def session(
    model: Model,
    *,
    privacy: Privacy,
    answers: Path | AnswerStore | None = None,
    ledger: Path | Ledger | None = None,
    backend: Backend | None = None,
    send: bool = True,
) -> Iterator[MeteredLM]:
    """Run the block under the LM of a spec with its roles. All LMs spend from one account.

    Answers are cached in `answers` (a file, or a store that is closed at the end), costs are recorded in `ledger`
    (likewise). If `backend`
    is given (from `shared_backend`), it answers the task and stays open. Without `send` no call is made: requests that are not
    in `answers` stay unanswered.

    Raises PrivacyError, before anything is sent, if text would go to a host that may not have it (design D16). All
    settings are restored afterwards.
    """
    check_hosts(model, privacy)
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    with ExitStack() as closing:

        def opened(one: Answering) -> Backend:
            table = next((f"lm.{name}" for name, role in model.roles.items() if role is one), "lm")
            return _open(shared_backend(one, table), closing) if send else Kept(backend_of(one, table=table))

        task = backend or opened(model)
        tape = Recorder(task, model.record) if model.record is not None else None
        store = answers if isinstance(answers, AnswerStore) else AnswerStore(answers)
        book = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
        closing.callback(store.close)
        closing.callback(book.close)
        account = Account(store=store, ledger=book)
        own, roles = Meter(task, account=account, tape=tape, retries=model.retries), dict[str, MeteredLM]()
        for name, role in model.roles.items():
            both = (role.model, role.options) == (model.model, model.options)
            answers_it = task if both else opened(role)
            meter = Meter(answers_it, account=account, retries=model.retries, table=f"lm.{name}")
            roles[name] = MeteredLM(meter, roles=roles, **_asked(model, role, answers_it))
        lm = MeteredLM(own, roles=roles, **_asked(model, model, task))
        for one in (lm, *roles.values()):
            closing.callback(one.meter.pace.end)
        if not privacy.may_connect:
            closing.enter_context(confined(hosts_of(model)))
        if not privacy.may_log:
            closing.enter_context(_quiet())
        with dspy.context(lm=lm, disable_history=True, track_usage=False):
            yield lm


class Kept:
    """A backend that makes no calls: behind a store of answers, cached requests are answered and all others fail."""

    def __init__(self, of: Backend) -> None:
        self.model, self.identity, self.price, self.local = of.model, of.identity, of.price, of.local
        # These determine the requests.
        self.supports_schema, self.logprobs, self.writes = of.supports_schema, of.logprobs, of.writes
        self.form = frozenset(getattr(of, "form", ()))
        self.max_answer = max_answer(of)

    def complete(self, request: Request) -> Response:
        """Raise an error: the answer is not cached."""
        raise LMInvalidRequestError("the answer is not kept", model=self.model)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence DSPy's log: it logs the whole example when a call fails."""
    log = logging.getLogger("dspy")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _open(backend: Backend, closing: ExitStack) -> Backend:
    if hasattr(backend, "close"):
        closing.callback(backend.close)
    return backend


def _asked(model: Model, one: Answering, backend: Backend) -> dict[str, Any]:
    """Return the call settings of one of a spec's LMs: the concurrency of [lm] or of the backend, and its own options."""
    threads = model.concurrency or getattr(backend, "concurrency", CONCURRENCY)
    return {"concurrency": threads, **generation(one)}


def generation(one: Answering) -> dict[str, Any]:
    """Return how an LM of a spec generates: `temperature` and `max_tokens`, where they are set."""
    return {k: v for k in ("temperature", "max_tokens") if (v := getattr(one, k)) is not None}


def shared_backend(model: Answering, table: str = "lm") -> Backend:
    """Build a backend for several sessions, to be closed by the caller. If it uses processes, it gets one for each core."""
    return backend_of(model, processes=_cores() if _cores() > 1 else 0, table=table)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def backend_of(model: Answering, *, processes: int = 0, table: str = "lm") -> Backend:
    """Build the backend of a spec's [lm], or of a role. Raises SpecError for an option that the backend does not have."""
    privacy = Privacy(allow_hosts=tuple(model.allow_hosts or ()))
    try:
        return open_backend({"model": model.model, **model.options}, privacy, processes=processes)
    except ComponentError as error:
        own = [name for name in type(model).model_fields if name != "model"]
        raise SpecError(f"{table}: {error}; of any model: {', '.join(own)}") from None


def answerer(model: Model) -> tuple[str, ...]:
    """Return what determines the answers besides spec and data: backends and versions. Resumes only if these match."""
    of_roles = [backend_of(role, table=f"lm.{name}") for name, role in model.roles.items()]
    backends = [(backend.model, backend.identity) for backend in (backend_of(model), *of_roles)]
    return *sum(backends, ()), version("nerc"), version("dspy")


def check_hosts(model: Model, privacy: Privacy) -> None:
    """Raise PrivacyError if [lm] or a role would get text that may not go to its host, or if its address is unknown.

    The host of a role must be in the role's own `allow_hosts`, which defaults to that of [lm].
    """
    for table, one in {"lm": model, **{f"lm.{name}": role for name, role in model.roles.items()}}.items():
        if is_api(one.model):
            allowed = model.allow_hosts if one.allow_hosts is None else one.allow_hosts
            replace(privacy, allow_hosts=tuple(allowed)).reach(one.model, one.api_base, table)


def encoding(model: Model, privacy: Privacy, *, bundle: bool = False) -> Privacy:
    """Return `privacy` with what [lm] says of encoders. For a `bundle`, the encoder's address must be named there."""
    encoder = model.encoder or Encoder()
    allowed = model.allow_hosts if encoder.allow_hosts is None else encoder.allow_hosts
    return replace(privacy, allow_hosts=tuple(allowed), encoder=encoder.api_base, named_only=bundle)


def hosts_of(model: Model) -> list[str]:
    """Return every host that the user allows."""
    lists = [one.allow_hosts for one in (model, *model.roles.values())] + [(model.encoder or Encoder()).allow_hosts]
    return [host for hosts in lists for host in hosts or ()]


class CostLimit(BudgetError):
    """The next call would exceed the command's cost limit."""


@contextmanager
def at_most(lm: MeteredLM, cost: float | None, before: float = 0.0) -> Iterator[None]:
    """Limit the cost of the whole run, in US dollars, of which it has cost some `before`.

    Raises CostLimit instead of sending the call that would exceed it.
    """
    left = None if cost is None else max(cost - before, 0.0)
    try:
        with lm.meter.limited(Budget(cost=left), RunStopped):
            yield
    except RunStopped:
        spent = lm.meter.spent
        has = f"{before + spent.cost:.4f}, {spent.calls} calls"
        raise CostLimit(
            f"stopped before the run costs more than {cost} US dollars (it has cost {has}); "
            "what was answered is kept: the same command with a higher --max-cost goes on from here"
        ) from None


class ServerLost(OutageError):
    """The LM stopped answering."""


@contextmanager
def answering(lm: MeteredLM) -> Iterator[None]:
    """End the block where an LM stops answering, in place of going on with calls that fail. Raises ServerLost then."""
    account = lm.meter.account
    account.outage = Outage
    try:
        yield
    except Outage as outage:
        kept = "; what was answered is kept: the same command goes on from here" if account.store.lasting else ""
        raise ServerLost(f"the LM stopped answering (the last call: {outage}){kept}") from None
    finally:
        account.outage = None


def wants(model: Model, program: NERProgram) -> Mapping[str, Any]:
    """Return what a bundle records of the LM that it was compiled with: never a key, never a host.

    The strong LM is included if the program uses one.
    """
    asks = any(isinstance(part, Strong) for _, part in program.named_sub_modules())
    strong = {"strong": {"model": model.strong.model, **generation(model.strong)}} if asks and model.strong else {}
    return {"model": model.model, **generation(model), **strong}
