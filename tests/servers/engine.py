"""A backend of nerc as what a server asks."""

from __future__ import annotations

from collections.abc import Callable

from dspy.lm15 import Config, Message, Request
from dspy.utils.exceptions import LMError

from ner_programs.lms.metered import Backend
from tests.servers.wire import Answer, Chat, Refused


def answers_of(backend: Backend) -> Callable[[Chat], Answer]:
    """Return the function from a chat to the backend's answer; it raises Refused where the backend raises an LMError."""

    def answer(chat: Chat) -> Answer:
        turns = [Message.assistant(text) if role == "assistant" else Message.user(text) for role, text in chat.turns]
        config = Config(logprobs=0) if chat.logprobs else Config()
        request = Request(model=backend.model, system=chat.system or None, messages=tuple(turns), config=config)
        try:
            response = backend.complete(request)
        except LMError as error:  # its message names formats, no text
            raise Refused(400, error.message, "unsupported_prompt") from None
        tokens = tuple((t.token, t.logprob) for t in response.logprobs) if response.logprobs is not None else None
        return Answer(response.message.text or "", tokens, response.finish_reason)

    return answer
