"""F1 on dev against LM calls: what a run had to show for the calls that it had made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Curve = list[tuple[int, float]]
"""(LM calls, F1 on dev) after each trial; the last point is the compiled program on the whole of dev."""


def incumbents(trials: Sequence[tuple[int, float, T]]) -> list[T]:
    """Return which trial leads after each of `trials`, given as (documents, F1, what it is called) in their order.

    Only those lead that saw as many dev documents as any so far: on a few documents F1 may be high by chance.
    """
    led: list[T] = []
    most, best = 0, 0.0
    for documents, f1, name in trials:
        if not led or documents > most or (documents == most and f1 > best):
            most, best = max(most, documents), f1
            led.append(name)
        else:
            led.append(led[-1])
    return led


def curve(client: Any, run: Any) -> Curve:
    """Return the best so far after each trial of an MLflow run; [] where it has no trials or was not scored on dev."""

    def steps(metric: str) -> dict[int, float]:
        return {m.step: m.value for m in client.get_metric_history(run.info.run_id, metric)}

    metrics = run.data.metrics
    if not {"trial_f1", "compile_calls", "dev_f1"} <= metrics.keys():
        return []
    scores, calls, documents = steps("trial_f1"), steps("trial_lm_calls"), steps("trial_documents")
    order = [n for n in sorted(scores) if n in calls and n in documents]
    led = incumbents([(int(documents[n]), scores[n], scores[n]) for n in order])
    made = [(int(calls[n]), best) for n, best in zip(order, led, strict=True)]
    return [*made, (int(metrics["compile_calls"]), metrics["dev_f1"])]
