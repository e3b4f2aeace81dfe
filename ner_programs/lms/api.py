"""The backend for API models that DSPy can call: `openai/...`, `hosted_vllm/...`, `azure/<deployment>` and others.

Keys come only from the environment. They are sent to `api_base` or, without one, to the provider.
Ollama needs the prefix openai/ and an `api_base` that ends in /v1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal

import dspy
from annotated_types import Interval
from dspy.lm15 import Request, Response
from dspy.utils.exceptions import (
    ContextWindowExceededError,
    LMBillingError,
    LMConfigurationError,
    LMError,
    LMInvalidRequestError,
    LMNotConfiguredError,
    LMProviderError,
    LMServerError,
    LMUnsupportedModelError,
)

from ner_programs.errors import LMSetupError
from ner_programs.lms.price import Price, known_price, longest_answer
from ner_programs.privacy import Privacy, PrivacyError, base_from_environment, connecting

Seconds = Annotated[float, Interval(gt=0, le=86_400)]


Can = Literal["logprobs", "grammar", "structured_outputs", "logit_bias"]
"""Capabilities of a server that DSPy's table does not list, by the names of their request fields.

llama.cpp accepts `grammar`, and `logit_bias` with strings as keys. vLLM accepts a grammar in `structured_outputs`.
"""

_FLAGGED = ("anthropic", "azure", "deepseek", "gemini", "mistral", "openai")
"""Providers for which DSPy's table lists the models that reason. For models on other servers it often does not."""


class Api:
    """Sends requests through DSPy's own client, without retries. It connects only where `privacy` allows."""

    local = False
    writes = True

    def __init__(
        self, model: str, client: dict[str, Any], price: Price | None, privacy: Privacy, can: Sequence[Can] = ()
    ) -> None:  # fmt: skip
        self.model, self.can, self.logprobs = model, can, "logprobs" in can
        names = {"grammar": "grammar", "structured_outputs": "grammar", "logit_bias": "bias"}
        self.form = frozenset(names[field] for field in can if field in names)
        self._reach = privacy.reach(model, client.get("api_base"))
        self.identity = str(client.get("api_base") or base_from_environment(model) or "")
        self._lm = dspy.LM(model, cache=False, num_retries=0, **client)
        self.price = price or known_price(model)

    @cached_property
    def supports_schema(self) -> bool:
        """Whether the model accepts a JSON schema, according to DSPy's table."""
        return bool(self._lm.supports_response_schema)

    @cached_property
    def max_answer(self) -> int:
        """The maximum limit, in tokens, for an answer; 0 (set no limit) unless the model is known not to reason.

        A model's reasoning counts as part of its answer.
        """
        if self.model.partition("/")[0] not in _FLAGGED or not (most := longest_answer(self.model)):
            return 0
        return 0 if self._lm.supports_reasoning else most

    def complete(self, request: Request) -> Response:
        """Send one request. An answer that a content filter withheld, or that is not a completion, is raised as an LMError."""
        try:
            # The metered LM that calls this backend reports to history, usage and callbacks. This one must not report again.
            with dspy.context(disable_history=True, usage_tracker=None, callbacks=[]), connecting(self._reach):
                response: Response = self._lm(self._worded(request))
        except PrivacyError as error:
            raise LMConfigurationError(str(error), model=self.model) from None
        except LMError as error:
            better = _classified(error)
            if better is error:
                raise
            raise better from error
        if response.finish_reason == "content_filter":
            raise LMInvalidRequestError("the answer was withheld", model=self.model, provider_code="content_filter")
        if not response.message.text and response.id is None and response.usage.output_tokens is None:
            raise LMServerError("the reply is no completion", model=self.model)
        return response

    def close(self) -> None:
        """Close the connections that are kept open for the next request."""
        self._lm.close()

    def _worded(self, request: Request) -> Request:
        """Return the request with its grammar in the field that the server expects."""
        given = request.config.extensions or {}
        if "structured_outputs" not in self.can or "grammar" not in given:
            return request
        others = {k: v for k, v in given.items() if k != "grammar"}
        moved = {**others, "structured_outputs": {"grammar": given["grammar"]}}
        return replace(request, config=replace(request.config, extensions=moved))


def _classified(error: LMError) -> LMError:
    """Return a more specific error if DSPy's class does not show whether to correct the setup, to wait, or to retry."""
    details = {"model": error.model, "status": error.status, "provider": error.provider}
    chain = list(_causes(error))
    codes = [body.get("code") for e in chain if isinstance(body := getattr(e, "body", None), dict)]
    if "exceeds the available context size" in error.message:  # llama.cpp has no error code for this
        return ContextWindowExceededError(message=error.message, **details)
    if "insufficient_quota" in codes:
        return LMBillingError(error.message, provider_code="insufficient_quota", **details)
    if "Missing credentials" in error.message:
        wanted = "AZURE_API_KEY" if error.provider == "azure" else "its key"
        return LMNotConfiguredError(f"no credentials: set {wanted} in the environment", **details)
    if "LLM Provider NOT provided" in error.message:
        return LMUnsupportedModelError(f"no provider is known for {error.model}", **details)
    if (
        type(error) is LMProviderError and (error.status or 200) < 400
    ):  # the reply is not JSON; its text is not repeated
        return LMServerError("the reply is not JSON", **details)
    return error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def build(
    *, model: str, api_base: str | None = None, api_version: str | None = None, timeout: Seconds = 120.0,
    price: dict[str, float] | None = None, can: tuple[Can, ...] = (),
    privacy: Privacy = Privacy(),  # noqa: B008  # frozen
) -> Api:  # fmt: skip
    """Build the client. `price` is in US dollars per million tokens: {"input": 0.4, "output": 1.6}.

    With `logprobs` in `can`, stages request the log-probabilities of the answer's tokens. `Entity.score` is computed from them.
    """
    if model.startswith("vllm/"):
        raise LMSetupError("vllm/ runs a model inside this process; a vLLM server is hosted_vllm/<model> with api_base")
    client = {"api_base": api_base, "api_version": api_version, "timeout": timeout}
    try:
        cost = Price(**price) if price else None
    except TypeError as error:
        raise LMSetupError('lm.price needs "input" and "output": US dollars for a million tokens') from error
    return Api(model, {k: v for k, v in client.items() if v is not None}, cost, privacy, can)
