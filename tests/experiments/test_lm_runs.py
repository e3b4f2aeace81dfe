"""`nerc run` with a language model behind an API, end to end against a server on loopback."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import loopback, warm
from tests.lab import CORPUS, Lab
from tests.loopback import Loopback
from tests.tiny import DRUGS, PROBLEMS, documents

ROOT = Path(__file__).parent.parent.parent
SPEC = f"""
{CORPUS}
[program]
demos = {{ name = "tfidf", k = 4 }}
[optimizer]
name = "random_search"
candidates = 3
search = {{ "demos.k" = [2, 6] }}
budget = {{ calls = 40 }}
[lm]
model = "openai/x"
price = {{ input = 100.0, output = 100.0 }}
retries = 0
"""

WATCH = """
import atexit, os, sys
log = open("connections", "a", buffering=1)
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        log.write(f"{event} {arguments[1] if event == 'socket.connect' else arguments[0]!r}\\n")
sys.addaudithook(hook)
"""


class Asking(Lab):
    """A lab, and the server that its runs ask."""

    def __init__(self, folder: Path, server: Loopback) -> None:
        super().__init__(folder, SPEC)
        self.server = server
        self.env["OPENAI_API_KEY"] = "sk-test"

    def run(self, *arguments: str, model: str = "openai/x", before: str = "", **env: str) -> warm.Ran:
        base = self.server.root if model.startswith("azure/") else self.server.base
        where = ("--lm", model, *(("--set", f"lm.api_base={base}") if "/" in model else ())) if model else ()
        return self.nerc("run", "my.toml", *where, *arguments, "--json", before=before, **env)

    def written(self) -> list[str]:
        """Everything in `mlruns` but the store and what the work folders are."""
        every = (f.relative_to(self.home) for f in self.home.rglob("*") if f.is_file())
        return sorted(str(f) for f in every if f.parts[0] not in ("work", "mlflow.db", ".store.lock"))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Asking]:
    with Loopback() as server:
        yield Asking(tmp_path / "lab", server)


def refused(ran: warm.Ran, said: str) -> None:
    """Exit code 2, one line that says so, and nothing on stdout."""
    assert ran.code == 2, ran.stderr
    assert ran.stdout == "" and "Traceback" not in ran.stderr
    assert re.search(said, ran.stderr.splitlines()[-1]), ran.stderr


def test_the_command_line_as_a_user_calls_it(lab: Asking) -> None:
    """A real process: a dry run sends nothing, the run prints one JSON object on stdout and people's lines on stderr."""
    command = [sys.executable, "-m", "experiments.cli", "run", "my.toml", "--lm", "openai/x"]
    command += ["--set", f"lm.api_base={lab.server.base}", "--json"]
    env = {**os.environ, **lab.env, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=lab.folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1 and "Traceback" not in done.stderr
    said = json.loads(done.stdout)
    assert said["lm_calls"] == len(lab.server.requests) == said["spent"]["attempts"]
    assert said["test"]["micro_f1"] > 0.5 and said["cost"] == pytest.approx(said["tokens"] * 1e-4)
    assert Path(said["bundle"]).is_dir() and "trial 1" in done.stderr
    assert json.loads((Path(said["bundle"]) / "program.json").read_text())["lm"] == {"model": "openai/x"}
    everything = b"".join(f.read_bytes() for f in lab.folder.rglob("*") if f.is_file())
    assert b"sk-test" not in everything


DRY = (
    "optimizer.k=4", "optimizer={name='bootstrap', k=4}", "program.verify={name='llm', k=2}",
)  # fmt: skip


def test_a_dry_run_sends_nothing_and_its_figures_are_bounds(lab: Asking) -> None:
    for change in DRY:
        changes = ("--set", change, "--set", "program.demos={name='random', k=0}")
        dry = lab.run("--dry-run", *changes)
        assert dry.code == 0, dry.stderr
        assert not lab.server.requests and not lab.written()
        assert all(word in dry.stderr for word in ("calls", "tokens", "US dollars"))
        done = lab.run(*changes)
        assert done.code == 0, done.stderr
        assert done.json["lm_calls"] <= dry.json["calls"]
        assert done.json["spent"]["tokens_in"] <= 1.5 * dry.json["tokens_in"]
        assert dry.json["cost"] == pytest.approx((dry.json["tokens_in"] + dry.json["tokens_out"]) * 1e-4, abs=1e-3)
        lab.server.requests.clear()
        for file in lab.written():
            (lab.home / file).unlink()


def test_a_server_of_ones_own_needs_no_key(lab: Asking) -> None:
    ran = lab.run("--set", "optimizer={name='none'}", model="hosted_vllm/x", OPENAI_API_KEY="")
    assert ran.code == 0, ran.stderr
    assert ran.json["lm_calls"] == len(lab.server.requests) == 10 and ran.json["test"]["micro_f1"] > 0.5


def test_what_is_set_up_wrongly_is_said_and_is_no_f1_of_zero(lab: Asking) -> None:
    refused(lab.run(OPENAI_API_KEY=""), "OPENAI_API_KEY")
    refused(lab.run(model="vllm/x"), "hosted_vllm/<model>")
    refused(lab.run("--set", "lm.price={input=1}"), r"lm\.price")
    refused(lab.run("--set", "optimizer.budget={call=5}"), r"optimizer\.budget\.call")
    refused(lab.run("--set", "lm.temprature=1"), "temprature")
    assert not lab.server.requests
    lab.server.fault = lambda body: loopback.UNAUTHORIZED
    refused(lab.run(), r"the provider refused the call: LMAuthError, HTTP 401, invalid_api_key$")
    lab.server.fault = lambda body: loopback.SERVER_ERROR
    refused(lab.run(), "LM calls failed .*LMServerError 500")
    assert not list(lab.home.glob("bundles/*"))
    lab.server.fault = lambda body: None
    assert lab.run().code == 0


class TestMaxCost:
    BOUND = ("--set", "lm.max_tokens=500")

    def test_needs_a_bound_on_answers(self, lab: Asking) -> None:
        needs = r"nerc: a limit in tokens or US dollars needs lm\.max_tokens"
        refused(lab.run("--max-cost", "1000"), needs)
        for budget in ("cost=1000.0", "tokens=1000000000"):
            refused(lab.run("--set", f"optimizer.budget={{{budget}}}"), needs)
        assert not lab.server.requests and not list(lab.home.glob("bundles/*"))

    def test_needs_none_where_it_is_known_that_the_model_does_not_think_first(self, lab: Asking) -> None:
        ran = lab.run(
            "--max-cost", "1000", "--set", "lm.price={input=100.0, output=100.0}", model="openai/gpt-4.1-mini"
        )
        assert ran.code == 0, ran.stderr
        assert all(1024 < body["max_completion_tokens"] < 2048 for body in lab.server.bodies())
        written = ("--set", "optimizer={name='copro'}")
        refused(lab.run("--max-cost", "1000", *written, model="openai/gpt-4.1-mini"), r"needs lm\.max_tokens")

    def test_holds_eight_at_once_with_answers_as_long_as_they_may_be(self, lab: Asking) -> None:
        lab.server.latency = 0.05
        lab.server.spend = lambda body, said: {"prompt_tokens": 1, "completion_tokens": 500, "total_tokens": 501}
        ran = lab.run("--max-cost", "0.4", "--set", "lm.concurrency=8", *self.BOUND)
        refused(ran, r"costs more than 0\.4 US dollars")
        assert 1 <= len(lab.server.requests) <= 7  # 0.0501 US dollars each
        assert lab.server.most_at_once > 1 and {b["max_completion_tokens"] for b in lab.server.bodies()} == {500}

    def test_holds_and_a_rerun_goes_on(self, lab: Asking) -> None:
        spent, codes, sent = [], [], []
        for limit in ("0.3", "0.3", "0.45", "1000"):
            ran = lab.run("--max-cost", limit, "--set", "lm.concurrency=1", *self.BOUND)
            codes.append(ran.code)
            sent.append(len(lab.server.requests))
            if ran.code:
                refused(ran, rf"costs more than {limit} US dollars \(it has cost 0\.\d+.*higher --max-cost goes on")
                spent.append(float(re.findall(r"it has cost ([\d.]+)", ran.stderr)[0]))
                assert spent[-1] <= float(limit) and not list(lab.home.glob("bundles/*"))
        assert codes == [2, 2, 2, 0] and 0 < spent[0] == spent[1] < spent[2] < ran.json["cost"]
        assert sent[0] == sent[1] < sent[2] < sent[3] == ran.json["lm_calls"]
        assert set(lab.server.counts.values()) == {1}
        assert ran.json["cost"] == pytest.approx(ran.json["tokens"] * 1e-4)

    def test_needs_a_price(self, lab: Asking) -> None:
        lab.write(SPEC.replace("price", "# price"))
        refused(lab.run("--max-cost", "1"), r"the price of openai/x is not known.*lm\.price")
        assert not lab.server.requests


class TestRecordAndReplay:
    def test_gives_the_same_program_with_the_server_down(self, lab: Asking) -> None:
        plain = lab.run()  # its answers are kept, and must get into the cassette all the same
        recorded = lab.run("--set", "lm.record=tape.jsonl")
        assert recorded.code == 0, recorded.stderr
        assert len(lab.server.requests) == plain.json["lm_calls"]
        tape = lab.folder / "tape.jsonl"
        assert stat.S_IMODE(tape.stat().st_mode) == 0o600
        lab.server.fault = lambda body: loopback.UNAUTHORIZED
        replay = ("run", "my.toml", "--lm", "replay", "--set", "lm.path=tape.jsonl", "--json")
        again = lab.nerc(*replay)
        assert again.code == 0, again.stderr
        assert len(lab.server.requests) == plain.json["lm_calls"]
        for part in ("dev", "test", "lm_calls"):
            assert again.json[part] == plain.json[part] == recorded.json[part]
        programs = [json.loads((Path(r.json["bundle"]) / "program.json").read_text()) for r in (plain, again)]
        assert programs[0]["spec"] == programs[1]["spec"]

        refused(lab.nerc(*replay, "--set", "program.demos.k=5"), "holds no answer")
        tape.write_bytes(tape.read_bytes()[:-9])
        refused(
            lab.nerc(*replay, "--set", "seed=2", NERC_CACHE=str(lab.folder / "another")), "tape.jsonl holds no answer"
        )
        refused(lab.run("--set", "lm.record=tape.jsonl", model="hosted_vllm/x"), "holds answers of openai/x")
        refused(lab.nerc("run", "my.toml", "--lm", "replay"), r"lm\.path")


class TestPrivate:
    """Private text goes to the host that is named, and nowhere else."""

    PUBLIC_HOST = "http://llm.example.com/v1"

    @pytest.fixture(autouse=True)
    def _private(self, lab: Asking) -> None:
        lab.write(SPEC.replace("private = false", "private = true"))

    def test_another_host_is_refused_before_the_first_call(self, lab: Asking) -> None:
        for verb in ((), ("--dry-run",)):
            refused(
                lab.run("--set", f"lm.api_base={self.PUBLIC_HOST}", *verb, before=WATCH),
                "may not be sent to llm.example.com",
            )
        refused(lab.nerc("run", "my.toml", "--lm", "openai/x", before=WATCH), "no lm.api_base")
        refused(lab.run("--set", "lm.api_base=http://127.0.0.1@llm.example.com/v1", before=WATCH), "llm.example.com")
        connections = lab.folder / "connections"
        assert not connections.exists() or connections.read_text() == ""

    def test_a_host_that_is_allowed_is_asked(self, lab: Asking) -> None:
        """`llm.example.com` is made to mean the server: what is looked up and connected to is seen."""
        resolve = WATCH + (
            "import socket\nreal = socket.getaddrinfo\n"
            "socket.getaddrinfo = lambda host, *a, **k: (log.write(f'lookup {host}\\n'), real('127.0.0.1', *a, **k))[1]\n"
        )
        port = lab.server.root.rpartition(":")[2]
        allowed = (
            "--set", f"lm.api_base=http://llm.example.com:{port}/v1", "--set", 'lm.allow_hosts=["LLM.example.com"]',
        )  # fmt: skip
        ran = lab.run(*allowed, "--set", "optimizer={name='none'}", before=resolve)
        assert ran.code == 0, ran.stderr
        assert len(lab.server.requests) == 10
        looked_up = set(re.findall(r"^lookup (\S+)", (lab.folder / "connections").read_text(), re.MULTILINE))
        assert looked_up == {"llm.example.com"}

    @pytest.mark.parametrize("model", ["openai/x", "azure/deployed"])
    def test_nothing_but_loopback_is_connected_to(self, lab: Asking, model: str) -> None:
        """Not even the proxy that the environment names."""
        proxies = {
            name: "http://proxy.example.com:3128" for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY")
        }
        more = ("--set", "lm.api_version=2024-10-21") if model.startswith("azure/") else ()
        ran = lab.run(*more, model=model, before=WATCH, AZURE_API_KEY="az", **proxies)
        assert ran.code == 0, ran.stderr
        assert len(lab.server.requests) == ran.json["lm_calls"] > 10
        lines = (lab.folder / "connections").read_text().splitlines()
        assert len(lines) > 1 and not [line for line in lines if "127.0.0.1" not in line and "'localhost'" not in line]

    def test_a_provider_that_quotes_the_prompt_is_not_quoted(self, lab: Asking) -> None:
        lab.server.fault = lambda body: loopback.quoting(403, None)
        ran = lab.run("--set", "program.demos={name='random', k=1}")
        refused(ran, r"^nerc: \[openai/x\] the provider refused the call: LM\w+, HTTP 403\b")
        assert lab.server.requests
        shown = [word for word in (*DRUGS, *PROBLEMS, "### text", "A medicine") if word in ran.stderr]
        assert not shown, ran.stderr
        kept = b"".join(f.read_bytes() for f in lab.home.rglob("*") if f.is_file())
        assert not [d for prefix, n in (("a", 10), ("b", 6)) for d in documents(n, prefix) if d.text.encode() in kept]
