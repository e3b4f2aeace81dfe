"""Who annotates: this process, several of this machine, or Ray (`ray_engine`). All find the same, in the same order."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib.util import find_spec
from multiprocessing import connection, get_context, parent_process

from experiments.annotate.documents import annotate
from experiments.annotate.worker import Batch, Engine, Job, Outcome, Worker, batches, gathered
from experiments.errors import SpecError, WorkerError
from experiments.session import at_most, session

ENGINES = ("local", "ray")


def check(name: str, workers: int | None, max_cost: float | None) -> None:
    """Raise SpecError for an engine or a number of workers that there is not, or Ray where it is not installed.

    Costs are counted in one process, so a limit for several is refused.
    """
    if name not in ENGINES:
        raise SpecError(f"--engine {name}: it is one of {', '.join(ENGINES)}")
    if name == "ray" and find_spec("ray") is None:
        raise SpecError("--engine ray: it needs Ray: pip install 'nerc[ray]'")
    if workers is not None and workers < 1:
        raise SpecError(f"--workers {workers}: it is at least 1")
    if max_cost is not None and (name == "ray" or (workers or 1) > 1):
        raise SpecError("--max-cost holds in one process: leave out --engine ray and --workers")


def running(name: str, workers: int | None, job: Job) -> AbstractContextManager[Engine]:
    """Start an engine."""
    if name == "ray":
        own = _prepare_ray()
        from experiments.annotate.ray_engine import on_ray

        return on_ray(job, workers, own)
    return here(job) if workers in (None, 1) else spawned(job, workers or 1)


def _prepare_ray() -> bool:
    """Set what Ray reads when it is imported: no usage report, errors only; a token of a Ray that this process starts.

    Ray listens on all addresses of the machine, and without a token it runs anybody's code. Returns whether this process
    starts one.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    for name, level in (("RAY_BACKEND_LOG_LEVEL", "fatal"), ("RAY_DATA_LOG_LEVEL", "ERROR")):
        os.environ.setdefault(name, level)
    own = os.environ.get("RAY_ADDRESS", "") in ("", "local")
    if own and "ray" not in sys.modules:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return own


@contextmanager
def here(job: Job) -> Iterator[Engine]:
    """Annotate in this process."""
    before = job.costs.before if job.costs is not None else 0.0
    opened = session(job.model, privacy=job.privacy, answers=job.answers, ledger=job.costs)
    with opened as lm, at_most(lm, job.max_cost, before):
        through = partial(annotate, job.program, job.documents, stopped=lambda: lm.meter.pace.stopped)
        yield Engine(through, lm.answered)


@contextmanager
def spawned(job: Job, workers: int) -> Iterator[Engine]:
    """Annotate in processes of this machine. Raises WorkerError where one ends before its work is done.

    Where the work ends early (Ctrl-C, an error) the processes end at once, and send nothing more.
    """
    context = get_context("spawn")
    told, tell = context.Pipe(duplex=False)
    with ProcessPoolExecutor(workers, context, _begin, (job.worker(job.answers), told)) as pool:
        try:
            some = batches(job.documents, job.width(workers))
            yield gathered(partial(_in_order, pool, some, 2 * workers))
        except BaseException:
            tell.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, batches: Iterator[Batch], ahead: int) -> Iterator[Outcome]:
    begun = deque[Future[Outcome]]()
    try:
        for batch in batches:
            begun.append(pool.submit(_annotated, batch))
            if len(begun) >= ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    except BrokenProcessPool:
        raise WorkerError("a worker process was ended from outside (memory?); the same command goes on") from None


_workers: list[Worker] = []


def _begin(worker: Worker, told: connection.Connection) -> None:
    """Begin the worker of this process, which ends with its parent, or when it is told so: its answers are kept by then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it, too
    _workers[:] = [worker]
    threading.Thread(target=_end, args=(told,), daemon=True).start()


def _end(told: connection.Connection) -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel, told])
    os._exit(1)


def _annotated(batch: Batch) -> Outcome:
    return _workers[0](batch)
