"""The logged model of a run, and its instructions in MLflow's registry of prompts."""

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

import ner_programs
from experiments import tracking
from experiments.runs.models import LINKED, log_prompts
from experiments.tracking import Tracker
from ner_programs.privacy import PUBLIC
from ner_programs.program import NERProgram
from tests import tiny, warm
from tests.experiments.conftest import Place


def model_of(client: Any, run_id: str) -> Any:
    run = client.get_run(run_id)
    (model,) = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    return model


def prompts(client: Any) -> set[str]:
    return {prompt.name for prompt in client.search_prompts()}


def test_a_compiled_program_is_a_model_of_its_run_its_data_and_its_metrics(place: Place, public: Any) -> None:
    client = tracking.open_store(place.home)
    run, model = client.get_run(public["run_id"]), model_of(client, public["run_id"])
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    assert model.status == "READY"
    assert model.tags["nerc.bundle"] == public["bundle"]
    assert model.params["program.demos.k"] == run.data.params["program.demos.k"]
    assert not any("api_base" in name for name in model.params)
    (data,) = run.inputs.dataset_inputs
    figures = {metric.key: metric for metric in model.metrics}
    for name in ("dev_f1", "test_f1", "dev_baseline_f1", "lm_calls"):
        assert figures[name].value == run.data.metrics[name]
        assert figures[name].dataset_name == data.dataset.name == "notes"
        assert figures[name].dataset_digest == data.dataset.digest


def test_instructions_of_a_public_corpus_are_prompts(place: Place, public: Any) -> None:
    client = tracking.open_store(place.home)
    kept = client.get_prompt_version_by_alias("open-extract", "compiled")
    program = ner_programs.load(public["bundle"])
    assert kept.template == program.extract.predict.signature.instructions
    linked = [{"name": "open-extract", "version": str(kept.version)}]
    assert json.loads(client.get_run(public["run_id"]).data.tags[LINKED]) == linked
    assert json.loads(model_of(client, public["run_id"]).tags[LINKED]) == linked


def test_of_a_private_corpus_the_model_has_no_text_and_there_is_no_prompt(place: Place, private: Any) -> None:
    client = tracking.open_store(place.home)
    model = model_of(client, private["run_id"])
    assert model.tags["nerc.bundle"] == private["bundle"]
    assert not any(word in str((model.tags, model.params)) for word in ("zorvexan", "Mark the whole name", LINKED))
    assert not [name for name in prompts(client) if name.startswith("ward")]
    assert not Path(model.artifact_location.removeprefix("file://")).exists()


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """A tracker of a run with a model."""
    tracker = Tracker.start(
        warm.fresh_home(tmp_path / "mlruns"), "potions", "a run", {"name": "my potions"},
        {"corpus": "tiny", "corpus_fingerprint": "1", "kb_fingerprint": "none", "engine": "x"}, privacy=PUBLIC,
    )  # fmt: skip
    tracker.model(tmp_path, instructed("Mark potions."), instructed("Mark potions."))
    return tracker


def instructed(text: str) -> NERProgram:
    program = tiny.program()
    program.extract.predict.signature = program.extract.predict.signature.with_instructions(text)
    return program


def test_a_changed_instruction_is_a_version_with_its_difference_to_the_start(run: Tracker) -> None:
    client, name = run.client, "my_potions-extract"
    first, changed = instructed("Mark potions.\nNo doses."), instructed("Mark {{all}} potions.\nNo doses.")
    found, model = client.get_run(run.run_id), model_of(client, run.run_id).model_id
    for _ in range(2):  # nothing is registered twice
        log_prompts(client, found, model, first, changed)
    versions = [client.get_prompt_version(name, n) for n in (1, 2, 3)]
    assert [version.template for version in versions] == [
        "Mark potions.", "Mark potions.\nNo doses.", "Mark {{all}} potions.\nNo doses.",
    ]  # fmt: skip
    assert versions[2].commit_message.splitlines()[3:5] == ["-Mark potions.", "+Mark {{all}} potions."]
    with pytest.raises(MlflowException, match="version=4"):
        client.get_prompt_version(name, 4)
    aliases = {alias: client.get_prompt_version_by_alias(name, alias).version for alias in ("start", "compiled")}
    assert aliases == {"start": 2, "compiled": 3}


def test_a_resumed_run_has_one_model(run: Tracker) -> None:
    before = model_of(run.client, run.run_id).model_id
    run.model(Path(), tiny.program(), tiny.program())
    assert model_of(run.client, run.run_id).model_id == before
