"""Collects the texts of a run that may not be logged, for a page that its owner reads.

MLflow has none of them (design D12). They come from their sources: documents from the corpus, the program's answers from the
cache of LM answers, instruction and demonstrations from the bundle. Nothing is sent and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments import places, settings, setup
from experiments.corpora.corpus import Corpus
from experiments.errors import ReadError, TrackingError
from experiments.runs import folds, registry
from experiments.runs.artifacts import json_lines
from experiments.runs.models import privacy_of
from experiments.runs.program_changes import program_changes
from experiments.runs.recorder import SPEC, instruction_digest, prompt_of
from experiments.scoring.answers import dump
from experiments.session import encoding, session
from experiments.spec import RunSpec, explain
from kb.errors import KnowledgeError
from ner_programs.bundle.state import state_of
from ner_programs.evaluate import score
from ner_programs.privacy import PUBLIC
from ner_programs.program import NERProgram


@dataclass(frozen=True, slots=True)
class Texts:
    """The artifacts of a run by name, as a run on a public corpus records them, and remarks on them."""

    files: Mapping[str, Any] = field(repr=False)
    remarks: tuple[str, ...] = ()


def texts_of(run: Any, kept: Mapping[str, Any], home: Path, data: Path) -> Texts:
    """Return the artifacts of a run with its texts. `kept` are the recorded artifacts, which are complete for a public run.

    Raises TrackingError if the texts cannot be found: the corpus has changed, or the run is cross-validated.
    """
    if privacy_of(run).may_log:
        return Texts(kept)
    name = run.info.run_id[:8]
    spec = _spec(name, kept)
    if folds.number(spec):
        raise TrackingError(f"run {name} is one over folds, each with a program of its own: name the run of a fold")
    try:
        corpus, first, _ = setup.build(spec, data, home)
    except (ReadError, KnowledgeError, OSError) as error:
        raise TrackingError(f"the texts of run {name} cannot be read where they were: {_line(error)}") from None
    then = run.data.tags.get("nerc.corpus_fingerprint")
    if corpus.fingerprint[:16] != then:
        raise TrackingError(
            f"the corpus of run {name} has changed since: its fingerprint is {corpus.fingerprint[:16]}, it was {then}"
        )
    program = _program(run, spec, first, home)
    found, remarks = _answered(spec, corpus, program)
    if kept.get("prompts/first.txt") == instruction_digest(first):
        found["prompts/first.txt"] = prompt_of(first, corpus)
        found["changes.json"] = kept.get("changes.json", {}) | program_changes(first, program, PUBLIC)
    else:
        found["prompts/first.txt"] = None
        remarks.append("the guidelines have changed since: the program before compiling is not shown")
    return Texts({**kept, **found}, tuple(remarks))


def _answered(spec: RunSpec, corpus: Corpus, program: NERProgram) -> tuple[dict[str, Any], list[str]]:
    """Return the compiled program and its answers on dev as artifacts of a public run, and remarks."""
    program.pool.privacy = encoding(spec.lm, corpus.privacy)
    answers = places.answers(corpus.name, corpus.fingerprint)
    with session(spec.lm, privacy=corpus.privacy, answers=answers, send=False):
        scored = score(program, corpus.dev)
    found = {
        "answers/dev.jsonl": json_lines(dump(corpus.dev, scored)),
        "bundle/state.json": state_of(program),
        "bundle/program.json": {"spec": program.spec.model_dump()},
        "prompts/compiled.txt": prompt_of(program, corpus),
    }
    lacking = scored.total.unanswered
    remark = f"{lacking} answers of the LM are not kept: what they found is missing in the texts below"
    return found, [remark] if lacking else []


def _spec(name: str, kept: Mapping[str, Any]) -> RunSpec:
    if SPEC not in kept:
        raise TrackingError(
            f"run {name} does not say where its texts are: it is of an earlier version of nerc, or of another system"
        )
    try:
        return RunSpec.model_validate(kept[SPEC])
    except ValidationError as error:
        raise TrackingError(f"the spec of run {name} is of another version of nerc: {explain(error)}") from None


def _program(run: Any, spec: RunSpec, first: NERProgram, home: Path) -> NERProgram:
    """Return the program that was scored: the bundle's, or the initial one if nothing was compiled and there is no bundle."""
    if "nerc.bundle" not in run.data.tags and spec.optimizer["name"] == "none":
        return first
    named = [v for k, v in settings.flat(spec.program.model_dump()) if k.endswith("name") and isinstance(v, str)]
    trusted = sorted({name.partition(".")[0] for name in named if "." in name})
    program = registry.fetch(f"runs:/{run.info.run_id}", home, trusted)
    return program.with_settings(unit=first.spec.unit)  # a bundle may have another unit for its users


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
