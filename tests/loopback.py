"""A server on loopback, answered by the scripted LM of `tests.lms`, or by a script, with scripted faults.

`with Loopback() as server:` gives `server.base` (for `openai/` and `hosted_vllm/`) and `server.root` (for `azure/`). Every
request is kept in `server.requests`; `server.counts` says how often each content was asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.lms import Writer
from tests.servers import wire
from tests.servers._http import Reply
from tests.servers.engine import answers_of
from tests.servers.faults import FAULTS, PROMPT, Fault
from tests.servers.server import Seen, Server
from tests.servers.wire import Answer, Body, Chat

ENGINE = Writer()


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


def without_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Do not sleep between attempts; return the list that the naps are noted in."""
    slept: list[float] = []
    monkeypatch.setattr("ner_programs.lms.metered.time", SimpleNamespace(sleep=slept.append))
    return slept


def last_turn(body: Body) -> str:
    """Return the open message of a request."""
    return str(body["messages"][-1]["content"])


class Loopback(Server):
    """`fault` maps a request to a Fault or None; an entry of `queue` is used for one request, before `fault` is asked."""

    def __init__(self, script: Callable[[Body], str] | None = None, latency: float = 0.0) -> None:
        super().__init__(answers_of(ENGINE), ENGINE.model.removeprefix("test/"), latency=latency)
        self.script = script
        self.fault: Callable[[Body], Fault | None] = lambda body: None
        self.queue: list[Fault | None] = []
        self.spend: Callable[[Body, str], Body | None] | None = None
        self.on_request: Callable[[int], None] = lambda number: None
        self.requests: list[Seen] = []
        self.counts: Counter[str] = self.attempts
        self.at_once = self.most_at_once = 0
        self._said: dict[str, Answer] = {}

    def bodies(self) -> Iterator[Body]:
        return (seen.body for seen in self.requests)

    def chat(self, seen: Seen) -> Reply:
        with self.lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return super().chat(seen)
        finally:
            with self.lock:
                self.at_once -= 1

    def choose(self, seen: Seen, attempt: int) -> Fault | None:
        with self.lock:
            self.requests.append(seen)
            number = len(self.requests)
            fault = (self.queue.pop(0) if self.queue else None) or self.fault(seen.body)
        self.on_request(number)
        return fault or super().choose(seen, attempt)

    def said(self, seen: Seen, chat: Chat) -> Answer:
        key = f"{seen.content}{chat.logprobs}"
        if key not in self._said:
            self._said[key] = Answer(self.script(seen.body)) if self.script is not None else super().said(seen, chat)
        return self._said[key]

    def usage(self, seen: Seen, chat: Chat, answers: list[Answer]) -> Body | None:
        return self.spend(seen.body, answers[0].text or "") if self.spend else wire.usage(chat, answers)
