"""Where text and keys may go: addresses, redirects, proxies, and what a bundle may not decide. All servers are on loopback."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import dspy
import pytest

from ner_programs import BundleError, ComponentError, LMSetupError, Privacy, open_lm
from ner_programs.bundle import folder as bundle
from ner_programs.bundle.files import write_manifest
from ner_programs.demos._encoders import Encoder
from ner_programs.lms import _stand_in
from ner_programs.lms.store import LastAnswers
from ner_programs.privacy import PrivacyError, address_of, confined, connecting, is_loopback
from tests import loopback, tiny

NOTE = "Takes aspirin for gout."


class Attacker(ThreadingHTTPServer):
    """Notes what reaches it; with `onward` it sends whoever asks on to that address."""

    daemon_threads = True

    def __init__(self, onward: str = "", status: int = 307) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.onward, self.status = onward, status
        self.seen: list[str] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Answer(BaseHTTPRequestHandler):
    server: Attacker

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append(f"{self.path} {self.headers} {body!r}")
        self.send_response(self.server.status if self.server.onward else 500)
        if self.server.onward:
            self.send_header("location", self.server.onward + self.path)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_CONNECT = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def attacker() -> Iterator[Attacker]:
    server = Attacker()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "AZURE_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.setenv(name, "sk-planted")
    loopback.without_waiting(monkeypatch)


class TestAddresses:
    @pytest.mark.parametrize(
        ("api_base", "host", "port"),
        [
            ("http://localhost:8000/v1", "localhost", 8000), ("HTTPS://API.Example.COM./v1", "api.example.com", 443),
            ("http://127.0.0.1", "127.0.0.1", 80), ("http://[::1]:9/v1", "::1", 9),
            ("http://[::FFFF:10.0.0.1]/v1", "10.0.0.1", 80),
        ],
    )  # fmt: skip
    def test_what_one_connects_to(self, api_base: str, host: str, port: int) -> None:
        assert address_of(api_base) == (host, port)

    @pytest.mark.parametrize(
        "api_base",
        [
            "http://localhost@evil.example/v1", "http://127.0.0.1:80@evil.example", "http://127.0.0.1\\@evil.example/",
            "http://evil.example#@localhost/", "http://localhost?@evil.example/", "http://localhost/?key=sk-1",
            "http://2130706433/", "http://0x7f000001/", "http://127.1/", "http://0177.0.0.1/", "http://1.2.3.4.5/",
            "http://[::1/", "http://[:::]/", "http://ｌocalhost/", "http://local\thost/", "http://localhost\n.evil.example/",
            "ftp://localhost/", "//localhost/", "localhost:8000", "http:///v1", "http://localhost:port/", "",
        ],
    )  # fmt: skip
    def test_what_two_programs_may_read_in_two_ways_is_none(self, api_base: str) -> None:
        with pytest.raises(PrivacyError, match=r"lm\.api_base is refused: [^\n]*$") as raised:
            address_of(api_base)
        assert "sk-1" not in str(raised.value)

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
    def test_this_machine(self, host: str) -> None:
        assert is_loopback(host)
        Privacy(private=True).reach("openai/x", f"http://{f'[{host}]' if ':' in host else host}/v1")

    @pytest.mark.parametrize(
        "host",
        ["localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost", "0.0.0.0", "[::]",
         "[::ffff:10.0.0.1]", "10.0.0.1"],
    )  # fmt: skip
    def test_what_looks_like_it_is_another(self, host: str) -> None:
        with pytest.raises(PrivacyError, match="the text is private and may not be sent to"):
            Privacy(private=True, allow_hosts=("llm.example",)).reach("openai/x", f"http://{host}:8000/v1")

    def test_a_host_is_allowed_in_any_form(self) -> None:
        for said in ("LLM.example", "llm.example."):
            assert Privacy(True, (said,)).reach("openai/x", "https://llm.EXAMPLE./v1")
        with pytest.raises(PrivacyError):
            Privacy(True, ("llm.example",)).reach("openai/x", "https://a.llm.example/v1")

    def test_the_environment_is_the_users(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(PrivacyError, match=r"lm \(openai/x\) has no lm\.api_base"):
            Privacy(private=True).reach("openai/x", None)
        monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:7/v1")
        assert Privacy(private=True, named_only=True).reach("openai/x", None)
        monkeypatch.setenv("OPENAI_API_BASE", "http://evil.example/v1")
        with pytest.raises(PrivacyError, match="two addresses"):
            Privacy().reach("openai/x", None)

    def test_the_name_of_a_model_is_no_address(self) -> None:
        with pytest.raises(LMSetupError, match="holds no address"):
            open_lm("huggingface/https://evil.example/x", api_base="http://localhost:8000/v1")


class TestRedirects:
    """The server that the user named sends whoever asks on to another one."""

    @pytest.mark.parametrize("status", [302, 307, 308])
    @pytest.mark.parametrize("model", ["openai/x", "hosted_vllm/x", "azure/x", "mistral/x"])
    def test_an_lm_does_not_follow(self, model: str, status: int, attacker: Attacker) -> None:
        named = Attacker(attacker.root, status)
        more = {"api_version": "2024-10-21"} if model.startswith("azure") else {}
        lm = open_lm(model, api_base=named.root + ("" if more else "/v1"), **more)
        lm.meter.retries = 0
        with pytest.raises(dspy.utils.exceptions.LMError):
            lm("secret")
        assert named.seen and not attacker.seen
        named.close()

    def test_a_program_says_so_in_one_line(self, attacker: Attacker) -> None:
        named = Attacker(attacker.root)
        lm = open_lm("azure/x", api_base=named.root, api_version="2024-10-21")
        with dspy.context(lm=lm), pytest.raises(LMSetupError, match=r"sends requests on to another address") as raised:
            tiny.program()(NOTE)
        assert "\n" not in str(raised.value) and not attacker.seen
        named.close()

    def test_an_encoder_does_not_follow(self, attacker: Attacker) -> None:
        named = Attacker(attacker.root, 302)
        with pytest.raises(PrivacyError, match="sends requests on"):
            Encoder("openai/x", None, lambda: Privacy(encoder=f"{named.root}/v1"))([NOTE])
        assert named.seen and not attacker.seen
        named.close()

    def test_a_proxy_takes_no_private_text(self, attacker: Attacker, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, attacker.root)
        named = Attacker()
        lm = open_lm("azure/x", api_base=named.root, api_version="2024-10-21")
        lm.meter.retries = 0
        with confined([]), pytest.raises(dspy.utils.exceptions.LMError):
            lm("secret")
        assert named.seen and not attacker.seen
        with confined(["proxy.example"]):
            monkeypatch.setenv("https_proxy", "http://user:pass@proxy.example:3128")
            with confined(["proxy.example"]):
                assert os.environ["NO_PROXY"] != "*", "the user allows that proxy"
        named.close()


class TestConfined:
    def test_the_process_reaches_this_machine_and_what_is_allowed(self, attacker: Attacker) -> None:
        with confined([]):
            with pytest.raises(PrivacyError, match="connects to nothing but loopback"):
                urlopen("http://model-hub.example/x")
            with confined(["a.example"]), pytest.raises(PrivacyError):
                urlopen("http://a.example/x")  # the outer one forbids it
            with pytest.raises(OSError, match="500"):
                urlopen(attacker.root)

    def test_all_is_as_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_PROXY", "b.example")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        before = dict(os.environ)
        with confined(["a.example"]):
            within = dict(os.environ)
            with confined(["c.example"]):
                pass
            assert dict(os.environ) == within and within["HF_HUB_OFFLINE"] == "1"
        with pytest.raises(RuntimeError), confined([]):
            raise RuntimeError
        assert dict(os.environ) == before

    def test_nothing_limits_others(self, attacker: Attacker) -> None:
        with connecting(None), pytest.raises(OSError, match="500"):
            urlopen(attacker.root)


WAYS = {
    "api_base": "{root}/v1", "allow_hosts": ["127.0.0.1"], "record": "{folder}/evil.jsonl", "path": "{folder}/evil.jsonl",
    "headers": {"x": "y"}, "api_key": "sk-1", "base_url": "{root}", "prompt": {"model": "openai/x"},
    "model": "huggingface/{root}", "strong": {"model": "openai/x", "api_base": "{root}"}, "temperature": "{root}",
}  # fmt: skip


class TestBundles:
    @pytest.mark.parametrize("way", WAYS)
    def test_one_says_nothing_of_an_address(self, way: str, attacker: Attacker, tmp_path: Path) -> None:
        said = json.dumps(WAYS[way]).replace("{root}", attacker.root).replace("{folder}", str(tmp_path))
        made = tiny.program()
        made.wants = {"model": "crf", way: json.loads(said)}
        with pytest.raises(BundleError, match=r"program\.json"):
            bundle.save(made, tmp_path / "b")
        made.wants = {"model": "crf"}
        altered(bundle.save(made, tmp_path / "b"), "lm", {way: json.loads(said)})
        before = set(tmp_path.rglob("*"))
        with pytest.raises(BundleError, match=r"program\.json: [^\n]*$"):
            bundle.load(tmp_path / "b")
        assert not attacker.seen and set(tmp_path.rglob("*")) == before

    def test_what_it_does_say(self, tmp_path: Path) -> None:
        made = tiny.program()
        made.wants = {"model": "openai/x", "temperature": 0.5, "max_tokens": 9, "strong": {"model": "openai/y"}}
        assert bundle.load(bundle.save(made, tmp_path / "b")).wants == made.wants
        for wrong in ({}, {"model": 3}, {"model": "x", "max_tokens": True}, {"model": "x", "strong": {}}):
            made.wants = wrong
            with pytest.raises(BundleError):
                bundle.save(made, tmp_path / "b")

    def test_an_encoder_is_asked_where_the_loader_says(self, attacker: Attacker, tmp_path: Path) -> None:
        demos = {"name": "embedding", "model": "openai/text-embedding-3-small", "k": 1}
        folder = bundle.save(tiny.program(demos=demos), tmp_path / "b")
        with pytest.raises(LMSetupError, match=r"the bundle asks openai/text-embedding-3-small: say where"):
            bundle.load(folder)(NOTE)
        with pytest.raises(ComponentError, match="cannot encode"):
            bundle.load(folder, privacy=Privacy(encoder=f"{attacker.root}/v1"))(NOTE)
        assert attacker.seen
        altered(folder, "spec", {"demos": {**demos, "api_base": f"{attacker.root}/v1"}})
        attacker.seen.clear()
        with pytest.raises(ComponentError, match="no option 'api_base'"):
            bundle.load(folder)
        assert not attacker.seen

    def test_an_lm_is_given(self, tmp_path: Path) -> None:
        made = tiny.program()
        made.wants = {"model": "openai/x"}
        folder = bundle.save(made, tmp_path / "b")
        with pytest.raises(LMSetupError, match=r"compiled with openai/x; .* or load it with lm="):
            bundle.load(folder)(NOTE)
        with loopback.Loopback(lambda body: json.dumps([{"text": "aspirin", "label": "drug"}])) as server:
            given = bundle.load(folder, lm=open_lm("openai/x", api_base=server.base)).with_settings(unit="document")
            with dspy.context(lm=open_lm("openai/y", api_base="http://localhost:1/v1")):
                assert [e.text for e in given(NOTE).entities] == ["aspirin"], "not the one that DSPy has set"


def altered(folder: Path, table: str, changes: dict[str, Any]) -> None:
    """Change a table of a bundle's program.json, and make the digests right again, as somebody would who means harm."""
    file = folder / "program.json"
    said = json.loads(file.read_text())
    said[table] |= changes
    file.write_text(json.dumps(said))
    (folder / "manifest.json").unlink()
    write_manifest(folder)


def test_the_default_lm_remembers_the_last_answers_only() -> None:
    store = _stand_in().meter.account.store
    assert isinstance(store, LastAnswers)
    gone: list[str] = []
    small = LastAnswers(2)
    small.dropped = gone.append
    for key in "abc":
        small.put(key, tiny.answer(key))
        small.get("a")
    assert (len(small), gone) == (2, ["b"]) and small.get("a") == tiny.answer("a") and small.get("b") is None
    asked = tiny.Scripted()
    from ner_programs.lms.metered import Account, Meter, MeteredLM

    lm = MeteredLM(Meter(asked, account=Account(store=LastAnswers(3))))
    for n in (*range(10), 9):
        lm(f"q{n}")
    assert len(asked.requests) == 10 == lm.meter.spent.calls and len(lm.meter.account._seen) == 3


def test_a_text_is_shared_with_named_machines_only() -> None:
    machines = ["127.0.0.1", "10.0.0.3"]
    with pytest.raises(PrivacyError, match=r"the machine 10.0.0.3: allow each with lm.allow_hosts"):
        Privacy(private=True, allow_hosts=("10.0.0.1",)).share(machines)
    Privacy(private=True, allow_hosts=("10.0.0.3",)).share(machines)
    Privacy().share(machines)
