"""Any model behind an API that DSPy can reach: `openai/...`, `hosted_vllm/...`, `azure/<deployment>` and others.

Keys come from the environment only. Ollama wants an `api_base` that ends in /v1 and the prefix openai/.
"""

from __future__ import annotations

from typing import Any

import dspy
from dspy.lm15 import Request, Response

from ner_programs._errors import LMSetupError
from ner_programs.lms.price import Price, known_price


class Api:
    """One attempt at a time through DSPy's own client."""

    def __init__(self, model: str, client: dict[str, Any], price: Price | None) -> None:
        self.model = model
        self.identity = str(client.get("api_base") or "")
        self._lm = dspy.LM(model, cache=False, num_retries=0, **client)
        self.price = price or known_price(model)

    @property
    def supports_schema(self) -> bool:
        """Whether DSPy's table says that the model takes a JSON schema."""
        return bool(self._lm.supports_response_schema)

    def complete(self, request: Request) -> Response:
        """Send one request."""
        with dspy.context(disable_history=True):
            response: Response = self._lm(request)
            return response


def build(
    *, model: str, api_base: str | None = None, api_version: str | None = None, timeout: float = 120.0,
    price: dict[str, float] | None = None,
) -> Api:  # fmt: skip
    """Build the client; `price` gives US dollars for a million tokens: {"input": 0.4, "output": 1.6}."""
    if model.startswith("vllm/"):
        raise LMSetupError("vllm/ runs a model inside this process; a vLLM server is hosted_vllm/<model> with api_base")
    client = {"api_base": api_base, "api_version": api_version, "timeout": timeout}
    try:
        cost = Price(**price) if price else None
    except TypeError as error:
        raise LMSetupError('lm.price needs "input" and "output": US dollars for a million tokens') from error
    return Api(model, {k: v for k, v in client.items() if v is not None}, cost)
