"""Runs the command line in forks of a process that has made a run already: seconds saved with each run.

The server (`python -m tests.warm`) is a process of its own, so that no thread of the tests is forked. A run can be killed.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


@dataclass
class Ran:
    """How a run ended: `code` is negative for the signal that killed it."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        said: dict[str, Any] = json.loads(self.stdout)
        return said


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a process that keeps its caches in `folder` and calls nobody."""
    cache = folder / "cache"
    own = {"NERC_CACHE": str(cache), "DSPY_CACHEDIR": str(cache / "dspy"), "PYTHONPATH": str(ROOT)}
    return {**os.environ, **own, "LITELLM_LOCAL_MODEL_COST_MAP": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}


class Warm:
    """The client: `begin` forks a run, `end` waits for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment(folder), cwd=ROOT,
        )  # fmt: skip
        self.out = self.err = Path()
        self.number = 0

    def begin(self, *argv: str, cwd: Path, env: dict[str, str] | None = None, before: str = "") -> int:
        """Start `nerc ARGV` in `cwd`; `before` is Python to run in its process first. Returns the process id."""
        self.out, self.err = (Path(tempfile.mkstemp(dir=self.folder)[1]) for _ in range(2))
        command = {"argv": argv, "cwd": str(cwd), "env": env or {}, "before": before}
        self.number += 1
        self._say(command | {"number": self.number, "out": str(self.out), "err": str(self.err)})
        return int(self._hear())

    def end(self) -> Ran:
        """Wait for the run that was begun."""
        return Ran(int(self._hear()), self.out.read_text(), self.err.read_text())

    def run(self, *argv: str, cwd: Path, env: dict[str, str] | None = None, before: str = "") -> Ran:
        """Start a run and wait for it."""
        self.begin(*argv, cwd=cwd, env=env, before=before)
        return self.end()

    def close(self) -> None:
        """End the server."""
        assert self.server.stdin is not None and self.server.stdout is not None
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()

    def _say(self, command: dict[str, Any]) -> None:
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps(command) + "\n")
        self.server.stdin.flush()

    def _hear(self) -> str:
        """Return what is said next of the last run; a test that was broken off has left what was said of its own."""
        assert self.server.stdout is not None
        for line in self.server.stdout:
            number, said = line.split()
            if int(number) == self.number:
                return said
        raise AssertionError("the warmed process has ended")


@cache
def shared() -> Warm:
    """Return the one server of this test process."""
    warm = Warm(Path(tempfile.mkdtemp(prefix="nerc-warm-")))
    atexit.register(shutil.rmtree, warm.folder, ignore_errors=True)
    atexit.register(warm.close)
    return warm


def empty_store() -> Path:
    """Return MLflow's store without a run, made once for all test processes: it takes MLflow seconds."""
    folder = Path(os.environ.get("NERC_TESTS") or tempfile.gettempdir()) / "store"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "mlflow.db").exists():
            from experiments.tracking import open_store

            with warnings.catch_warnings(action="ignore"):  # MLflow's own
                open_store(folder)
    return folder / "mlflow.db"


def fresh_home(folder: Path) -> Path:
    """Return an `mlruns` folder with an empty store."""
    folder.mkdir(parents=True)
    shutil.copy(empty_store(), folder)
    return folder


SPEC = """
[program]
format = { name = "tanl" }
verify = { name = "llm", k = 2 }
[optimizer]
name = "random_search"
candidates = 2
k = 2
budget = { calls = 20 }
[lm]
model = "hosted_vllm/tiny"
"""


def first_run(folder: Path) -> None:
    """Make a run here: what is imported, configured and compiled at the first one is there for all that follow."""
    from experiments.cli import main
    from tests.loopback import Loopback
    from tests.tiny import CORPUS, write_corpus

    home = fresh_home(folder / "mlruns")
    write_corpus(folder / "notes", train=4, dev=2, test=2)
    (folder / "first.toml").write_text(CORPUS + SPEC)
    said, lookup = io.StringIO(), socket.getaddrinfo
    with Loopback() as server, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        base = ("--set", f"lm.api_base={server.base}")
        sys.argv = ["nerc", "run", str(folder / "first.toml"), *base, "--home", str(home), "--json"]
        with contextlib.suppress(SystemExit):
            main()
    assert '"test"' in said.getvalue(), said.getvalue()
    socket.getaddrinfo = lookup  # each run guards it by itself
    assert threading.active_count() == 1, threading.enumerate()


@cache
def no_waiting_for_the_disk() -> None:
    """MLflow commits dozens of times a run, and to wait for the disk each time takes minutes where others write to it.

    What a killed process has written is there all the same.
    """
    from sqlalchemy import Engine, event

    event.listen(Engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))


def serve() -> None:
    from importlib import import_module

    from tqdm import tqdm

    from ner_programs.components import names

    for package in (
        "ner_programs.formats",
        "ner_programs.demos",
        "ner_programs.lms",
        "ner_programs.verifiers",
        "ner_programs.attributes",
        "optimizers",
    ):
        for name in names(package):
            import_module(f"{package}.{name}")
    for module in ("runs.estimate", "reference_run", "commands.tables", "commands.annotate", "corpora.jsonl"):
        import_module(f"experiments.{module}")
    for module in ("mlflow.store.tracking.sqlalchemy_store", "pygments", "rich.markup", "dspy.clients.lm_local"):
        import_module(module)

    no_waiting_for_the_disk()
    commands, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    tqdm.monitor_interval = 0  # it would be a thread
    tqdm.set_lock(threading.RLock())  # its own is one for all processes: a run that is killed may hold it for ever
    first_run(Path(os.environ["NERC_CACHE"]).parent / "first")
    gc.collect()
    gc.freeze()
    with os.fdopen(commands) as lines:
        for line in lines:
            command = json.loads(line)
            pid = os.fork()
            if pid == 0:
                os.close(answers)
                _child(command)
            os.write(answers, f"{command['number']} {pid}\n".encode())
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            os.write(answers, f"{command['number']} {code}\n".encode())


def _child(command: dict[str, Any]) -> None:
    code: Any = 0
    try:
        for name, number in (("out", 1), ("err", 2)):
            os.dup2(os.open(command[name], os.O_WRONLY | os.O_TRUNC), number)
        os.environ.update(command["env"])
        os.chdir(command["cwd"])
        sys.argv = ["nerc", *command["argv"]]
        exec(command["before"], {})
        from experiments.cli import main

        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


if __name__ == "__main__":
    serve()
