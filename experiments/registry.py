"""Compiled programs in MLflow: `runs:/<run id>` and `models:/<name>@<alias>` to a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow

from experiments import places, tracking
from experiments._errors import TrackingError
from kb import open_kb
from ner_programs import bundle
from ner_programs.program import NERProgram


def fetch(where: str, home: Path | None = None) -> NERProgram:
    """Load the program of a run, or of a registered model version; its knowledge base comes from `mlruns/kb/`."""
    home = places.home(home)
    client = tracking.open_store(home)
    run_id = (
        where.removeprefix("runs:/") if where.startswith("runs:/") else _run_of(client, where.removeprefix("models:/"))
    )
    run = tracking.find_run(client, run_id)
    local = Path(run.data.tags.get("nerc.bundle", ""))
    if (local / "program.json").is_file():
        return bundle.load(local)
    if run.data.tags.get("nerc.private") == "true":
        raise TrackingError(f"the bundle of this run holds private text and lay in {local}; it is no longer there")
    folder = Path(client.download_artifacts(run.info.run_id, "bundle"))
    kb = home / "kb" / run.data.tags.get("nerc.kb_fingerprint", "none")
    return bundle.load(folder, kb=open_kb(kb) if kb.is_dir() else None)


def register(run_id: str, name: str, alias: str, home: Path | None = None) -> str:
    """Give the program of a run a name and an alias in MLflow's model registry; return the version.

    What is registered is the run's bundle, as plain files: no pickle, no key.
    """
    client = tracking.open_store(places.home(home))
    run = tracking.find_run(client, run_id)
    try:
        client.create_registered_model(name)
    except mlflow.exceptions.MlflowException:
        client.get_registered_model(name)
    version: Any = client.create_model_version(name, f"{run.info.artifact_uri}/bundle", run.info.run_id)
    client.set_registered_model_alias(name, alias, version.version)
    return str(version.version)


def _run_of(client: Any, model: str) -> str:
    name, at, alias = model.partition("@")
    try:
        found = client.get_model_version_by_alias(name, alias) if at else client.get_model_version(*name.split("/"))
    except (mlflow.exceptions.MlflowException, TypeError) as error:
        raise TrackingError(f"there is no models:/{model}; write it as models:/<name>@<alias>") from error
    return str(found.run_id)
