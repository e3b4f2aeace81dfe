"""The file of MLflow's store: made beside its place and moved there when whole, so that a kill leaves no half of one.

What calls these holds the lock of the folder. MLflow makes its tables in dozens of steps, and cannot go on in the middle.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import typer

SIDES = ("", "-journal", "-wal", "-shm")
"""What sqlite adds to the name of a file for the files beside it."""


def url(file: Path) -> str:
    """Return the address that MLflow knows a sqlite file by; what a database URL gives a meaning is escaped."""
    escaped = str(file).replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{escaped}"


def ready(file: Path) -> None:
    """Have a whole store at `file`: one that an earlier version was killed in the middle of is set aside, and this is said."""
    if file.exists() and not is_whole(file):
        aside = _set_aside(file)
        typer.echo(f"nerc: {file} was never made whole and holds no runs; it is now {aside.name}", err=True)
    if not file.exists():
        _make(file)


def is_whole(file: Path) -> bool:
    """Say whether a store was made to its end: MLflow's last step writes its first experiment.

    True also for what sqlite cannot read: MLflow says what is wrong with it.
    """
    try:
        db = sqlite3.connect(file, timeout=60)
        try:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            return "experiments" in tables and bool(db.execute("SELECT 1 FROM experiments").fetchone())
        finally:
            db.close()
    except sqlite3.Error:
        return True


def _make(file: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import (
        SqlAlchemyStore,
    )  # it takes seconds, and a whole store needs none of it

    beside = file.with_name(f".{file.name}.new")
    for side in SIDES:
        beside.with_name(beside.name + side).unlink(missing_ok=True)  # of one that was killed
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
