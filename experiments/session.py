"""The one place that configures DSPy: caches off, history off, and the metered LM of a spec in front."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dspy
from dspy.lm15 import Request, Response
from dspy.utils.exceptions import LMInvalidRequestError

from experiments.errors import SpecError
from experiments.spec import Answering, Encoder, Model
from ner_programs.errors import BudgetError, ComponentError
from ner_programs.lms import is_api, open_backend
from ner_programs.lms.ledger import Ledger
from ner_programs.lms.metered import Account, Backend, Budget, Meter, MeteredLM, RunStopped, max_answer
from ner_programs.lms.replay import Recorder
from ner_programs.lms.store import AnswerStore
from ner_programs.privacy import Privacy, confined
from ner_programs.program import NERProgram
from ner_programs.verifiers.strong import Strong

CONCURRENCY = 8
"""How many calls are under way at once, where neither [lm] nor the backend says it."""


@contextmanager
def session(
    model: Model,
    *,
    private: bool,
    answers: Path | None = None,
    ledger: Path | None = None,
    backend: Backend | None = None,
    send: bool = True,
) -> Iterator[MeteredLM]:
    """Run the block under the LM of a spec, which has its roles; all spend from one account.

    Answers are kept in `answers`, what is spent is written to `ledger`. A `backend` that is given (`shared_backend`)
    answers the task, and is left open. Without `send` nothing is asked: what `answers` does not hold stays unanswered.

    Raises PrivacyError, before anything is sent, when private text would go to a host that is not allowed (design D16). What is
    set for a private session is afterwards as it was before.
    """
    check_hosts(model, private=private)
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    with ExitStack() as closing:

        def opened(one: Answering) -> Backend:
            table = next((f"lm.{name}" for name, role in model.roles.items() if role is one), "lm")
            return _open(shared_backend(one, table), closing) if send else Kept(backend_of(one, table=table))

        task = backend or opened(model)
        tape = Recorder(task, model.record) if model.record is not None else None
        store, book = AnswerStore(answers), Ledger(ledger)
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
        if private:
            closing.enter_context(confined(_allowed(model)))
            closing.enter_context(_quiet())
        with dspy.context(lm=lm, disable_history=True, track_usage=False):
            yield lm


class Kept:
    """A backend that asks nobody: behind a store of answers it gives those that are there, and fails for every other."""

    def __init__(self, of: Backend) -> None:
        self.model, self.identity, self.price, self.local = of.model, of.identity, of.price, of.local
        # These change what is asked.
        self.supports_schema, self.logprobs, self.writes = of.supports_schema, of.logprobs, of.writes
        self.form = frozenset(getattr(of, "form", ()))
        self.max_answer = max_answer(of)

    def complete(self, request: Request) -> Response:
        """Fail: the answer is not kept."""
        raise LMInvalidRequestError("the answer is not kept", model=self.model)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep DSPy from logging: it logs the whole example when one fails."""
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
    """Return how one of a spec's LMs is asked: as many at a time as [lm] or the backend says, and with its own settings."""
    threads = model.concurrency or getattr(backend, "concurrency", CONCURRENCY)
    return {"concurrency": threads, **_generation(one)}


def _generation(one: Answering) -> dict[str, Any]:
    return {k: v for k in ("temperature", "max_tokens") if (v := getattr(one, k)) is not None}


def shared_backend(model: Answering, table: str = "lm") -> Backend:
    """Build what answers, to be used by several sessions and then closed; one that takes processes has one for each core."""
    return backend_of(model, processes=_cores() if _cores() > 1 else 0, table=table)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def backend_of(model: Answering, *, processes: int = 0, table: str = "lm") -> Backend:
    """Build what answers for a spec's [lm], or for a role of it. Raises SpecError for an option that the backend has not."""
    privacy = Privacy(allow_hosts=tuple(model.allow_hosts or ()))
    try:
        return open_backend({"model": model.model, **model.options}, privacy, processes=processes)
    except ComponentError as error:
        own = [name for name in type(model).model_fields if name != "model"]
        raise SpecError(f"{table}: {error}; of any model: {', '.join(own)}") from None


def answerer(model: Model) -> tuple[str, ...]:
    """Return what, beside spec and data, decides the answers: backends and versions. A run is taken up only by the same."""
    said = [(backend.model, backend.identity) for backend in map(backend_of, (model, *model.roles.values()))]
    return *sum(said, ()), version("nerc"), version("dspy")


def check_hosts(model: Model, *, private: bool) -> None:
    """Raise PrivacyError where [lm] or one of its roles would be sent text that may not go there, or has no usual address.

    The host of a role must be in the role's own `allow_hosts`; a role without has those of [lm].
    """
    for table, one in {"lm": model, **{f"lm.{name}": role for name, role in model.roles.items()}}.items():
        if is_api(one.model):
            allowed = model.allow_hosts if one.allow_hosts is None else one.allow_hosts
            Privacy(private, tuple(allowed)).reach(one.model, one.api_base, table)


def encoding(model: Model, *, private: bool, bundle: bool = False) -> Privacy:
    """Return where text may go to be encoded, as [lm] says; a `bundle` has its encoder asked only at an address named there."""
    said = model.encoder or Encoder()
    allowed = model.allow_hosts if said.allow_hosts is None else said.allow_hosts
    return Privacy(private, tuple(allowed), said.api_base, named_only=bundle)


def _allowed(model: Model) -> list[str]:
    """Return every host that the user allows."""
    lists = [one.allow_hosts for one in (model, *model.roles.values())] + [(model.encoder or Encoder()).allow_hosts]
    return [host for hosts in lists for host in hosts or ()]


class CostLimit(BudgetError):
    """The next call would cost more than the command may spend."""


@contextmanager
def at_most(lm: MeteredLM, cost: float | None) -> Iterator[None]:
    """Limit what the whole run may cost, in US dollars; raises CostLimit instead of sending the call that would exceed it."""
    try:
        with lm.meter.limited(Budget(cost=cost), RunStopped):
            yield
    except RunStopped:
        spent = lm.meter.spent
        raise CostLimit(
            f"stopped before the run costs more than {cost} US dollars (it has cost {spent.cost:.4f}, {spent.calls} calls); "
            "what was answered is kept: the same command with a higher --max-cost goes on from here"
        ) from None


def wants(model: Model, program: NERProgram) -> Mapping[str, Any]:
    """Return what a bundle says about the LM it was compiled with: never a key, never a host.

    The strong LM is named beside it where the program asks one.
    """
    asks = any(isinstance(part, Strong) for _, part in program.named_sub_modules())
    strong = {"strong": {"model": model.strong.model, **_generation(model.strong)}} if asks and model.strong else {}
    return {"model": model.model, **_generation(model), **strong}
