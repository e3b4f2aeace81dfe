"""Traces of dev documents: from a wrong entity to the prompt that made it."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments import tracking
from experiments.runs.models import LINKED
from tests.experiments.conftest import Place

PLAIN = ("--set", "optimizer={name='none'}", "--set", "program.demos.k=1")


@pytest.fixture(scope="module")
def traced(place: Place) -> Any:
    return place.made("run", "open.toml", *PLAIN, "--traces", "2")


def traces_of(place: Place, run_id: str) -> Any:
    client = tracking.open_store(place.home)
    run = client.get_run(run_id)
    return client.search_traces(locations=[run.info.experiment_id], run_id=run_id)


def test_a_trace_leads_from_the_errors_to_prompt_and_answer(place: Place, traced: Any) -> None:
    client = tracking.open_store(place.home)
    found = traces_of(place, traced["run_id"])
    file = Path(client.download_artifacts(traced["run_id"], "answers/dev.jsonl"))
    answers = {(row := json.loads(line))["id"]: row for line in file.read_text(encoding="utf-8").splitlines()}
    assert len(found) == 2
    for trace in found:
        row = answers[trace.info.tags["nerc.document"]]
        (root,) = (span for span in trace.data.spans if span.parent_id is None)
        assert root.inputs == {"document": row["id"], "text": row["text"]}
        for said, kept in (("entities", "predicted"), ("gold", "gold")):
            spans = [(e["start"], e["end"], e["label"]) for e in root.outputs[said]]
            assert spans == [(e["start"], e["end"], e["label"]) for e in row[kept]], "as it was scored"
        assert trace.info.tags["nerc.errors"] == str(len(root.outputs["errors"]))
        names = {span.span_id: span.name for span in trace.data.spans}
        calls = [span for span in trace.data.spans if span.name == "lm"]
        assert {"retrieve", "extract"} <= set(names.values())
        assert {names[call.parent_id] for call in calls} == {"extract.predict"}
        assert all(any(m["role"] == "system" for m in call.inputs["messages"]) for call in calls)
        assert all(call.outputs["choices"][0]["message"]["content"] for call in calls)
        assert all(span.status.status_code == "OK" for span in trace.data.spans)
        linked = client.get_run(traced["run_id"]).data.tags[LINKED]
        assert trace.info.tags[LINKED] == linked


def test_without_the_option_there_is_no_trace(place: Place, public: Any) -> None:
    assert not traces_of(place, public["run_id"])


def test_a_private_corpus_is_refused_before_anything_is_run(place: Place) -> None:
    before = place.files()
    assert place.nerc("run", "ward.toml", *PLAIN, "--traces", "2").error.startswith(
        "--traces writes texts into MLflow, and this corpus is private"
    )
    licensed = ("--set", "kb.bundle=reference")
    assert "licensed" in place.nerc("run", "open.toml", *PLAIN, *licensed, "--traces", "2").error
    assert place.files() == before
