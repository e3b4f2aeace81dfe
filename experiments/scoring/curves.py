"""The learning curve of a run: the best F1 on dev so far against LM calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Curve = list[tuple[int, float]]
"""(LM calls, F1 on dev) after each trial. The last point is the compiled program on all of dev."""


def incumbents(trials: Sequence[tuple[int, float, T]]) -> list[T]:
    """Return the name of the best trial so far after each of `trials`, given as (documents, F1, name).

    Only trials on the largest number of dev documents so far count: on few documents F1 may be high by chance.
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
    """Return the best so far after each trial of an MLflow run; [] if it has no trials or no score on dev."""

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
