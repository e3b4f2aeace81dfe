"""A server of OpenAI's chat completions on loopback: the scripted LM of `tests.lms` answers, or a script; it fails on demand.

`with Loopback() as server:` gives `server.base` (for `openai/` and `hosted_vllm/`) and `server.root` (for `azure/`). Every
request is kept in `server.requests`; `server.counts` says how often each content was asked for, `server.tally` what became of
requests: "answered", or the name of a fault.
"""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Self

import pytest

from ner_programs.lms._answer import Answer
from ner_programs.lms.pace import Pace
from tests.faulty import FAULTS, PROMPT, Body, Fault
from tests.lms import Writer

ENGINE = Writer()
CHARACTERS = 4  # of a token
PIECES = 20  # that a dripping body is sent in


def rate_limited(retry_after: float | None = None) -> Fault:
    headers = (("retry-after", str(retry_after)),) if retry_after is not None else ()
    return replace(FAULTS["429"], headers=headers)


SERVER_ERROR, UNAUTHORIZED, NO_QUOTA, NO_MODEL, TOO_LONG = (
    FAULTS[name] for name in ("500", "unauthorized", "quota", "no-model", "too-long")
)
FILTERED, FILTERED_ANSWER, TRUNCATED, MALFORMED, NOT_A_COMPLETION, ECHO = (
    FAULTS[name] for name in ("filtered", "filtered-answer", "truncated", "malformed-json", "foreign", "echo")
)


def quoting(status: int, code: str | None) -> Fault:
    error = {"message": PROMPT, "type": "invalid_request_error", "param": PROMPT, "code": code}
    return Fault("quoting", status=status, error=error)


def slow(seconds: float) -> Fault:
    return Fault("slow", delay=seconds)


class Clock:
    """The time of a `Pace` in tests: it goes on when somebody waits for it. `naps` are the seconds waited for, one by one."""

    def __init__(self, chance: float = 1.0) -> None:
        self.now, self.naps, self._chance = 0.0, list[float](), chance

    def install(self, put: Callable[[Any, str, Any], None] = setattr) -> Self:
        """Have every pace go by this clock; with `chance` 1 it waits as long as it ever may."""
        put(Pace, "clock", staticmethod(lambda: self.now))
        put(Pace, "chance", staticmethod(lambda: self._chance))
        put(Pace, "wait", staticmethod(self.wait))
        return self

    def wait(self, room: threading.Condition, seconds: float | None) -> None:
        if seconds is None:
            room.wait()
        else:
            self.naps.append(round(seconds, 6))
            self.now += seconds + 1e-9  # rounding leaves nothing to wait for


def without_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Do not sleep between attempts; return the list that the naps are noted in."""
    return Clock().install(monkeypatch.setattr).naps


def texts_of(body: Body) -> list[tuple[str, str]]:
    """Return role and text of each message."""
    contents = [(m["role"], m.get("content") or "") for m in body["messages"]]
    return [(role, said if isinstance(said, str) else "".join(p["text"] for p in said)) for role, said in contents]


def last_turn(body: Body) -> str:
    """Return the open message of a request."""
    return texts_of(body)[-1][1]


@dataclass(frozen=True)
class Seen:
    """One request as it came; the names of headers are lower case."""

    path: str
    body: Body
    headers: Mapping[str, str]

    @property
    def content(self) -> str:
        """A hash of what makes the request distinct."""
        return hashlib.sha256(json.dumps(self.body, sort_keys=True).encode()).hexdigest()[:16]


class Loopback:
    """`fault` maps a request to a Fault or None; an entry of `queue` is used for one request, before `fault` is asked."""

    def __init__(self, script: Callable[[Body], str] | None = None, latency: float = 0.0) -> None:
        self.script, self.latency = script, latency
        self.fault: Callable[[Body], Fault | None] = lambda body: None
        self.queue: list[Fault | None] = []
        self.spend: Callable[[Body, str], Body | None] = spent
        self.on_request: Callable[[int], None] = lambda number: None
        self.requests: list[Seen] = []
        self.counts, self.tally = Counter[str](), Counter[str]()
        self.at_once = self.most_at_once = 0
        self._said: dict[str, Answer] = {}
        self.lock, self.closing = threading.Lock(), threading.Event()
        self._http = _Listener(self)
        self.root = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.base = f"{self.root}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; who waits for an answer gets none."""
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def bodies(self) -> Iterator[Body]:
        return (seen.body for seen in self.requests)

    def reply(self, seen: Seen) -> tuple[Fault, bytes]:
        """Return what a request gets: the fault, which may be none, and the body."""
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            with self.lock:
                self.counts[seen.content] += 1
                self.requests.append(seen)
                number = len(self.requests)
                fault = (self.queue.pop(0) if self.queue else None) or self.fault(seen.body) or Fault()
            self.on_request(number)
            self.closing.wait(self.latency + fault.delay)
            body = self._body(seen, fault)
            with self.lock:
                self.tally[fault.name or "answered"] += 1
            return fault, body
        finally:
            with self.lock:
                self.at_once -= 1

    def _body(self, seen: Seen, fault: Fault) -> bytes:
        if fault.raw is not None or fault.end in ("hang up", "reset"):
            return fault.raw or b""
        if fault.error is not None:
            whole = "\n".join(text for _, text in texts_of(seen.body))
            return json.dumps({"error": {k: whole if v is PROMPT else v for k, v in fault.error.items()}}).encode()
        answer = self._answer(seen)
        text = None if fault.withheld else answer.text
        tokens = answer.logprobs
        if text is not None and fault.change is not None:
            text, tokens = fault.change(text, last_turn(seen.body)), []
        said: Body = {"role": "assistant", "content": text, "refusal": None}
        logprobs = _logprobs(tokens) if seen.body.get("logprobs") and tokens else None
        choice = {"index": 0, "message": said, "logprobs": logprobs, "finish_reason": fault.finish}
        made = {"id": f"chatcmpl-{seen.content}", "object": "chat.completion", "created": 1, "model": "writer"}
        return json.dumps({**made, "choices": [choice], "usage": self.spend(seen.body, text or "")}).encode()

    def _answer(self, seen: Seen) -> Answer:
        if seen.content not in self._said:
            if self.script is not None:
                said = Answer(self.script(seen.body))
            else:
                texts = texts_of(seen.body)
                system = "".join(text for role, text in texts if role in ("system", "developer"))
                said = ENGINE.answer(system, [text for role, text in texts if role not in ("system", "developer")])
            self._said[seen.content] = said
        return self._said[seen.content]


def spent(body: Body, said: str) -> Body:
    """Return the tokens of a prompt and its answer, by a rule of thumb: four characters are one."""
    asked, answered = sum(len(text) for _, text in texts_of(body)) // CHARACTERS, len(said) // CHARACTERS + 1
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _logprobs(tokens: Any) -> Body:
    rows = [{"token": t, "logprob": p, "bytes": list(t.encode("utf-8", "surrogatepass")), "top_logprobs": []}
            for t, p in tokens]  # fmt: skip
    return {"content": rows, "refusal": None}


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service: Loopback) -> None:
        self.service = service
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's looks up the name of the host
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed, or gave up


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        fault, said = Fault(status=404, raw=b'{"error": {"message": "there is /v1/chat/completions"}}'), b""
        if "/chat/completions" in self.path:
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                fault, said = self.server.service.reply(Seen(self.path, body, headers))
            except Exception as error:
                fault = Fault(
                    status=500, raw=json.dumps({"error": {"message": f"a fault of the server: {error!r}"}}).encode()
                )
        if fault.end in ("hang up", "reset"):
            return self._end(fault.end == "reset")
        said = said or fault.raw or b""
        self.send_response(fault.status)
        for name, value in (*fault.headers, ("content-type", "application/json"), ("content-length", str(len(said)))):
            self.send_header(name, value)
        self.end_headers()
        step = max(-(-len(said) // PIECES) if fault.spread else len(said), 1)
        for at in range(0, len(said) // 2 if fault.end == "half" else len(said), step):
            self.server.service.closing.wait(fault.spread / PIECES)
            self.wfile.write(said[: len(said) // 2] if fault.end == "half" else said[at : at + step])
            self.wfile.flush()
        if fault.end == "half":
            self._end(reset=False)

    def _end(self, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        pass
