"""A request with its key and its size, made of turns and settings that are rendered once.

A prompt repeats: its instructions and most of its demonstrations were in the prompt before. So a `Turn` holds a message in the
three forms that are needed (for the request, for the key, its size), and `Keys` remembers what prompts begin with.
The key of a request is the same whichever way it is made: see `key_of`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from dspy._vendor.lm15.serde import config_to_dict, request_to_dict
from dspy.lm15 import Config, Message, Request, TextPart

Sample = tuple[Any, int]
"""Identifies one of several answers to a request: its rollout, and its number among the answers."""
PLAIN: Sample = (None, 0)
BEGINNINGS = 32
"""So many beginnings of prompts are remembered."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request, its key, the number of bytes of its text (see `price.size`), and which sample of several it asks for."""

    request: Request
    key: str
    size: int
    which: Sample = PLAIN


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A message, as JSON too, and its size. A turn equals only itself."""

    text: str
    message: Message
    json: bytes
    size: int

    @classmethod
    def of(cls, role: Any, text: str) -> Turn:
        """Render a message. Raises UnicodeEncodeError for a lone surrogate, which no provider takes."""
        written = f'{{"parts": [{{"text": {_written(text)}, "type": "text"}}], "role": {_written(role)}}}'
        return cls(text, Message(role=role, parts=(TextPart(text),)), written.encode(), len(text.encode()) + 16)


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """The settings of a request, and as JSON (empty if they are all unset)."""

    config: Config
    json: bytes

    @classmethod
    def of(cls, config: Config) -> Settings:
        """Render settings."""
        plain = config_to_dict(config)
        return cls(config, _json(plain) if plain else b"")


@dataclass(frozen=True, slots=True)
class Rendered:
    """All parts of a request to `model`: `shown` are the turns of the demonstrations, `asked` is the last one."""

    model: str
    system: str
    shown: tuple[Turn, ...]
    asked: Turn
    settings: Settings


def key_of(model: str, identity: str, request: Request, which: Sample) -> str:
    """Return what makes a request distinct: backend, messages, settings, rollout, and which sample of several."""
    return hashlib.sha256(_json([model, identity, request_to_dict(request), list(which)])).hexdigest()


class _Beginning(NamedTuple):
    """What requests with the same demonstrations and settings have in common."""

    messages: tuple[Message, ...]
    size: int
    state: Any  # of the hash


class Keys:
    """Makes requests to one backend and their keys, from the beginning that they share with an earlier one."""

    def __init__(self, model: str, identity: str) -> None:
        self.model, self.identity = model, identity
        self._known: dict[tuple[bytes, tuple[Turn, ...]], _Beginning] = {}

    def call(self, prompt: Rendered, which: Sample) -> Call:
        """Return the request; its key is that of `key_of`."""
        begun, asked = self._beginning(prompt), prompt.asked
        between, bytes_of_system = _between(prompt.model, prompt.system)
        state = begun.state.copy()
        state.update(asked.json + between + _json(list(which)) + b"]")
        messages = (*begun.messages, asked.message)
        request = Request(prompt.model, messages, system=prompt.system, config=prompt.settings.config)
        return Call(request, state.hexdigest(), begun.size + asked.size + bytes_of_system, which)

    def _beginning(self, prompt: Rendered) -> _Beginning:
        place = prompt.settings.json, prompt.shown
        known = self._known.get(place)
        if known is None:
            known = self._hashed(*place)
            if len(self._known) >= BEGINNINGS:
                self._known.clear()
            self._known[place] = known
        return known

    def _hashed(self, settings: bytes, shown: tuple[Turn, ...]) -> _Beginning:
        head = b"[" + _json(self.model) + b", " + _json(self.identity) + b", {"
        if settings:
            head += b'"config": ' + settings + b", "
        turns = b"".join([turn.json + b", " for turn in shown])
        state = hashlib.sha256(head + b'"messages": [' + turns)
        return _Beginning(tuple([turn.message for turn in shown]), sum([turn.size for turn in shown]), state)


@lru_cache(maxsize=64)
def _between(model: str, system: str) -> tuple[bytes, int]:
    """Return the part of the key between the messages and the sample, and the number of bytes of `system`."""
    return b'], "model": ' + _json(model) + b', "system": ' + _json(system) + b"}, ", len(system.encode())


_written = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode


def _json(value: Any) -> bytes:
    return _written(value).encode()
