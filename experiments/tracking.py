"""MLflow tracking: one store in `mlruns/`, one run for each compilation, each trial recorded as soon as it is finished.

Of a text that may be logged everything useful is. Of another (design D12) only what has no text: settings, scores, counts
for each row, fingerprints, and the path of the bundle.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
from filelock import FileLock
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri
from sqlalchemy.exc import SQLAlchemyError

from experiments.errors import TrackingError
from experiments.runs import stores, views
from experiments.runs.models import log_model, log_prompts, privacy_of, tag_of
from experiments.runs.paging import every_experiment, every_run
from experiments.runs.trial_runs import TrialRuns, shown
from experiments.scoring.curves import incumbents
from experiments.scoring.significance import interval
from ner_programs.bundle.state import state_of
from ner_programs.privacy import Privacy
from ner_programs.program import NERProgram
from optimizers.trial import Trial

PROGRAMS = "attributes.status = 'FINISHED' AND tags.`nerc.kind` = 'program'"
"""A filter for the runs to compare. Other kinds are a grid (its cells are programs), a trial and a fold."""
DRAWN = ("trial_f1", "best_f1", "trial_lm_calls", "trial_documents")
"""Metrics of a trial that are also steps of its parent run's metrics, for charts."""
RESAMPLES = 2_000  # for the interval of a trial

logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(
    logging.CRITICAL
)  # it logs the traceback of an error that it also raises


@contextmanager
def tracking_errors() -> Iterator[None]:
    """Turn errors of MLflow and of its database into a TrackingError of one line."""
    try:
        yield
    except (mlflow.exceptions.MlflowException, SQLAlchemyError, sqlite3.Error) as error:
        lines = [line for line in str(error).strip().splitlines() if "autoflush" not in line]
        message = lines[0] if lines else type(error).__name__
        raise TrackingError(f"MLflow: {message}") from error


@tracking_errors()
def open_store(home: Path) -> mlflow.MlflowClient:
    """Open the store, and create it if there is none. A lock admits one process at a time."""
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".store.lock"):
        stores.ready(home / "mlflow.db")
        store = stores.url(home / "mlflow.db")  # the only address: MLflow's environment variables are ignored
        client = mlflow.MlflowClient(tracking_uri=store, registry_uri=store)
        client.search_experiments(max_results=1)
    mlflow.tracing.disable()
    return client


def existing_store(home: Path) -> mlflow.MlflowClient:
    """Open the store for reading. Raises TrackingError if there is none."""
    if not (home / "mlflow.db").is_file():
        raise TrackingError(f"there are no runs in {home}; make some with `nerc run`")
    return open_store(home)


class Tracker:
    """Records one run while it goes on."""

    def __init__(self, client: mlflow.MlflowClient, run: Any, *, privacy: Privacy, compiles: bool) -> None:
        self.client, self.run_id, self.privacy = client, str(run.info.run_id), privacy
        self._seen: list[tuple[int, float, float]] = []
        self._steps: frozenset[int] = frozenset()
        self._trials = TrialRuns(client, run, self._log, privacy) if compiles else None
        self._of_model: dict[str, str] = {}

    @classmethod
    @tracking_errors()
    def start(
        cls, home: Path, experiment: str, run_name: str, params: Mapping[str, str], tags: Mapping[str, str],
        parent: str | None = None, *, privacy: Privacy,
    ) -> Tracker:  # fmt: skip
        """Start a run in `experiment`, nested in the run `parent`; `params` are settings, `tags` get the prefix `nerc.`.

        `privacy` says whether its texts may be logged.
        """
        client = open_store(home)
        run = client.create_run(_experiment(client, home, experiment), run_name=run_name)
        compiles = params.get("optimizer.name") != "none"
        tracker = cls(client, run, privacy=privacy, compiles=compiles)
        tags = {"kind": "program", **tags}
        marks = [RunTag(f"nerc.{k}", v[:5000]) for k, v in {**tags, "version": version("nerc")}.items()]
        shown = {**tag_of(privacy), "mlflow.source.name": "nerc run", "mlflow.source.type": "LOCAL"}
        shown |= {"mlflow.parentRunId": parent} if parent else {}
        client.log_batch(
            tracker.run_id, params=_params(params), tags=[*marks, *(RunTag(k, v) for k, v in shown.items())]
        )
        if corpus := tags.get("corpus"):
            data = Dataset(corpus, tags["corpus_fingerprint"], "nerc", json.dumps({"corpus": corpus}))
            client.log_inputs(tracker.run_id, datasets=[DatasetInput(data)])
        return tracker

    @classmethod
    @tracking_errors()
    def resume(cls, home: Path, run_id: str) -> Tracker:
        """Resume an interrupted run. The metrics of its recorded trials are not written again."""
        client = open_store(home)
        try:
            client.update_run(run_id, status="RUNNING")
            run = client.get_run(run_id)
        except mlflow.exceptions.MlflowException as error:
            raise TrackingError(f"the interrupted run {run_id} is no longer in {home}") from error
        privacy, compiles = privacy_of(run), run.data.params.get("optimizer.name") != "none"
        tracker = cls(client, run, privacy=privacy, compiles=compiles)
        tracker._steps = frozenset(m.step for m in client.get_metric_history(run_id, "trial_lm_calls"))
        if tracker._trials is not None:
            tracker._trials.resume()
        return tracker

    def trial(self, trial: Trial) -> None:
        """Write a finished trial: its score as a step and as a nested run, and the state of its program if that may be logged.

        If nothing is compiled, the only trial is the run itself, and only its state is written.
        """
        total = trial.scored.total
        self._seen.append((trial.documents, total.f1, total.f1))
        lo, hi = interval(trial.scored.counts, RESAMPLES) if trial.scored.counts else (0.0, 0.0)
        values = {
            "trial_f1_lo": lo, "trial_f1_hi": hi, "best_f1": incumbents(self._seen)[-1],
            "trial_f1": total.f1, "trial_precision": total.precision, "trial_recall": total.recall,
            "trial_lm_calls": trial.calls, "trial_documents": trial.documents, "trial_unanswered": total.unanswered,
        }  # fmt: skip
        values = {k: round(v, 4) for k, v in values.items()}
        if not trial.documents:  # nothing was counted
            values = {k: v for k, v in values.items() if k in ("trial_lm_calls", "trial_documents")}
        if self._trials is not None:
            drawn = {k: v for k, v in values.items() if k in DRAWN}
            if trial.number not in self._steps:
                self.metrics(drawn, step=trial.number)
            with tracking_errors():
                figures = {k: v for k, v in values.items() if k != "best_f1"}
                self._trials.write(trial, figures)
        about = {"trial": trial.number, "changes": shown(trial.changes, self.privacy), **values}
        state = state_of(trial.program)
        if not self.privacy.may_log:
            state = {k: {"demos": [d.get("id") for d in v["demos"]]} for k, v in state.items()}
        self.file(f"trials/{trial.number:04d}.json", {**about, "state": state})

    @tracking_errors()
    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Write metrics in one request."""
        self._log(self.run_id, values, step=step)

    def _log(
        self, run_id: str, values: Mapping[str, float], params: Mapping[str, str] | None = None, step: int = 0
    ) -> None:
        now = mlflow.utils.time.get_current_time_millis()
        model = self._of_model if run_id == self.run_id else {}
        metrics = [Metric(k, float(v), now, step, **model) for k, v in values.items()]
        self.client.log_batch(run_id, metrics=metrics, params=_params(params or {}))

    @tracking_errors()
    def model(self, bundle: Path, first: NERProgram, program: NERProgram) -> None:
        """Make the run's model: the metrics that follow are the model's, too. A public one has its instructions registered."""
        run = self.client.get_run(self.run_id)
        made, tags = log_model(self.client, run, str(bundle)), run.data.tags
        data = {"dataset_name": tags["nerc.corpus"], "dataset_digest": tags["nerc.corpus_fingerprint"]}
        self._of_model = {"model_id": made, **data}
        if self.privacy.may_log:
            log_prompts(self.client, run, made, first, program)

    @tracking_errors()
    def tag(self, name: str, value: str) -> None:
        """Set a tag with the prefix `nerc.`."""
        self.client.set_tag(self.run_id, f"nerc.{name}", value)

    @tracking_errors()
    def describe(self, text: str) -> None:
        """Set the description at the head of the run's page."""
        self.client.set_tag(self.run_id, "mlflow.note.content", text)

    @tracking_errors()
    def file(self, name: str, content: Any) -> None:
        """Write an artifact: text as it is, anything else as JSON."""
        text = content if isinstance(content, str) else json.dumps(content, indent=1, ensure_ascii=False)
        self.client.log_text(self.run_id, text, name)

    @tracking_errors()
    def folder(self, local: Path, name: str) -> None:
        """Copy the files of a folder into the run's artifacts. Subfolders (a knowledge base) are left out: see `mlruns/kb/`."""
        for file in sorted(local.iterdir()):
            if file.is_file():
                self.client.log_artifact(self.run_id, str(file), name)

    @tracking_errors()
    def end(self, status: str = "FINISHED") -> None:
        """Close the run: FINISHED, FAILED or KILLED."""
        self.client.set_terminated(self.run_id, status)


def _params(settings: Mapping[str, str]) -> list[Param]:
    """Return settings with names that MLflow accepts: other characters, as in labels or semantic types, become "_"."""
    named: dict[str, str] = {}
    for key, value in settings.items():
        name = re.sub(r"[^\w. :-]", "_", key)
        while name in named:
            name += "_"
        named[name] = value
    return [Param(name, value[:6000]) for name, value in named.items()]


@tracking_errors()
def find_runs(client: mlflow.MlflowClient, experiment: str, scored: str | None = None) -> list[Any]:
    """Return all finished runs of an experiment, or only those with the metric `scored`, oldest first.

    Raises TrackingError for an unknown experiment.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None:
        names = ", ".join(sorted(e.name for e in every_experiment(client))) or "none"
        raise TrackingError(f"there is no experiment {experiment!r}; there are: {names}")
    having = f"{PROGRAMS} AND metrics.`{scored}` >= 0" if scored else PROGRAMS
    return list(every_run(client, [found.experiment_id], having))


@tracking_errors()
def children(client: mlflow.MlflowClient, run_id: str) -> list[Any]:
    """Return all child runs of a run except its trials, whatever their status, oldest first."""
    run = client.get_run(run_id)
    within = f"tags.mlflow.parentRunId = '{run_id}' AND tags.`nerc.kind` != 'trial'"
    return list(every_run(client, [run.info.experiment_id], within))


@tracking_errors()
def find_run(client: mlflow.MlflowClient, run_id: str) -> Any:
    """Return a run by its id, or by the id's first characters."""
    try:
        return client.get_run(run_id)
    except mlflow.exceptions.MlflowException:
        within = f"attributes.run_id LIKE '{run_id}%'"
        there = [e.experiment_id for e in every_experiment(client)] if re.fullmatch("[0-9a-f]+", run_id) else []
        near = list(every_run(client, there, within)) if there else []
        if len(near) == 1:
            return near[0]
        raise TrackingError(f"{len(near) or 'no'} runs begin with {run_id!r}") from None


@tracking_errors()
def read_file(client: mlflow.MlflowClient, run_id: str, name: str) -> Any:
    """Read a JSON artifact of a run."""
    try:
        return json.loads(_artifact(client, run_id, name).read_text(encoding="utf-8"))
    except (mlflow.exceptions.MlflowException, OSError, ValueError) as error:
        raise TrackingError(f"run {run_id[:8]} has no {name}: it was not finished, or not by nerc") from error


def _artifact(client: mlflow.MlflowClient, run_id: str, name: str) -> Path:
    """Return the file of an artifact. One on this disk is read in place: MLflow's way there takes ten times as long."""
    where = str(client.get_run(run_id).info.artifact_uri)
    if is_local_uri(where):
        return Path(local_file_uri_to_path(where)) / name
    return Path(client.download_artifacts(run_id, name))


def _experiment(client: mlflow.MlflowClient, home: Path, name: str) -> str:
    """Return the id of an experiment, created under the lock if it is new, with its saved views."""
    with FileLock(home / ".store.lock"):
        found = client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage != "active":
            raise TrackingError(
                f"the experiment {name!r} was deleted in MLflow: restore it with "
                f"`mlflow experiments restore -x {found.experiment_id}`, or give the spec another name"
            )
        if found is not None:
            made = str(found.experiment_id)
        else:
            made = str(client.create_experiment(name, artifact_location=(home / "artifacts" / name).as_uri()))
        views.prepare(client, made)
        return made
