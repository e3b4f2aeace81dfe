"""From a spec to what a run starts with: the corpus, and an uncompiled program with its pool and knowledge base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments._errors import SpecError
from experiments.corpora._base import Corpus, flatten
from experiments.evaluation import with_labels
from experiments.knowledge import knowledge_base
from experiments.spec import RunSpec, explain
from ner_programs import NERProgram, Pool, ProgramSpec
from ner_programs.components import resolve


def build(spec: RunSpec, data: Path, home: Path) -> tuple[Corpus, NERProgram, Path | None]:
    """Return the corpus, the program before compilation, and the folder of its knowledge base (None without one)."""
    corpus = open_corpus(spec, data)
    kb, folder = knowledge_base(spec.kb.sources, data, home) if spec.kb else (None, None)
    program_spec = _program_spec(spec, corpus)
    pool = Pool.of((flatten(d)[0] for d in corpus.train), program_spec.unit)
    return corpus, program_spec.build(kb, pool), folder


def open_corpus(spec: RunSpec, data: Path) -> Corpus:
    """Read the corpus of a spec, with only the spec's labels where it names any; unknown ones are an error."""
    options = dict(spec.corpus)
    private = options.pop("private", None)
    corpus: Corpus = resolve("experiments.corpora", options, data=data)
    if private is not None:
        object.__setattr__(corpus, "private", bool(private))
    if not corpus.train and not corpus.dev:
        raise SpecError(f"corpus {corpus.name}: there are neither train nor dev documents")
    if spec.labels:
        there = {label.name for label in corpus.suggested_labels}
        if unknown := [label for label in spec.labels if label not in there]:
            raise SpecError(f"labels.{unknown[0]}: nothing is annotated so; there are: {', '.join(sorted(there))}")
        corpus = with_labels(corpus, set(spec.labels))
    return corpus


def _program_spec(spec: RunSpec, corpus: Corpus) -> ProgramSpec:
    settings: dict[str, Any] = {
        "labels": spec.labels or {label.name: label.definition for label in corpus.suggested_labels},
        "guidelines": _guidelines(spec),
        "unit": spec.task.unit or corpus.unit,
        "types": spec.kb.labels if spec.kb else {},
        **spec.program.model_dump(exclude={"retriever"}),
        "retriever": spec.program.retriever or {"name": "walk" if spec.kb else "none"},
    }
    try:
        return ProgramSpec.model_validate(settings)
    except ValidationError as error:
        raise SpecError(f"program: {explain(error, settings)}") from error


def _guidelines(spec: RunSpec) -> str:
    if spec.task.guidelines is None:
        return ""
    try:
        return spec.task.guidelines.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"task.guidelines: {spec.task.guidelines} cannot be read: {error}") from error
