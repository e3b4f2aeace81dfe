"""An OpenAI-compatible server on 127.0.0.1 that answers with the offline engine, or by a script, and fails on demand.

`with Loopback() as server:` gives `server.base` (for `openai/` and `hosted_vllm/`) and `server.root` (for `azure/`). Every
request is kept in `server.requests`; `server.counts` says how often each content was asked for, `server.finished` how often it
was answered. Also runs by itself: `python -m tests.loopback PORT_FILE`.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ner_programs.lms._incontext import answer

Body = dict[str, Any]
Script = Callable[[Body], str]


@dataclass(frozen=True)
class Fault:
    """What to do instead of answering; the named ones are below."""

    status: int = 200
    error: Body | None = None
    headers: tuple[tuple[str, str], ...] = ()
    raw: bytes | None = None  # a body that is sent as it is
    delay: float = 0.0  # answers all the same, but late
    change: Callable[[str], str] | None = None  # answers, but something else
    finish: str = "stop"
    silent: bool = False  # the answer has no content

    @property
    def answers(self) -> bool:
        return self.error is None and self.raw is None


PROMPT = "the whole prompt"
"""Stands for the prompt in what an error says; a provider may quote it."""


def rate_limited(retry_after: float | None = None) -> Fault:
    headers = (("retry-after", str(retry_after)),) if retry_after is not None else ()
    return Fault(429, {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}, headers)


SERVER_ERROR = Fault(500, {"message": "boom", "type": "server_error", "code": None})
UNAUTHORIZED = Fault(401, {"message": "bad key", "type": "invalid_request_error", "code": "invalid_api_key"})
NO_QUOTA = Fault(429, {"message": "no money", "type": "insufficient_quota", "code": "insufficient_quota"})
NO_MODEL = Fault(404, {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"})
TOO_LONG = Fault(
    400, {"message": "maximum context length is 8", "type": "invalid_request_error", "code": "context_length_exceeded"}
)
FILTERED = Fault(
    400,
    {
        "message": "the response was filtered",
        "type": "invalid_request_error",
        "param": "prompt",
        "code": "content_filter",
    },
)
FILTERED_ANSWER = Fault(finish="content_filter", silent=True)
TRUNCATED = Fault(change=lambda said: said[: len(said) * 2 // 3], finish="length")
MALFORMED = Fault(raw=b'{"id": "x", "choices": [{"message": {"role": "assis')
NOT_A_COMPLETION = Fault(raw=b'{"detail": "the gateway is having lunch"}')
ECHO = Fault(change=lambda said: "ECHO")  # replaced by the prompt, see _complete


def quoting(status: int, code: str | None) -> Fault:
    return Fault(status, {"message": PROMPT, "type": "invalid_request_error", "param": PROMPT, "code": code})


def slow(seconds: float) -> Fault:
    return Fault(delay=seconds)


@dataclass
class Seen:
    """One request as it came."""

    path: str
    body: Body
    headers: dict[str, str]

    @property
    def content(self) -> str:
        return content_of(self.body)


def content_of(body: Body) -> str:
    """Return what makes a request distinct: a hash of its messages and settings."""
    kept = {k: v for k, v in body.items() if k != "stream"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def offline(body: Body) -> str:
    """Answer with the in-context CRF."""
    system = "".join(m["content"] for m in body["messages"] if m["role"] == "system")
    return answer(system, [m["content"] for m in body["messages"] if m["role"] != "system"])


def last_turn(body: Body) -> str:
    """Return the open message of a request."""
    return str(body["messages"][-1]["content"])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed, or gave up


@dataclass
class Loopback:
    """The server; `faults` maps a request to a Fault or None, each list entry of `queue` is used for one request."""

    script: Script = offline
    delay: float = 0.0
    fault: Callable[[Body], Fault | None] = lambda body: None
    queue: list[Fault | None] = field(default_factory=list)
    usage: Callable[[Body, str], Body | None] | None = None
    requests: list[Seen] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    finished: Counter[str] = field(default_factory=Counter)
    on_request: Callable[[int], None] = lambda number: None
    at_once: int = 0
    most_at_once: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.answers: dict[str, str] = {}

    def __enter__(self) -> Loopback:
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1  # head and body in one packet

            def do_POST(self) -> None:
                loopback._post(self)

            def do_GET(self) -> None:
                self.send_error(404)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def base(self) -> str:
        return f"{self.root}/v1"

    def bodies(self) -> Iterator[Body]:
        return (seen.body for seen in self.requests)

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        seen = Seen(handler.path, body, {k.lower(): v for k, v in handler.headers.items()})
        with self.lock:
            self.requests.append(seen)
            self.counts[seen.content] += 1
            number = len(self.requests)
            fault = (self.queue.pop(0) if self.queue else None) or self.fault(body) or Fault()
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.on_request(number)
            if self.delay or fault.delay:
                time.sleep(self.delay + fault.delay)
            status, sent = self._response(seen, fault)
            handler.send_response(status)
            for name, value in (*fault.headers, *self.headers.items()):
                handler.send_header(name, value)
            handler.send_header("content-type", "application/json")
            handler.send_header("content-length", str(len(sent)))
            handler.end_headers()
            handler.wfile.write(sent)
            handler.wfile.flush()
            if fault.answers:
                with self.lock:
                    self.finished[seen.content] += 1
        finally:
            with self.lock:
                self.at_once -= 1

    def _response(self, seen: Seen, fault: Fault) -> tuple[int, bytes]:
        if fault.raw is not None:
            return fault.status, fault.raw
        if "/chat/completions" not in seen.path:
            return 404, json.dumps({"error": {"message": f"no {seen.path}", "code": "not_found"}}).encode()
        if fault.error is not None:
            said = "\n".join(str(m["content"]) for m in seen.body["messages"])
            error = {k: said if v is PROMPT else v for k, v in fault.error.items()}
            return fault.status, json.dumps({"error": error}).encode()
        return 200, json.dumps(self._complete(seen, fault)).encode()

    def _complete(self, seen: Seen, fault: Fault) -> Body:
        with self.lock:
            said = self.answers.get(seen.content)
        if said is None:
            said = self.script(seen.body)
            with self.lock:
                self.answers[seen.content] = said
        if fault is ECHO:
            said = last_turn(seen.body)
        elif fault.change is not None:
            said = fault.change(said)
        tokens_in, tokens_out = sum(len(m["content"]) for m in seen.body["messages"]) // 4, len(said) // 4 + 1
        usage: Body | None = {
            "prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out,
        }  # fmt: skip
        if self.usage is not None:
            usage = self.usage(seen.body, said)
        message = {"role": "assistant", "content": None if fault.silent else said}
        return {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": seen.body.get("model", "deployed"),
            "choices": [{"index": 0, "message": message, "finish_reason": fault.finish}],
        } | ({"usage": usage} if usage is not None else {})  # fmt: skip
