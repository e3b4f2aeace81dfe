"""What can go wrong with a call to a language model, by name, and a plan of which request gets which fault."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from experiments._errors import SpecError

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


def described() -> str:
    """Return the faults as a list for people; \\b keeps click from filling its lines."""
    return "\b\nFaults:\n" + "\n".join(f"  {fault.name:18}{fault.says}" for fault in FAULTS.values())


@dataclass(frozen=True)
class Plan:
    """Which request gets which fault: a hash of seed, content and attempt decides, so that runs repeat exactly.

    A share is the part of all requests that gets the fault; the shares add up to 1 at most.
    """

    shares: Mapping[str, float]
    seed: int = 1

    def __call__(self, content: str, attempt: int) -> Fault | None:
        """Return the fault for the attempt (from 1) to ask for a content, or None to answer."""
        digest = hashlib.sha256(f"{self.seed} {content} {attempt}".encode()).digest()
        drawn = int.from_bytes(digest[:8]) / 2**64
        for name in sorted(self.shares):
            drawn -= self.shares[name]
            if drawn < 0:
                return FAULTS[name]
        return None


def read_plan(said: Sequence[str], seed: int) -> Plan:
    """Read `NAME=SHARE`, one for each fault; raises SpecError for an unknown name and for shares that cannot be."""
    shares: dict[str, float] = {}
    for item in said:
        name, _, share = item.partition("=")
        if name not in FAULTS:
            raise SpecError(f"--fault {name}: there is no such fault; there are {', '.join(FAULTS)}")
        if name in shares:
            raise SpecError(f"--fault {name} is given twice")
        try:
            shares[name] = float(share)
        except ValueError:
            raise SpecError(f"--fault {item}: write {name}=SHARE, a share of the requests from 0 to 1") from None
        if not 0 <= shares[name] <= 1:
            raise SpecError(f"--fault {item}: a share of the requests is from 0 to 1")
    if sum(shares.values()) > 1 + 1e-9:
        raise SpecError(f"the shares of the faults add up to {sum(shares.values()):g}, which is more than 1")
    return Plan(shares, seed)
