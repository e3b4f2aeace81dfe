"""The folders that nerc uses: the data directory, `mlruns/`, and the user's cache. Nothing is written anywhere else."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from kb import cache as user_cache


def data_directory(given: Path | None = None) -> Path:
    """Return `--data`, else NERC_DATA, else the data folder in the user's cache."""
    named = given or os.environ.get("NERC_DATA")
    return Path(named).absolute() if named else cache() / "data"


def cache() -> Path:
    """Return nerc's folder in the user's cache, or NERC_CACHE. Only the user can read it."""
    return user_cache.folder()


def answers(corpus: str, fingerprint: str) -> Path:
    """Return the file of recorded answers of a corpus. Each corpus has one folder, mode 0700."""
    folder = cache() / "answers" / f"{corpus}-{fingerprint[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder / "answers.db"


def home(given: Path | None = None) -> Path:
    """Return the `mlruns` folder: `--home`, else NERC_HOME, else `mlruns` in the working directory."""
    return Path(given or os.environ.get("NERC_HOME") or "mlruns").absolute()


def prepare_environment() -> None:
    """Keep libraries from writing elsewhere and from telemetry. Call it before DSPy or MLflow is imported.

    It also silences DSPy's warning for each truncated answer, because nerc counts and reports these.
    """
    logging.getLogger("dspy.clients.lm").setLevel(logging.ERROR)
    os.environ.setdefault("DSPY_CACHEDIR", str(cache() / "dspy"))
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
