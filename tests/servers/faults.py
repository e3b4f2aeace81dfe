"""What can go wrong with a call to a language model, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

Body = dict[str, Any]

PROMPT = "the whole prompt"
"""Stands for the prompt in what an error says; a provider may quote it."""


@dataclass(frozen=True)
class Fault:
    """What to do instead of answering as asked. Seconds everywhere."""

    name: str = ""
    says: str = ""
    """What it is, for people."""
    status: int = 200
    error: Body | None = None
    headers: tuple[tuple[str, str], ...] = ()
    raw: bytes | None = None
    """A body that is sent as it is."""
    delay: float = 0.0
    """Wait so long before anything is sent."""
    spread: float = 0.0
    """Send the answer piece by piece over so long."""
    change: Callable[[str, str], str] | None = None
    """From the answer and the open message of the prompt to what is said instead."""
    finish: str = "stop"
    withheld: bool = False
    """The answer has no content."""
    end: Literal["whole", "half", "hang up", "reset"] = "whole"
    """Where the connection ends: after the answer, in the middle of it, or before its first byte."""


def _error(
    name: str, says: str, status: int, message: str, kind: str, code: str | None = None, param: str | None = None
) -> Fault:
    return Fault(name, says, status, {"message": message, "type": kind, "param": param, "code": code})


def _two_thirds(said: str, prompt: str) -> str:
    return said[: len(said) * 2 // 3]


def _echo(said: str, prompt: str) -> str:
    return prompt


def _broken(said: str, prompt: str) -> str:
    """Return an answer that no format and no stage can read whole: closing signs lost, a label that there is not."""
    damaged = said.translate(dict.fromkeys(map(ord, ']{}<>"'))).replace(" is ", " = ")
    return f'{damaged}\n[ ? | ? ] <span class="?">?</span>'


_REQUEST, _SERVER = "invalid_request_error", "server_error"
_SLOW_DOWN = _error("429", "too many, with retry-after: 1", 429, "slow down", "requests", "rate_limit_exceeded")

FAULTS = {
    fault.name: fault
    for fault in (
        replace(_SLOW_DOWN, headers=(("retry-after", "1"),)),
        _error("500", "an error of the server", 500, "boom", _SERVER),
        _error("503", "the server is overloaded", 503, "the engine is overloaded", _SERVER, "overloaded"),
        Fault("timeout", "nothing for 30 seconds, then the connection is closed", delay=30.0, end="hang up"),
        Fault("reset", "the connection is reset before the first byte", end="reset"),
        Fault("cut", "the connection ends in the middle of the answer", end="half"),
        Fault("drip", "the answer comes whole, but piece by piece over 5 seconds", spread=5.0),
        Fault("truncated", "two thirds of the answer, finish_reason length", change=_two_thirds, finish="length"),
        Fault("malformed-answer", "an answer whose form is broken", change=_broken),
        Fault("echo", "the last message of the prompt instead of an answer", change=_echo),
        Fault("malformed-json", "half of a JSON body", raw=b'{"id": "x", "choices": [{"message": {"role": "assis'),
        Fault("foreign", "JSON that is no completion", raw=b'{"detail": "the gateway is having lunch"}'),
        _error("filtered", "withheld by a filter: an error", 400, "filtered", _REQUEST, "content_filter", "prompt"),
        Fault("filtered-answer", "withheld by a filter: no content", finish="content_filter", withheld=True),
        _error("quoting", "an error that quotes the whole prompt", 400, PROMPT, _REQUEST, None, PROMPT),
        _error("too-long", "longer than the context", 400, "too long", _REQUEST, "context_length_exceeded"),
        _error("unauthorized", "a wrong key; it ends a run", 401, "bad key", _REQUEST, "invalid_api_key"),
        _error("quota", "no money left; it ends a run", 429, "no money", "insufficient_quota", "insufficient_quota"),
        _error("no-model", "an unknown model; it ends a run", 404, "no such model", _REQUEST, "model_not_found"),
    )
}
"""Every fault there is."""
