"""A small OpenAI-compatible server: `/v1/chat/completions` (streamed or not), with faults on demand."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from tests.servers import wire
from tests.servers._http import Listener, Reply
from tests.servers.faults import PROMPT, Fault
from tests.servers.wire import Answer, Body, Chat, Refused

_CHAT = re.compile(r"(/v1|/openai/deployments/[^/]+|/openai/v1)?/chat/completions/?")


@dataclass(frozen=True)
class Seen:
    """One request as it came; the names of headers are lower case."""

    path: str
    body: Body
    headers: Mapping[str, str]

    @property
    def content(self) -> str:
        """A hash of what makes the request distinct."""
        return wire.content_of(self.body)


class Server:
    """A server of `answer`, running inside a `with` block.

    `latency` is waited before each answer. `tally` counts what became of requests: "answered", the name of a fault, or
    "refused" with the status; `attempts` how often each content was asked for.
    """

    def __init__(self, answer: Callable[[Chat], Answer], model: str, *, latency: float = 0.0) -> None:
        self.answer, self.model, self.latency = answer, model, latency
        self.tally: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._http = Listener(("127.0.0.1", 0), self)
        self.port: int = self._http.server_address[1]
        self.root = f"http://127.0.0.1:{self.port}"
        self.base = f"{self.root}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; who waits for an answer gets none."""
        self.closing.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()

    def respond(self, method: str, target: str, headers: Mapping[str, str], raw: bytes) -> Reply:
        """Return the reply to a request; never raises."""
        try:
            path = target.partition("?")[0]
            if _CHAT.fullmatch(path):
                _only("POST", method)
                return self.chat(Seen(target, wire.read(raw), headers))
            raise Refused(404, "there is /v1/chat/completions", "unknown_url")
        except Refused as refused:
            return self.refuse(refused)
        except Exception as error:  # its message may quote a text
            return self.refuse(Refused(500, f"a fault of the server: {type(error).__name__}"))

    def chat(self, seen: Seen) -> Reply:
        """Answer a chat, or do what a fault says; raises Refused for one that is not asked for properly."""
        chat = wire.chat_of(seen.body)
        content = seen.content
        with self.lock:
            self.attempts[content] += 1
            attempt = self.attempts[content]
        fault = self.choose(seen, attempt) or Fault()
        self.wait(self.latency + fault.delay)
        reply = self._reply(seen, chat, fault, f"chatcmpl-{content}-{attempt}")
        with self.lock:
            self.tally[fault.name or "answered"] += 1
        return replace(reply, headers=(("x-request-id", f"req-{content}-{attempt}"),))

    def choose(self, seen: Seen, attempt: int) -> Fault | None:
        """Return the fault that a request gets."""
        return None

    def said(self, seen: Seen, chat: Chat) -> Answer:
        """Return the answer to a request that gets one."""
        return self.answer(chat)

    def usage(self, seen: Seen, chat: Chat, answers: list[Answer]) -> Body | None:
        """Return what an answer is said to have cost."""
        return wire.usage(chat, answers)

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than the server runs."""
        if seconds > 0:
            self.closing.wait(seconds)

    def _reply(self, seen: Seen, chat: Chat, fault: Fault, id: str) -> Reply:
        if fault.end in ("hang up", "reset"):
            return Reply(fault.status, b"", fault)
        if fault.raw is not None:
            return Reply(fault.status, fault.raw, fault)
        if fault.error is not None:
            error = {k: chat.whole if v is PROMPT else v for k, v in fault.error.items()}
            return _json(fault.status, {"error": error}, fault)
        answer = self.said(seen, chat)
        if fault.withheld:
            answer = Answer(None, None, fault.finish)
        elif fault.change is not None:
            answer = answer.saying(fault.change(answer.text or "", chat.open), fault.finish)
        answers = [answer.cut(chat.limit)] * chat.choices
        spent = self.usage(seen, chat, answers)
        if not chat.stream:
            return _json(200, wire.completion(id, self.model, answers, logprobs=chat.logprobs, usage=spent), fault)
        spent = spent if chat.stream_usage else None
        events = wire.chunks(id, self.model, answers, logprobs=chat.logprobs, usage=spent)
        return Reply(200, [*(b"data: " + _bytes(e) + b"\n\n" for e in events), b"data: [DONE]\n\n"], fault)

    def refuse(self, refused: Refused) -> Reply:
        """Return the reply that says why a request is not answered, and count it."""
        with self.lock:
            self.tally[f"refused {refused.status}"] += 1
        headers = (("allow", refused.param or ""),) if refused.status == 405 else ()
        return _json(refused.status, refused.body, headers=headers)


def _only(wanted: str, method: str) -> None:
    if method != wanted:
        raise Refused(405, f"this address takes {wanted} only", "method_not_allowed", wanted)


def _bytes(body: Body) -> bytes:
    return json.dumps(body).encode()


def _json(status: int, body: Body, fault: Fault | None = None, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(status, _bytes(body), fault or Fault(), headers)
