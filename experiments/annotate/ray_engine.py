"""Annotates on Ray Data: `nerc annotate --engine ray` (extra `nerc[ray]`).

One task reads the documents on the machine of the command, actors annotate them in batches, and the command writes what comes
back, in order. Ray starts an actor again that was killed, and gives it its batch again. Answers lie in the one file of the job:
actors of the same machine open it, others ask an actor that has it open.

Texts pass through Ray's object store. Without RAY_ADDRESS, Ray is started for this command alone, on this machine: its folder
is closed to other users, whoever connects must show a token made for this process, and there is no dashboard, no usage report.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import ray
from ray.data import ActorPoolStrategy, DataContext, Datasource, ExecutionResources, ReadTask
from ray.data.block import BlockMetadata

from experiments.annotate.documents import Annotated
from experiments.annotate.worker import Batch, Engine, Job, Outcome, Worker, batches, gathered
from experiments.errors import WorkerError
from experiments.session import hosts_of
from ner_programs.lms.store import AnswerStore
from ner_programs.privacy import confined
from ner_programs.types import Document

STORE = 512 << 20
"""Bytes of Ray's object store, where this command starts Ray."""
READ_AHEAD = 128 << 20
"""Bytes of documents and annotations that may wait in the object store."""


@contextmanager
def on_ray(job: Job, workers: int | None, own: bool) -> Iterator[Engine]:
    """Annotate on the cluster of RAY_ADDRESS, or on its `own` Ray, of this machine, that lasts as long; a worker for each core.

    Raises PrivacyError where the cluster has a machine that may not have the texts.
    """
    with _connected(workers, own) as node, ExitStack() as inside:
        machines = {one["NodeID"]: one["NodeManagerAddress"] for one in ray.nodes() if one["Alive"]}
        here = machines.pop(node)
        replace(job.privacy, allow_hosts=(here, *hosts_of(job.model))).share(machines.values())
        if not job.privacy.may_connect:
            inside.enter_context(confined(hosts_of(job.model)))
        size = workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)
        yield gathered(partial(_outcomes, job, size, node))


@contextmanager
def _connected(workers: int | None, own: bool) -> Iterator[str]:
    """Connect to Ray, or start it; yield the id of this machine in it."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with ExitStack() as closing:
        if not ray.is_initialized():
            if own:
                folder = tempfile.mkdtemp(prefix="nerc-")  # of mode 0700; Ray opens its own folder in it to all
                closing.callback(shutil.rmtree, folder, ignore_errors=True)
                quiet |= {"address": "local", "include_dashboard": False, "num_cpus": workers}
                quiet |= {"_temp_dir": f"{folder}/r", "object_store_memory": STORE}
            closing.callback(ray.shutdown)  # before its folder is removed
            ray.init(**quiet)
        yield ray.get_runtime_context().get_node_id()


def _outcomes(job: Job, workers: int, node: str) -> Iterator[Outcome]:
    here, folder = {"ray.io/node-id": node}, str(Path.cwd())
    answers, keeper = job.answers and job.answers.absolute(), None
    if len(ray.nodes()) > 1 and answers is not None:
        keeper = ray.remote(num_cpus=0, label_selector=here)(AnswerStore).remote(answers)
    documents, begun = _Documents(job.elsewhere, job.width(workers), folder), iter(job.documents)
    with DataContext.current(_settings()):
        found = ray.data.read_datasource(documents, num_cpus=0, override_num_blocks=1, label_selector=here).map(
            Annotator,
            fn_constructor_args=(job.worker(answers), folder, node, keeper),
            compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
            num_cpus=1,
        )
        for row in found.iter_rows():
            outcome: Outcome = row["outcome"]
            _check_same(outcome.annotated, begun)
            yield outcome


def _settings() -> DataContext:
    context = DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = 1  # each batch is a block, for any actor
    context.execution_options.preserve_order = True
    context.execution_options.resource_limits = ExecutionResources.for_limits(object_store_memory=READ_AHEAD)
    return context


def _check_same(found: list[Annotated], begun: Iterator[Document]) -> None:
    """Go on in the documents as this process reads them. Raises WorkerError where another process has read others."""
    if [document.id for document in islice(begun, len(found))] != [one.document.id for one in found]:
        raise WorkerError("the inputs are not what they were when the command began")


class Annotator:
    """An actor that annotates. It works in the folder of the command, where its machine has it, so that paths mean the same."""

    def __init__(self, worker: Worker, folder: str, node: str, keeper: Any) -> None:
        if os.path.isdir(folder):
            os.chdir(folder)
        self.worker = worker
        if ray.get_runtime_context().get_node_id() != node:
            worker.answers = None if keeper is None else AnswersElsewhere(keeper)

    def __call__(self, row: dict[str, Batch]) -> dict[str, Outcome]:
        """Annotate a batch of documents."""
        return {"outcome": self.worker(row["batch"])}


class AnswersElsewhere(AnswerStore):
    """The store of answers that an actor on the machine of the command has open."""

    def __init__(self, keeper: Any) -> None:
        self._keeper = keeper

    def get(self, key: str) -> Any:
        """Return the answer to the request `key`, or None."""
        return ray.get(self._keeper.get.remote(key))

    def put(self, key: str, answer: Any) -> None:
        """Keep an answer."""
        ray.get(self._keeper.put.remote(key, answer))

    def __len__(self) -> int:
        found: int = ray.get(self._keeper.__len__.remote())
        return found

    def close(self) -> None:
        """Leave it to the others."""


class _Documents(Datasource):
    """The documents, read by one task; a row is a batch of them."""

    def __init__(self, documents: Iterable[Document], width: int, folder: str) -> None:
        super().__init__()
        self.documents, self.width, self.folder = documents, width, folder

    def get_read_tasks(self, *args: Any, **options: Any) -> list[ReadTask]:
        """Return the one task that reads."""
        read = partial(_read, self.documents, self.width, self.folder)
        return [ReadTask(read, BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None))]

    def estimate_inmemory_data_size(self) -> None:
        """Say that it is not known."""


def _read(documents: Iterable[Document], width: int, folder: str) -> Iterator[pd.DataFrame]:
    os.chdir(folder)
    for batch in batches(documents, width):
        yield pd.DataFrame({"batch": pd.Series([batch], dtype=object)})
