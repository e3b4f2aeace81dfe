"""Traces of dev documents of a public corpus: each stage, prompt and answer that made an entity, in MLflow's tree of spans."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any
from uuid import uuid4

import dspy
from dspy.utils.callback import ACTIVE_CALL_ID, BaseCallback
from mlflow.entities import Span, TraceInfo, TraceLocation, TraceState

from experiments.runs.models import LINKED
from ner_programs.program import NERProgram
from ner_programs.scoring import Counts
from ner_programs.taxonomy import errors
from ner_programs.types import AnnotatedText, Entity

PREVIEW = 500
_TYPES = {"lm": "CHAT_MODEL", "program": "AGENT"}


@dataclass(slots=True)
class Step:
    """One call of a module or of the LM: what went in and came out, and when."""

    name: str
    parent: str | None
    inputs: Any
    began: int
    outputs: Any = None
    ended: int = 0
    error: str = ""


class Steps(BaseCallback):
    """Collects the calls of a program in the order of their beginning."""

    def __init__(self, program: NERProgram) -> None:
        self.made: dict[str, Step] = {}
        self._names = {id(part): name for name, part in program.named_sub_modules()}
        self._names[id(program)] = "program"

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Begin a stage."""
        given = [*inputs.get("args", ()), *inputs.get("kwargs", {}).values()]
        self._begin(call_id, self._names.get(id(instance), type(instance).__name__).removeprefix("self."), given)

    def on_module_end(self, call_id: str, outputs: Any, exception: Exception | None = None) -> None:
        """End a stage."""
        self._end(call_id, outputs, exception)

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Begin a call: its messages."""
        self._begin(call_id, "lm", {"messages": inputs.get("messages")})

    def on_lm_end(self, call_id: str, outputs: Any, exception: Exception | None = None) -> None:
        """End a call: the texts of its answers."""
        texts = [one.get("text") if isinstance(one, Mapping) else one for one in outputs or ()]
        said = [{"message": {"role": "assistant", "content": text}} for text in texts]
        self._end(call_id, {"choices": said}, exception)

    def _begin(self, call_id: str, name: str, inputs: Any) -> None:
        self.made[call_id] = Step(name, ACTIVE_CALL_ID.get(), plain(inputs), time.time_ns())

    def _end(self, call_id: str, outputs: Any, exception: Exception | None) -> None:
        step = self.made[call_id]
        step.outputs, step.ended = plain(outputs), time.time_ns()
        step.error = type(exception).__name__ if exception else ""


def log_trace(client: Any, run: Any, program: NERProgram, document: AnnotatedText) -> str:
    """Ask the program about a document as scoring did, and write its trace with gold and errors. Return the trace's id."""
    steps = Steps(program)
    with dspy.context(callbacks=[steps]):
        found = program(document.text, exclude=document.kin)
    wrong = errors(document.text, document.entities, found.entities, found.lost)
    root = next(iter(steps.made.values()))
    root.inputs = {"document": document.id, "text": document.text}
    root.outputs = {
        "errors": [
            {"kind": w.kind, **{k: _shown(e) for k in ("gold", "predicted") if (e := getattr(w, k)) is not None},
             **({"lost": w.lost.text} if w.lost else {})}
            for w in wrong
        ],
        "entities": [_shown(e) for e in found.entities],
        "gold": [_shown(e) for e in document.entities],
        "unanswered": list(found.reasons),
    }  # fmt: skip
    name, ids = f"tr-{uuid4().hex}", {call: uuid4().hex[:16] for call in steps.made}
    f1 = Counts.of(document.entities, found.entities).f1
    tags = {
        "mlflow.traceName": document.id,
        "nerc.document": document.id,
        "nerc.errors": str(len(wrong)),
        "nerc.f1": f"{f1:.3f}",
    }
    tags |= {LINKED: run.data.tags[LINKED]} if LINKED in run.data.tags else {}
    models = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
    about = {"mlflow.sourceRun": run.info.run_id, **({"mlflow.modelId": models[0]} if models else {})}
    said = ", ".join(f"{w.kind}: {e.text if (e := w.predicted or w.gold) else ''}" for w in wrong) or "no error"
    store = (
        client._tracking_client.store
    )  # MLflow's own way goes to the one store that the process has set, in a thread
    store.start_trace(TraceInfo(
        name, TraceLocation.from_experiment_id(run.info.experiment_id), root.began // 1_000_000, TraceState.OK,
        document.text[:PREVIEW], said[:PREVIEW], execution_duration=(root.ended - root.began) // 1_000_000,
        trace_metadata={**about, "mlflow.trace_schema.version": "3"}, tags=tags,
    ))  # fmt: skip
    store.log_spans(run.info.experiment_id, [_span(name, ids, call, step) for call, step in steps.made.items()])
    return name


def _span(trace: str, ids: Mapping[str, str], call: str, step: Step) -> Span:
    told = {"mlflow.traceRequestId": trace, "mlflow.spanInputs": step.inputs, "mlflow.spanOutputs": step.outputs,
            "mlflow.spanType": _TYPES.get(step.name, "CHAIN")}  # fmt: skip
    return Span.from_dict({
        "trace_id": trace, "span_id": ids[call], "parent_span_id": ids.get(step.parent or "", ""), "name": step.name,
        "start_time_unix_nano": step.began, "end_time_unix_nano": max(step.ended, step.began),
        "status": {"code": "ERROR" if step.error else "OK", "message": step.error},
        "attributes": {key: json.dumps(value, ensure_ascii=False) for key, value in told.items()},
    })  # fmt: skip


def _shown(entity: Entity) -> dict[str, Any]:
    score = None if entity.score is None else round(entity.score, 3)
    row = {"text": entity.text, "label": entity.label, "start": entity.start, "end": entity.end}
    return row | {k: v for k, v in (("concept", entity.concept), ("score", score)) if v is not None}


def plain(value: Any) -> Any:
    """Return a value as JSON can have it: objects by their fields, anything else by what it prints."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, dspy.Example):
        return plain(value.toDict())
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
