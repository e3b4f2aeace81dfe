"""Compiled programs in MLflow: loads `runs:/<run id>` and `models:/<name>@<alias>`, exports and registers bundles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow

from experiments import places, tracking
from experiments.errors import TrackingError
from experiments.runs.bundles import open_bundle
from experiments.runs.models import privacy_of
from ner_programs.bundle import folder as bundle
from ner_programs.privacy import Privacy
from ner_programs.program import NERProgram


@tracking.tracking_errors()
def fetch(
    where: str, home: Path | None = None, trust: Sequence[str] = (), privacy: Privacy | None = None
) -> NERProgram:
    """Load the program of a run or of a registered model version, with its knowledge base from `mlruns/kb/`."""
    home = places.home(home)
    client = tracking.existing_store(home)
    run_id = (
        where.removeprefix("runs:/") if where.startswith("runs:/") else _run_of(client, where.removeprefix("models:/"))
    )
    return open_bundle(_folder(client, tracking.find_run(client, run_id)), home, trust, privacy)


@tracking.tracking_errors()
def export(run_id: str, out: Path, home: Path | None = None) -> Path:
    """Write the bundle of a run to a folder, with its knowledge base unless the spec has `kb.bundle = "reference"`."""
    home = places.home(home)
    client = tracking.existing_store(home)
    run = tracking.find_run(client, run_id)
    program = open_bundle(_folder(client, run), home)
    return bundle.save(program, out, kb="reference" if run.data.params.get("kb.bundle") == "reference" else "carry")


@tracking.tracking_errors()
def register(run_id: str, name: str, alias: str, home: Path | None = None) -> str:
    """Register the program of a run in MLflow's model registry under a name and an alias; return the version.

    The registered model is an MLflow pyfunc made from code, without a pickle and a key. It carries the bundle, or,
    where texts may not be logged, says where it lies.
    """
    home = places.home(home)
    client = tracking.existing_store(home)
    run = tracking.find_run(client, run_id)
    _folder(client, run)
    try:
        known = client.search_registered_models(f"name = '{name}'")
        if not known:
            client.create_registered_model(name)
        version: Any = client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
        try:
            client.set_registered_model_alias(name, alias, version.version)
            _log_served(client, run, home)
        except Exception:
            client.delete_model_version(name, version.version) if known else client.delete_registered_model(name)
            if known and alias in known[0].aliases:
                client.set_registered_model_alias(name, alias, known[0].aliases[alias])
            raise
    except mlflow.exceptions.MlflowException as error:
        raise TrackingError(f"{name}@{alias} cannot be registered: {error.message}") from error
    return str(version.version)


def _log_served(client: Any, run: Any, home: Path) -> None:
    """Write the pyfunc of a run's program to its artifacts."""
    from experiments.runs import served  # it imports MLflow's pyfunc, which takes seconds

    with TemporaryDirectory() as made:
        model = Path(made) / "model"
        if privacy_of(run).may_log:
            served.save(model, {}, {"bundle": str(export(run.info.run_id, Path(made) / "bundle", home))})
        else:
            served.save(model, {"bundle": str(_folder(client, run))}, {})
        client.log_artifacts(run.info.run_id, str(model), "model")


def _folder(client: Any, run: Any) -> Path:
    """Return the folder of a run's bundle: the original, else the copy in MLflow that a run on a public corpus has."""
    place = run.data.tags.get("nerc.bundle")
    if place is None:
        raise TrackingError(
            f"run {run.info.run_id[:8]} has no bundle: it was not finished, is an uncompiled part of a grid, or is not by nerc"
        )
    if (Path(place) / "program.json").is_file():
        return Path(place)
    if not privacy_of(run).may_log:
        raise TrackingError(f"the bundle of this run holds private text and lay in {place}; it is no longer there")
    try:
        return Path(client.download_artifacts(run.info.run_id, "bundle"))
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise TrackingError(f"the bundle of run {run.info.run_id[:8]} is neither in {place} nor in MLflow") from error


def _run_of(client: Any, model: str) -> str:
    name, at, alias = model.partition("@")
    try:
        found = client.get_model_version_by_alias(name, alias) if at else client.get_model_version(*name.split("/"))
    except (mlflow.exceptions.MlflowException, TypeError) as error:
        raise TrackingError(f"there is no models:/{model}; write it as models:/<name>@<alias>") from error
    return str(found.run_id)
