"""The one place that configures DSPy: caches off, history off, and the metered LM of a spec in front."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dspy

from experiments._errors import SpecError
from experiments.spec import Model
from ner_programs.lms import open_backend
from ner_programs.lms._ledger import Ledger
from ner_programs.lms._store import AnswerStore
from ner_programs.lms.metered import Backend, Meter, MeteredLM
from ner_programs.lms.replay import Recorder

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_BACKEND = ("model", "api_base", "api_version", "timeout", "price", "path")


@contextmanager
def session(
    model: Model, *, private: bool, answers: Path | None = None, ledger: Path | None = None
) -> Iterator[MeteredLM]:
    """Run the block under the LM of a spec; its answers are kept in `answers`, what it spends is written to `ledger`.

    Raises SpecError, before anything is sent, when private text would go to a host that is not allowed (design D16).
    """
    if private:
        check_host(model)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    backend = backend_of(model, processes=cores if cores > 1 else 0)
    if model.record is not None:
        backend = Recorder(backend, model.record)
    store, book = AnswerStore(answers), Ledger(ledger)
    meter = Meter(backend, store=store, ledger=book, retries=model.retries)
    threads = model.concurrency or (2 * cores if model.model == "offline" else 8)
    generation = {k: v for k in ("temperature", "max_tokens") if (v := getattr(model, k)) is not None}
    lm = MeteredLM(meter, concurrency=threads, **generation)
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    try:
        with dspy.context(lm=lm, disable_history=True, track_usage=False):
            yield lm
    finally:
        store.close()
        book.close()
        if hasattr(backend, "close"):
            backend.close()


def backend_of(model: Model, *, processes: int = 0) -> Backend:
    """Build what answers for a spec's [lm]; the offline engine in so many processes of its own."""
    options: dict[str, Any] = {k: getattr(model, k) for k in _BACKEND if getattr(model, k) is not None}
    return open_backend(options | ({"processes": processes} if model.model == "offline" else {}))


def check_host(model: Model) -> None:
    """Refuse to send private text anywhere but to loopback or to a host in `lm.allow_hosts`."""
    if "/" not in model.model:
        return
    host = urlsplit(model.api_base).hostname if model.api_base else None
    if host is None:
        raise SpecError(
            f"the corpus is private and lm.model {model.model} has no lm.api_base: its text goes only to a host that is named "
            "there and is loopback or in lm.allow_hosts (corpus.private = false, if the text is public)"
        )
    if host not in (*LOOPBACK, *model.allow_hosts):
        raise SpecError(
            f"the corpus is private and may not be sent to {host}: allow it with lm.allow_hosts = [{host!r}], "
            "or say corpus.private = false, if the text is public"
        )


def wants(model: Model) -> Mapping[str, Any]:
    """Return what a bundle says about the LM it was compiled with: never a key, never a host."""
    return {k: v for k in ("model", "temperature", "max_tokens") if (v := getattr(model, k)) is not None}
