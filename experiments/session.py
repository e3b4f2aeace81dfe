"""The one place that configures DSPy: caches off, history off, and the metered LM of a spec in front."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dspy

from experiments._errors import SpecError
from experiments.spec import Model
from ner_programs._errors import ComponentError
from ner_programs.demos.embedding import Embedding
from ner_programs.lms import open_backend
from ner_programs.lms._ledger import Ledger
from ner_programs.lms._store import AnswerStore
from ner_programs.lms.metered import Backend, Budget, Meter, MeteredLM, RunStopped
from ner_programs.lms.replay import Recorder
from ner_programs.program import NERProgram
from optimizers._errors import BudgetError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_API = ("api_base", "api_version", "timeout", "price", "logprobs")
_OPTIONS: dict[str, tuple[str, ...]] = {"offline": (), "replay": ("path",)}
"""What of [lm] a backend takes; the rest belongs to another one, which `--lm` has replaced."""


@contextmanager
def session(
    model: Model,
    *,
    private: bool,
    answers: Path | None = None,
    ledger: Path | None = None,
    backend: Backend | None = None,
) -> Iterator[MeteredLM]:
    """Run the block under the LM of a spec; its answers are kept in `answers`, what it spends is written to `ledger`.

    A `backend` that is given (`shared_backend`) answers, and is left open.

    Raises SpecError, before anything is sent, when private text would go to a host that is not allowed (design D16).
    """
    if private:
        check_host(model)
        _past_proxies(urlsplit(model.api_base).hostname if model.api_base else None)
    own = backend is None
    backend = backend or shared_backend(model)
    tape = Recorder(backend, model.record) if model.record is not None else None
    store, book = AnswerStore(answers), Ledger(ledger)
    meter = Meter(backend, store=store, ledger=book, tape=tape, retries=model.retries)
    threads = model.concurrency or (2 * _cores() if model.model == "offline" else 8)
    generation = {k: v for k in ("temperature", "max_tokens") if (v := getattr(model, k)) is not None}
    lm = MeteredLM(meter, concurrency=threads, **generation)
    if private:  # DSPy logs the whole example when one fails
        logging.getLogger("dspy").setLevel(logging.CRITICAL)
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    try:
        with dspy.context(lm=lm, disable_history=True, track_usage=False):
            yield lm
    finally:
        store.close()
        book.close()
        if own and hasattr(backend, "close"):
            backend.close()


def shared_backend(model: Model) -> Backend:
    """Build what answers, to be used by several sessions and then closed; the offline engine has a process for each core."""
    return backend_of(model, processes=_cores() if _cores() > 1 else 0)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def backend_of(model: Model, *, processes: int = 0) -> Backend:
    """Build what answers for a spec's [lm]; the offline engine in so many processes of its own."""
    names = _OPTIONS.get(model.model, _API if "/" in model.model else (*_API, "path"))
    options: dict[str, Any] = {k: getattr(model, k) for k in names if getattr(model, k) is not None}
    return open_backend(
        {"model": model.model} | options | ({"processes": processes} if model.model == "offline" else {})
    )


def answerer(model: Model) -> tuple[str, ...]:
    """Return what, beside spec and data, decides the answers: backend and versions. A run is taken up only by the same."""
    backend = backend_of(model)
    return backend.model, backend.identity, version("nerc"), version("dspy")


def check_host(model: Model) -> None:
    """Refuse to send private text anywhere but to loopback or to a host in `lm.allow_hosts`."""
    if "/" not in model.model:
        return
    host = urlsplit(model.api_base).hostname if model.api_base else None
    if host is None:
        raise SpecError(
            f"the corpus is private and lm.model {model.model} has no lm.api_base: its text goes only to a host that is named "
            "there and is loopback or in lm.allow_hosts (corpus.private = false, or annotate --public, if the text is public)"
        )
    if host not in _hosts(model):
        raise SpecError(
            f"the corpus is private and may not be sent to {host}: allow it with lm.allow_hosts = [{host!r}], "
            "or say corpus.private = false (annotate --public), if the text is public"
        )


def confine(program: NERProgram, model: Model) -> None:
    """Let no encoder of demonstrations send private text anywhere but to where `check_host` lets the LM have it.

    An encoder on this machine asks no hub for its model. Raises SpecError where the program's own would; what `with_settings`
    makes of the program is held to it too.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    program.pool.hosts = _hosts(model)
    select = program.extract.select
    try:
        if isinstance(select, Embedding):
            select.check()
            _past_proxies(select.encoder.host)
    except ComponentError as error:
        raise SpecError(str(error)) from None


def _hosts(model: Model) -> tuple[str, ...]:
    """Return where private text may go."""
    return (*LOOPBACK, *(allowed.lower() for allowed in model.allow_hosts))


def _past_proxies(host: str | None) -> None:
    """Keep HTTP clients from taking private text to a host by way of a proxy that the environment names."""
    for variable in ("no_proxy", "NO_PROXY") if host else ():
        os.environ[variable] = ",".join(filter(None, (os.environ.get(variable), host)))


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


def wants(model: Model) -> Mapping[str, Any]:
    """Return what a bundle says about the LM it was compiled with: never a key, never a host."""
    return {k: v for k in ("model", "temperature", "max_tokens") if (v := getattr(model, k)) is not None}
