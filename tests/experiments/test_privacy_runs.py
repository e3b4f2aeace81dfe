"""From the command line: no bundle sends a note anywhere, and of a private run canary and key stand where they may alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ner_programs.bundle import folder as bundle
from tests import tiny, warm
from tests.effort import THOROUGH
from tests.experiments.conftest import Place
from tests.lab import PRIVATE, Lab
from tests.loopback import MALFORMED, TRUNCATED, Loopback, quoting
from tests.ner_programs.test_privacy import Attacker, altered

CANARY, KEY = "zyxcanary7q", "sk-zyxplanted7key"
NOTE = f"Visit 9: given aspirin because of gout. Seen by {CANARY}."


@pytest.fixture
def attacker() -> Iterator[Attacker]:
    server = Attacker()
    yield server
    server.close()


BUNDLES: dict[str, tuple[dict[str, Any], str]] = {
    "api_base": ({"model": "openai/x", "api_base": "ROOT/v1"}, "of its LM a bundle says only"),
    "allow_hosts": ({"model": "openai/x", "allow_hosts": ["127.0.0.1"]}, "of its LM a bundle says only"),
    "record": ({"model": "crf", "record": "FOLDER/evil"}, "of its LM a bundle says only"),
    "replay": ({"model": "replay"}, "--lm replay .*, or --set lm.path=FILE"),
    "a role": ({"model": "crf", "prompt": {"model": "openai/x", "api_base": "ROOT/v1"}}, "of its LM a bundle says"),
    "strong": ({"model": "crf", "strong": {"model": "openai/x", "api_base": "ROOT"}}, "of its LM a bundle says only"),
    "strong, by name": ({"model": "crf", "strong": {"model": "openai/x"}}, "--set lm.strong.model=openai/x"),
    "by name": ({"model": "openai/x"}, "compiled with openai/x and does not say where that is: --lm openai/x"),
    "address as name": ({"model": "huggingface/ROOT"}, "of its LM a bundle says only"),
    "weights": ({"model": "local/x.gguf"}, "--lm local/x.gguf or, if the weights are elsewhere, --lm local/PATH.gguf"),
    "code": ({"model": "evil.backend"}, "compiled with evil.backend"),
}


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_bundle_sends_nothing_anywhere(
    kind: str, attacker: Attacker, bare: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    said, message = BUNDLES[kind]
    folder = bundle.save(tiny.program(), bare.root / "made")
    text = json.dumps(said).replace("ROOT", attacker.root).replace("FOLDER", str(bare.root))
    altered(folder, "lm", json.loads(text))
    (bare.root / "note.txt").write_text(NOTE)
    before = bare.files()
    for public in ((), ("--public",)):
        ran = bare.nerc("annotate", "made", "note.txt", *public)
        assert re.search(message, ran.error), ran.err
    assert not attacker.seen and bare.files() - before <= {bare.root / "cache"}


def test_a_redirect_ends_in_one_line(attacker: Attacker, bare: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_API_KEY", KEY)
    named = Attacker(attacker.root)
    bundle.save(tiny.program(), bare.root / "made")
    (bare.root / "note.txt").write_text(NOTE)
    where = ("--lm", "azure/x", "--set", f"lm.api_base={named.root}", "--set", "lm.api_version=2024-10-21")
    said = bare.nerc("annotate", "made", "note.txt", *where)
    assert said.code == 2 and said.out == "" and "sends requests on to another address" in said.err.splitlines()[-1]
    assert named.seen and not attacker.seen and CANARY not in said.err and KEY not in said.err
    named.close()


SPEC = """
[program]
demos = { name = "tfidf", k = 2 }
verify = { name = "llm", k = 0 }
[lm]
model = "openai/x"
retries = 0
"""
OPTIMIZERS = {
    "gepa": '{ name = "gepa", budget = { calls = 60 } }',
    "race": '{ name = "race", budget = { calls = 60 } }',
}


class Ward(Lab):
    """A folder with private notes that hold the canary, a key in the environment, and a server that may fail."""

    def __init__(self, folder: Path, server: Loopback, optimizer: str) -> None:
        super().__init__(folder, f"optimizer = {OPTIMIZERS[optimizer]}\n{PRIVATE}\n{SPEC}", train=8, dev=5, test=3)
        self.said, self.env["OPENAI_API_KEY"] = "", KEY
        for file in (folder / "notes").iterdir():
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            for row in rows:
                row["text"] += f" Seen by {CANARY}."
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "note.txt").write_text(NOTE)
        self.where = ("--set", f"lm.api_base={server.base}")

    def nerc(self, *words: str, before: str = "", **env: str) -> warm.Ran:
        ran = super().nerc(*words, before=before, **env)
        self.said += ran.stderr + ("" if words[0] == "annotate" else ran.stdout)
        return ran

    def holders(self, word: str) -> set[str]:
        """Return the files that hold a word, below the folder, by what they are."""
        files = (f for f in self.folder.rglob("*") if f.is_file() and word.encode() in f.read_bytes())
        return {str(f.relative_to(self.folder)) for f in files}


@pytest.mark.parametrize("optimizer", OPTIMIZERS if THOROUGH else ["race"])
def test_of_a_private_run_text_and_key_stand_where_they_may(optimizer: str, tmp_path: Path) -> None:
    with Loopback() as server:
        ward = Ward(tmp_path / "ward", server, optimizer)
        run = ("run", "my.toml", *ward.where, "--set", "lm.record=tape.jsonl", "--json")
        for fault in (quoting(401, "invalid_api_key"), quoting(400, None)):  # in each stage, from the first call on
            server.fault = lambda body, fault=fault: fault  # type: ignore[misc]
            assert ward.nerc(*run).code == 2
        server.fault = lambda body: quoting(401, None) if "### candidates" in str(body["messages"][-1]) else None
        assert ward.nerc(*run).code == 2, "the verifier fails"
        server.fault = lambda body: None
        server.requests.clear()
        pid: list[int] = []
        server.on_request = lambda number: _kill(pid) if number == 12 else None
        pid.append(ward.begin(*run))
        killed = warm.shared().end()
        assert killed.code == -9
        server.on_request = lambda number: None
        server.queue = [MALFORMED, TRUNCATED]
        again = ward.nerc(*run, "--set", "lm.concurrency=2")
        done = again if again.code == 0 else ward.nerc(*run)
        assert done.code == 0, done.stderr
        run_id, made = done.json["run_id"], done.json["bundle"]
        other = ward.nerc("run", "my.toml", *ward.where, "--set", "optimizer={name='none'}", "--json")
        for words in (
            ("annotate", made, "note.txt", "--lm", "openai/x", *ward.where),
            ("annotate", made, "note.txt"),
            ("report", run_id), ("compare", run_id, other.json["run_id"]), ("list", "runs"),
            ("report", run_id, "--texts"), ("compare", run_id, other.json["run_id"], "--texts"),
        ):  # fmt: skip
            assert ward.nerc(*words).code == (2 if words == ("annotate", made, "note.txt") else 0), ward.said[-2000:]
    ward.said += killed.stderr + killed.stdout
    assert CANARY not in ward.said and KEY not in ward.said and not ward.holders(KEY)
    mine = {name for name in ward.holders(CANARY) if not name.startswith("notes/") and name != "note.txt"}
    allowed = ("mlruns/bundles/", "mlruns/reports/texts/", "cache/answers/", "tape.jsonl")
    assert any(name.startswith("mlruns/bundles/") for name in mine)
    assert not [name for name in mine if not name.startswith(allowed)]


def _kill(pid: list[int]) -> None:
    os.kill(pid[0], signal.SIGKILL)


def test_the_search_for_the_canary_finds_it(tmp_path: Path) -> None:
    shutil.copy(Path(__file__), tmp_path)
    ward = Ward.__new__(Ward)
    ward.folder = tmp_path
    assert ward.holders(CANARY) == {Path(__file__).name}
