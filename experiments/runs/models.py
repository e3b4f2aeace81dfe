"""The compiled program of a run as a logged model of MLflow, and its instructions as versions in the registry of prompts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from difflib import unified_diff
from typing import Any

import mlflow
from mlflow.entities import LoggedModelOutput

from ner_programs.privacy import PRIVATE, PUBLIC, Privacy
from ner_programs.program import NERProgram

START, COMPILED = "start", "compiled"
"""Aliases of a prompt: the instruction before compiling, and that of the newest compiled program."""
LINKED = "mlflow.linkedPrompts"
PRIVACY = "nerc.private"
"""The tag of a run and of its model, "true" if no text of it may be logged."""
LONGEST = 5_000  # characters of a commit message that MLflow keeps


def tag_of(privacy: Privacy) -> dict[str, str]:
    """Return the tag of a run on a text."""
    return {PRIVACY: str(not privacy.may_log).lower()}


def privacy_of(run: Any) -> Privacy:
    """Return what may be done with the texts of a run. They may not be logged unless its tag says otherwise."""
    return PUBLIC if run.data.tags.get(PRIVACY) == "false" else PRIVATE


def log_model(client: Any, run: Any, bundle: str) -> str:
    """Make the logged model of a run, which has no files: its tags say where the bundle lies. Return its id.

    A resumed run has the one that it had.
    """
    info, params = run.info, run.data.params
    there = client.search_logged_models([info.experiment_id], f"source_run_id = '{info.run_id}'")
    if there:
        return str(there[0].model_id)
    tags = {key: run.data.tags[key] for key in ("nerc.corpus", "nerc.kb_fingerprint", "nerc.engine", PRIVACY)}
    shown = {k: v for k, v in params.items() if k.startswith(("program.", "optimizer.")) or k == "lm.model"}
    name = f"{name_of(params.get('name', 'program'))}-{info.run_id[:8]}"
    model = client.create_logged_model(
        info.experiment_id, name, info.run_id, {**tags, "nerc.bundle": bundle}, shown, "nerc"
    )
    client.log_outputs(info.run_id, [LoggedModelOutput(model.model_id, step=0)])
    client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def log_prompts(client: Any, run: Any, model_id: str, first: NERProgram, program: NERProgram) -> None:
    """Register the instructions of a program of a public corpus, before and after compiling, and link them to run and model.

    Each stage has a prompt of its own. An instruction that its alias names already is not registered again. The commit message
    of a compiled one is its difference to the start.
    """
    name, start, linked = name_of(run.data.params.get("name", "program")), dict(_instructions(first)), []
    for stage, text in _instructions(program):
        prompt, before = f"{name}-{stage}", start.get(stage, "")
        from_run = {"nerc.run": run.info.run_id, "nerc.corpus": run.data.tags["nerc.corpus"]}
        version = _version(client, prompt, START, before or text, "before compiling", from_run)
        if text == (before or text):
            client.set_prompt_alias(prompt, COMPILED, version)
        else:
            lines = unified_diff(before.splitlines(), text.splitlines(), START, COMPILED, lineterm="")
            version = _version(client, prompt, COMPILED, text, "\n".join(lines)[:LONGEST], from_run)
        linked.append({"name": prompt, "version": str(version)})
    client.set_tag(run.info.run_id, LINKED, json.dumps(linked))
    client.set_logged_model_tags(model_id, {LINKED: json.dumps(linked)})


def _instructions(program: NERProgram) -> Iterator[tuple[str, str]]:
    """Yield the instruction of each stage that has one."""
    for name, predictor in program.named_predictors():
        if predictor.signature.instructions.strip():
            yield name_of(name.removesuffix(".predict")), predictor.signature.instructions


def _version(client: Any, prompt: str, alias: str, text: str, message: str, tags: Mapping[str, str]) -> int:
    """Return the version of a prompt with this text: that of the alias, or a new one, which gets the alias."""
    try:
        there = client.get_prompt_version_by_alias(prompt, alias)
    except mlflow.exceptions.MlflowException:
        there = None
    if there is not None and there.template == text:
        return int(there.version)
    made = client.register_prompt(prompt, text, commit_message=message, tags=dict(tags))
    client.set_prompt_alias(prompt, alias, made.version)
    return int(made.version)


def name_of(text: str) -> str:
    """Return a name as MLflow takes it for models and prompts."""
    return re.sub(r"[^\w.-]+", "_", text)
