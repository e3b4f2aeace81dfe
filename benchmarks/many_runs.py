"""What `list runs`, `compare` and `report` cost with thousands of runs in the store: CPU seconds beyond starting the process.

    python -m benchmarks.many_runs [--runs 1000 10000]

One run on the sample notes with the in-context CRF is made, and copied within MLflow's database as often as is wanted, with its
params, metrics and tags. All but twenty copies are in one experiment. Everything is imported before, by the same verbs in a
store of 21 runs, and MLflow opens each store anew.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import uuid4

FEW = 20
TABLES = {"tags": "key, value", "params": "key, value", "latest_metrics": "key, value, timestamp, step, is_nan",
          "metrics": "key, value, timestamp, step, is_nan"}  # fmt: skip
RUN = (
    "name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, source_version, "
    "lifecycle_stage, artifact_uri"
)
EXPERIMENT = "artifact_location, lifecycle_stage, creation_time, last_update_time, workspace"


def first_run(home: Path) -> str:
    """Make one run on the sample notes, and return its id."""
    import experiments

    changes = [
        "program.demos={name='tfidf',k=2}", "optimizer={name='random_search',candidates=2,search={'demos.k'=[4]}}",
        "corpus.sample={dev=12,test=0}",
    ]  # fmt: skip
    return experiments.run("wardnotes", changes=changes, home=home).run_id


def grow(home: Path, run_id: str, runs: int) -> tuple[str, str]:
    """Add copies of a run until there are `runs`; all but FEW in the run's own experiment. Return the ids of two of the FEW."""
    with closing(sqlite3.connect(home / "mlflow.db")) as db, db:
        db.execute("PRAGMA synchronous = OFF")
        (own,) = db.execute("SELECT experiment_id FROM runs WHERE run_uuid = ?", (run_id,)).fetchone()
        db.execute(
            f"INSERT INTO experiments (experiment_id, name, {EXPERIMENT}) "
            f"SELECT experiment_id + 1000, 'few', {EXPERIMENT} FROM experiments WHERE experiment_id = ?",
            (own,),
        )
        names = [(uuid4().hex, own + 1000 if n < FEW else own) for n in range(runs - 1)]
        db.execute("CREATE TEMP TABLE copies (id TEXT, experiment INTEGER)")
        db.executemany("INSERT INTO copies VALUES (?, ?)", names)
        db.execute(
            f"INSERT INTO runs (run_uuid, experiment_id, {RUN}) "
            f"SELECT id, experiment, {RUN} FROM runs, copies WHERE run_uuid = ?",
            (run_id,),
        )
        for table, columns in TABLES.items():
            db.execute(
                f"INSERT INTO {table} (run_uuid, {columns}) SELECT id, {columns} FROM {table}, copies WHERE run_uuid = ?",
                (run_id,),
            )
    return names[0][0], names[1][0]


def measured(home: Path, a: str, b: str) -> dict[str, float]:
    """Return the CPU seconds of each verb."""
    from experiments.commands import verbs

    verb: dict[str, Callable[[], None]] = {
        "list runs": lambda: verbs.list_kind("runs", home, json=False),
        "compare two": lambda: verbs.compare([a[:10], b[:10]], None, "dev", None, home, json=False),
        f"compare an experiment of {FEW}": lambda: verbs.compare([], "few", "dev", None, home, json=False),
        "report": lambda: verbs.report(a[:10], None, home, json=False),
    }
    took = {}
    for name, call in verb.items():
        out = io.StringIO()
        before = time.process_time()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            call()
        took[name] = time.process_time() - before
    return took


def main() -> None:
    """Print a line for each number of runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "mlruns"
        run_id = first_run(made)
        for runs in [FEW + 1, *options.runs]:
            home = Path(folder) / str(runs)
            home.mkdir()
            shutil.copy(made / "mlflow.db", home)
            two = grow(home, run_id, runs)
            print(
                f"{runs:,} runs:",
                ", ".join(f"{verb} {s:.2f} s" for verb, s in measured(home, *two).items()),
                flush=True,
            )


if __name__ == "__main__":
    main()
