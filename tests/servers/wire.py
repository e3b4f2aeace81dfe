"""OpenAI's chat completions as they go over the wire: requests are read and checked, answers and errors are written."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
Token = tuple[str, float]
"""A piece of an answer and the logarithm of its probability."""

CHARACTERS = 4  # of a token
MOST_CHOICES = 128
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class Refused(Exception):
    """A request that gets an error instead of an answer; the message quotes nothing of a prompt."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param

    @property
    def body(self) -> Body:
        """The error as OpenAI writes it."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True)
class Chat:
    """What a request asks for: `turns` are (role, text) of what is no system message, the open one last.

    Other settings change nothing: an engine without randomness has no temperature.
    """

    system: str
    turns: tuple[tuple[str, str], ...]
    choices: int = 1
    stream: bool = False
    stream_usage: bool = False
    logprobs: bool = False
    limit: int | None = None
    """Tokens an answer may have."""

    @property
    def open(self) -> str:
        """The text of the last message."""
        return self.turns[-1][1]

    @property
    def whole(self) -> str:
        """The text of all messages."""
        return "\n".join([self.system, *(text for _, text in self.turns)])


@dataclass(frozen=True)
class Answer:
    """What is said; `tokens` spell the text where their probabilities are known."""

    text: str | None
    tokens: tuple[Token, ...] | None = None
    finish: str = "stop"

    def cut(self, limit: int | None) -> Answer:
        """Return the first `limit` tokens of an answer that is longer."""
        if limit is None or self.text is None or len(self.text) <= limit * CHARACTERS:
            return self
        return self.saying(self.text[: limit * CHARACTERS], "length")

    def saying(self, text: str, finish: str) -> Answer:
        """Return the answer with another text; tokens are kept as far as they spell it."""
        kept, at = [], 0
        for token in self.tokens or ():
            if not text.startswith(token[0], at):
                break
            kept.append(token)
            at += len(token[0])
        return Answer(text, tuple(kept) if self.tokens is not None else None, finish)


def read(raw: bytes) -> Body:
    """Return a body that asks for a chat; raises Refused for what is no JSON object."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise Refused(400, "the body of the request is not JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body of the request is not a JSON object")
    return body


def chat_of(body: Body) -> Chat:
    """Return what a body asks for; raises Refused where it is not what OpenAI's reference says."""
    messages = body.get("messages")
    if messages is None:
        raise Refused(400, "missing required parameter: messages", "missing_required_parameter", "messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "messages is not a list with a message in it", "invalid_type", "messages")
    system, turns = [], []
    for n, message in enumerate(messages):
        role, text = _message(message, f"messages[{n}]")
        if role in ("system", "developer"):
            system.append(text)
        else:
            turns.append((role, text))
    if not turns:
        raise Refused(400, "messages holds nothing but system messages", "invalid_value", "messages")
    options = _option(body, "stream_options", dict, {})
    limits = [_option(body, name, int, None) for name in ("max_completion_tokens", "max_tokens")]
    choices = _option(body, "n", int, 1)
    if not 1 <= choices <= MOST_CHOICES:
        raise Refused(400, f"n is not from 1 to {MOST_CHOICES}", "invalid_value", "n")
    if any(limit is not None and limit < 1 for limit in limits):
        raise Refused(400, "max_tokens is not 1 or more", "invalid_value", "max_tokens")
    return Chat(
        "".join(system), tuple(turns), choices, _option(body, "stream", bool, False), bool(options.get("include_usage")),
        _option(body, "logprobs", bool, False), min((limit for limit in limits if limit is not None), default=None),
    )  # fmt: skip


def _message(message: Any, where: str) -> tuple[str, str]:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in _ROLES:
        raise Refused(400, f"{where}.role is none of {', '.join(_ROLES)}", "invalid_value", f"{where}.role")
    content = message.get("content")
    parts = [{"type": "text", "text": content or ""}] if isinstance(content, str | None) else content
    if not isinstance(parts, list):
        raise Refused(400, f"{where}.content is neither a string nor a list", "invalid_type", f"{where}.content")
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise Refused(400, f"{where}.content holds something else than text", "invalid_value", f"{where}.content")
    return role, "".join(map(str, texts))


def _option(body: Body, name: str, kind: type, default: Any) -> Any:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Refused(400, f"{name} is no {kind.__name__}", "invalid_type", name)
    return value


def content_of(body: Body) -> str:
    """Return what makes a request distinct: a hash of everything in it but how the answer is to be sent."""
    kept = {k: v for k, v in body.items() if k not in ("stream", "stream_options")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def usage(chat: Chat, answers: Sequence[Answer]) -> Body:
    """Return the tokens of a prompt and its answers, by a rule of thumb: four characters are one."""
    asked = (len(chat.system) + sum(len(text) for _, text in chat.turns)) // CHARACTERS
    said = sum(len(answer.text or "") // CHARACTERS + 1 for answer in answers)
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def completion(id: str, model: str, answers: Sequence[Answer], *, logprobs: bool, usage: Body | None) -> Body:
    """Return the body of a completion."""
    choices = [
        {"index": n, "message": {"role": "assistant", "content": a.text, "refusal": None},
         "logprobs": _logprobs(a.tokens) if logprobs else None, "finish_reason": a.finish}
        for n, a in enumerate(answers)
    ]  # fmt: skip
    said = {"id": id, "object": "chat.completion", "created": int(time.time()), "model": model, "choices": choices}
    return said | ({"usage": usage} if usage is not None else {})


def chunks(id: str, model: str, answers: Sequence[Answer], *, logprobs: bool, usage: Body | None) -> Iterator[Body]:
    """Yield the chunks of a streamed completion; `usage`, if it is asked for, in the last one."""
    head = {"id": id, "object": "chat.completion.chunk", "created": int(time.time()), "model": model}

    def chunk(n: int, delta: Body, tokens: tuple[Token, ...] | None = None, finish: str | None = None) -> Body:
        said = _logprobs(tokens) if logprobs else None
        return head | {"choices": [{"index": n, "delta": delta, "logprobs": said, "finish_reason": finish}]}

    for n, answer in enumerate(answers):
        yield chunk(n, {"role": "assistant", "content": None if answer.text is None else ""})
        for piece, tokens in _pieces(answer):
            yield chunk(n, {"content": piece}, tokens)
        yield chunk(n, {}, finish=answer.finish)
    if usage is not None:
        yield head | {"choices": [], "usage": usage}


def _pieces(answer: Answer) -> Iterator[tuple[str, tuple[Token, ...] | None]]:
    """Yield the text in pieces of a few tokens, each with its tokens."""
    text, at = answer.text or "", 0
    for token in answer.tokens or ():
        yield token[0], (token,)
        at += len(token[0])
    step = 4 * CHARACTERS
    for start in range(at, len(text), step):
        yield text[start : start + step], None


def _logprobs(tokens: Sequence[Token] | None) -> Body | None:
    if tokens is None:
        return None
    rows = [
        {"token": t, "logprob": p, "bytes": list(t.encode("utf-8", "surrogatepass")), "top_logprobs": []}
        for t, p in tokens
    ]
    return {"content": rows, "refusal": None}
