"""Killed with -9 while MLflow's store is made: the next command makes it, and what an earlier version left is set aside.

The kill falls on a statement that is about to be executed, not on a moment: so no test depends on the speed of the machine.
`NERC_THOROUGH=1` kills often.
"""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tests import warm
from tests.effort import often

KILLS = often(1, 30)
COUNTED = """
import os, pathlib, signal
import sqlalchemy
said = [0]
@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "before_cursor_execute")
def count(*args):
    said[0] += 1
    if said[0] == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
home = pathlib.Path("mlruns")
home.mkdir(exist_ok=True)
{make}
print(said[0])
"""
OURS = "import experiments.tracking; experiments.tracking.open_store(home)"
EARLIER = "import mlflow; mlflow.MlflowClient('sqlite:///mlruns/mlflow.db').search_experiments(1)"
BEFORE_THE_MOVE = "pathlib.Path.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)"
READ = ("list", "runs")


def nerc(folder: Path, *words: str, before: str = "") -> warm.Ran:
    home = {"NERC_HOME": str(folder / "mlruns")}
    return warm.shared().run(*(words or ("list", "formats")), cwd=folder, env=home, before=before)


def killed(folder: Path, make: str, at: int) -> None:
    """Make a store, and die where a statement would be executed: the one of number `at`."""
    assert nerc(folder, before=COUNTED.format(at=at, make=make)).code == -signal.SIGKILL


@pytest.fixture(scope="module")
def statements(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many statements make a store."""
    return int(nerc(tmp_path_factory.mktemp("whole"), before=COUNTED.format(at=0, make=OURS)).stdout.split()[0])


def left(folder: Path) -> list[str]:
    return sorted(f.name for f in (folder / "mlruns").iterdir() if f.name != ".store.lock")


def test_a_store_is_there_when_it_is_whole(statements: int, tmp_path: Path) -> None:
    assert statements > 500
    for at in random.Random(1).sample(range(1, statements), KILLS):
        killed(tmp_path, OURS, at)
        assert "mlflow.db" not in left(tmp_path)
    killed(tmp_path, f"{BEFORE_THE_MOVE}\n{OURS}", 0)
    assert "mlflow.db" not in left(tmp_path)

    made = nerc(tmp_path, before=COUNTED.format(at=0, make=OURS))
    assert made.code == 0 and not made.stderr
    assert left(tmp_path) == ["mlflow.db"]
    assert nerc(tmp_path, *READ).code == 0


def test_half_a_store_of_an_earlier_version_is_set_aside(statements: int, tmp_path: Path) -> None:
    aside = 0
    for at in random.Random(2).sample(range(1, statements), KILLS):
        folder = tmp_path / str(at)
        folder.mkdir()
        killed(folder, EARLIER, at)
        half = [name for name in left(folder) if name == "mlflow.db"]
        read = nerc(folder, *READ)
        assert read.code == 0, (at, read.stderr)
        assert read.stderr.count("was never made whole") == left(folder).count("mlflow.db.unfinished-1") == len(half)
        assert nerc(folder, before=COUNTED.format(at=0, make=OURS)).code == 0
        aside += len(half)
    assert aside > 0
