"""Creates the file of MLflow's store under another name and renames it when complete, so that a kill leaves no half store.

MLflow creates its tables in dozens of steps and cannot continue in the middle. Callers hold the lock of the folder.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import typer

from experiments.errors import TrackingError

SIDES = ("", "-journal", "-wal", "-shm")
"""Suffixes of the files that sqlite keeps with a database."""


def url(file: Path) -> str:
    """Return MLflow's URL of a sqlite file, with the special characters of a database URL escaped."""
    escaped = str(file).replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{escaped}"


def ready(file: Path) -> None:
    """Make sure that `file` is a complete store. An incomplete one is set aside with a message."""
    if file.exists() and not is_whole(file):
        aside = _set_aside(file)
        typer.echo(f"nerc: {file} was never made whole and holds no runs; it is now {aside.name}", err=True)
    if not file.exists():
        _make(file)


def is_whole(file: Path) -> bool:
    """Return whether a store is complete: MLflow's last step writes its first experiment.

    Raises TrackingError for what sqlite cannot read: MLflow would retry for most of a minute.
    """
    try:
        db = sqlite3.connect(file, timeout=60)
        try:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            return "experiments" in tables and bool(db.execute("SELECT 1 FROM experiments").fetchone())
        finally:
            db.close()
    except sqlite3.Error as error:
        raise TrackingError(f"{file} is no store of runs: {error}") from error


def _make(file: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import (
        SqlAlchemyStore,
    )  # importing takes seconds, and a complete store does not need it

    beside = file.with_name(f".{file.name}.new")
    for side in SIDES:
        beside.with_name(beside.name + side).unlink(missing_ok=True)  # left by a killed process
    store = SqlAlchemyStore(url(beside), str(file.parent / "artifacts"))
    store.engine.dispose()
    beside.replace(file)


def _set_aside(file: Path) -> Path:
    number = 1
    while (aside := file.with_name(f"{file.name}.unfinished-{number}")).exists():
        number += 1
    for side in reversed(SIDES):
        if (part := file.with_name(file.name + side)).exists():
            part.rename(aside.with_name(aside.name + side))
    return aside
