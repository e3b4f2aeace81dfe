"""Sends a rendered prompt to the meter of an LM, without the conversions of DSPy's client.

`dspy.LM` turns messages into a request and checks each of them, at every call. A rendered prompt is a request already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dspy.clients.errors import error_boundary
from dspy.lm15 import Response

from ner_programs.lms._engine import Engine
from ner_programs.lms.call import PLAIN, Call, Rendered
from ner_programs.lms.metered import MeteredLM
from ner_programs.lms.threads import in_thread

SETTINGS = frozenset({"temperature", "max_tokens", "max_completion_tokens", "rollout_id"})
"""The options of an LM, or of a predictor, that this way can carry."""


def is_direct(lm: Any, config: Mapping[str, Any]) -> bool:
    """Return whether DSPy's client would add nothing: no callbacks, no cache, and no option that only it reads."""
    if type(lm) is not MeteredLM or lm.callbacks or lm.cache or lm.num_retries or lm.model_type != "chat":
        return False
    given = {**lm.kwargs, **config} if config else lm.kwargs
    if not (given.keys() <= SETTINGS and isinstance(lm._engine_spec, Engine)):
        return False
    return given.get("rollout_id") is None or given.get("temperature") != 0  # else DSPy warns


class Direct:
    """Asks an LM; raises what it raises (a `dspy.utils.exceptions.LMError`, or what ends a run)."""

    def __init__(self, lm: MeteredLM) -> None:
        self.model, self.meter = lm.model, lm.meter

    def __call__(self, prompt: Rendered, rollout: Any) -> Response:
        """Return the response to a prompt."""
        return self._answer(self._call(prompt, rollout))

    async def acall(self, prompt: Rendered, rollout: Any) -> Response:
        """Return the response to a prompt; the thread that asks waits for the provider and does little else."""
        return await in_thread(self._answer, self._call(prompt, rollout))

    def _call(self, prompt: Rendered, rollout: Any) -> Call:
        return self.meter.keys.call(prompt, PLAIN if prompt.settings.config.temperature == 0 else (rollout, 0))

    def _answer(self, call: Call) -> Response:
        with error_boundary(self.model, unexpected=True):
            return self.meter.answer(call)
