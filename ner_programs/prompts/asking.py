"""How a stage asks: one call of its predictor, under its own adapter, that never fails because of one answer.

There are two ways, with the same requests, byte for byte, and the same results. DSPy's own goes through `dspy.Predict`, the
adapter and `dspy.LM`, each of which converts and checks the whole prompt anew. The direct one puts the request together from
what is rendered already (`rendering`), and sends it to the meter (`lms.direct`). It is taken where nobody could see the
difference: see `_direct`, and decision 0020.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import dspy
from dspy.clients.call_result import legacy_output
from dspy.utils.exceptions import (
    AdapterParseError,
    LMAuthError,
    LMBillingError,
    LMConfigurationError,
    LMError,
    LMNotConfiguredError,
    LMUnsupportedFeatureError,
    LMUnsupportedModelError,
)

from ner_programs.errors import LMSetupError, code_of
from ner_programs.lms import current_lm
from ner_programs.lms.call import Rendered
from ner_programs.lms.direct import Direct, is_direct
from ner_programs.lms.metered import MeteredLM
from ner_programs.lms.pace import STOPPED, LMStopped
from ner_programs.prompts.adapter import StageAdapter
from ner_programs.prompts.answers import Answers, Hearing, hearing
from ner_programs.prompts.rendering import Layout
from ner_programs.waiting import Wait, unobserved, untouched

EMPTY = "the reply was empty"
_SETUP = (LMAuthError, LMBillingError, LMConfigurationError, LMUnsupportedFeatureError, LMUnsupportedModelError)


async def ask(wait: Wait, predict: dspy.Predict, adapter: StageAdapter, **fields: Any) -> Mapping[str, Any]:
    """Run a stage's predictor under its own adapter, and never fail because of one answer.

    The prediction carries `answers` (how the answer ended), `unreadable` (pieces of it that could not be read) and
    `unanswered` (why there was no answer: the call failed for good, after retries, or its reply was empty); where nothing
    could be read its output fields are None. Raises LMSetupError when no call could succeed: no key, an unknown model, an
    option that the provider refuses.
    """
    with hearing() as mine:
        try:
            ready = _direct(predict, adapter, fields)
            if ready is not None:
                return _read(mine, await _asked(wait, predict, adapter, ready, mine))
            with dspy.context(adapter=adapter):
                return _read(mine, await wait.call(predict, **fields))
        except AdapterParseError:
            return _read(mine, {})
        except LMError as error:
            return _failed(error)


class _Ready(NamedTuple):
    """What the direct way needs: the LM, the prompt and its rollout, its layout, and the inputs alone."""

    lm: MeteredLM
    prompt: Rendered
    rollout: Any
    layout: Layout
    inputs: dict[str, Any]


def _direct(predict: Any, adapter: StageAdapter, fields: Mapping[str, Any]) -> _Ready | None:
    """Return the prompt if the direct way may be taken, else None.

    It may not where anything of DSPy would see or change the call: callbacks, history, usage or streams
    (`waiting.unobserved`), a predictor or adapter of another class, options that only DSPy's client reads, another LM than a
    metered one, inputs that are not those of the signature, or text that no provider takes.
    """
    lm = current_lm(predict.lm)
    plain = (
        type(predict) is dspy.Predict and type(adapter) is StageAdapter and not (adapter.callbacks or predict.fields)
    )
    if not (plain and unobserved(predict) and untouched(predict) and is_direct(lm, predict.config)):
        return None
    layout = adapter.rendering.layout(predict.signature)
    if layout is None or len(fields) - ("demos" in fields) != len(layout.inputs):
        return None
    inputs = {name: fields.get(name) for name in layout.inputs}
    if not all(isinstance(given, str) for given in inputs.values()):
        return None
    try:
        made = adapter.rendering.prompt(lm, layout, predict.config, fields.get("demos", predict.demos), inputs)
    except UnicodeEncodeError:  # a lone surrogate: DSPy says so
        return None
    return _Ready(lm, *made, layout, inputs)


async def _asked(
    wait: Wait, predict: Any, adapter: StageAdapter, ready: _Ready, mine: Hearing
) -> Mapping[str, Any]:  # fmt: skip
    """Ask directly, and return the fields of the answer; none if it is empty."""
    mine.asked = ready.prompt.asked.text
    response = await wait.call(Direct(ready.lm), ready.prompt, ready.rollout)
    output = legacy_output(response, logprobs=ready.prompt.settings.config.logprobs is not None)
    value = adapter.read(predict.signature, ready.layout.output, output)
    if value is None:
        return {}
    value = {ready.layout.output: value[ready.layout.output]}
    if dspy.settings.trace is not None:  # optimizers read it
        predict._forward_postprocess([value], predict.signature, **ready.inputs)
    return value


def ended(prediction: Mapping[str, Any]) -> tuple[int, str, Answers]:
    """Return what a prediction of `ask` says of its answer: unreadable pieces, why there was none, how it ended."""
    return prediction.get("unreadable") or 0, prediction.get("unanswered") or "", prediction.get("answers") or Answers()


def _read(mine: Hearing, found: Any) -> dict[str, Any]:
    status = mine.status
    unreadable = mine.unreadable if status in ("read", "truncated", "unreadable") else 0
    ended = {
        "answers": Answers.of(status),
        "unreadable": unreadable,
        "unanswered": EMPTY if status == "unanswered" else "",
    }
    return {**dict(found.items()), **ended}


def _failed(error: LMError) -> dict[str, Any]:
    if refused := refusal(error):
        raise refused from None
    return {"unanswered": _named(error), "answers": Answers.of("unanswered")}


def refusal(error: LMError) -> LMSetupError | None:
    """Return what to tell people if no call could succeed; None where only this one failed."""
    if not isinstance(error, _SETUP):
        return None
    if isinstance(error, LMNotConfiguredError) or error.status is None:
        return LMSetupError(str(error))  # said on this side
    return LMSetupError(f"[{error.model}] the provider refused the call: {_named(error)}")


def _named(error: LMError) -> str:
    """Return what kind of error it is, without what the provider says: that may quote the prompt, and the prompt a patient."""
    if isinstance(error, LMStopped):
        return STOPPED
    said = [type(error).__name__, f"HTTP {error.status}" if error.status else "", code_of(error)]
    return ", ".join(filter(None, said))
