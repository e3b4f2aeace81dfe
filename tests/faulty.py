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


def _error(name: str, status: int, message: str, kind: str, code: str | None = None, param: str | None = None) -> Fault:
    return Fault(name, status, {"message": message, "type": kind, "param": param, "code": code})


def _broken(said: str, prompt: str) -> str:
    """Return an answer that no format and no stage can read whole: closing signs lost, a label that there is not."""
    damaged = said.translate(dict.fromkeys(map(ord, ']{}<>"'))).replace(" is ", " = ")
    return f'{damaged}\n[ ? | ? ] <span class="?">?</span>'


_REQUEST, _SERVER = "invalid_request_error", "server_error"
EVERY = (
    replace(_error("429", 429, "slow down", "requests", "rate_limit_exceeded"), headers=(("retry-after", "1"),)),
    _error("500", 500, "boom", _SERVER), _error("503", 503, "the engine is overloaded", _SERVER, "overloaded"),
    Fault("timeout", delay=30.0, end="hang up"), Fault("reset", end="reset"), Fault("cut", end="half"),
    Fault("drip", spread=5.0),
    Fault("truncated", change=lambda said, prompt: said[: len(said) * 2 // 3], finish="length"),
    Fault("malformed-answer", change=_broken), Fault("echo", change=lambda said, prompt: prompt),
    Fault("malformed-json", raw=b'{"id": "x", "choices": [{"message": {"role": "assis'),
    Fault("foreign", raw=b'{"detail": "the gateway is having lunch"}'),
    _error("filtered", 400, "filtered", _REQUEST, "content_filter", "prompt"),
    Fault("filtered-answer", finish="content_filter", withheld=True),
    _error("quoting", 400, PROMPT, _REQUEST, None, PROMPT),
    _error("too-long", 400, "too long", _REQUEST, "context_length_exceeded"),
    _error("unauthorized", 401, "bad key", _REQUEST, "invalid_api_key"),
    _error("quota", 429, "no money", "insufficient_quota", "insufficient_quota"),
    _error("no-model", 404, "no such model", _REQUEST, "model_not_found"),
)  # fmt: skip
FAULTS = {fault.name: fault for fault in EVERY}
