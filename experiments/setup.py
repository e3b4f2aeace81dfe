"""From a spec to what a run starts with: the corpus, and an uncompiled program with its pool and knowledge base."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments._errors import SpecError
from experiments.corpora._base import PARTS, Corpus, flatten
from experiments.evaluation import with_labels
from experiments.knowledge import knowledge_base
from experiments.session import backend_of, check_host
from experiments.spec import RunSpec, explain
from kb import KnowledgeBase
from ner_programs import NERProgram, Pool, ProgramSpec
from ner_programs.components import resolve
from optimizers._base import budget_from


def build(spec: RunSpec, data: Path, home: Path) -> tuple[Corpus, NERProgram, Path | None]:
    """Return the corpus, the program before compilation, and the folder of its knowledge base (None without one).

    What a spec can get wrong is found here, before a run begins.
    """
    optimizer = _optimizer(spec)
    corpus = open_corpus(spec, data)
    if corpus.private:
        check_host(spec.lm)
    backend_of(spec.lm)
    program_spec = _program_spec(spec, corpus)
    kb, folder = knowledge_base(spec.kb, corpus, data, home) if spec.kb else (None, None)
    if kb is not None:
        _check_types(program_spec, kb)
    corpus = _flat_train(corpus)
    pool = Pool.of(corpus.train, program_spec.unit)
    program = program_spec.build(kb, pool)
    if hasattr(optimizer, "check"):
        optimizer.check(program)
    return corpus, program, folder


def open_corpus(spec: RunSpec, data: Path) -> Corpus:
    """Read the corpus of a spec, with only the spec's labels where it names any; unknown ones are an error.

    Two options of [corpus] are every reader's: `private`, and `sample = { dev = 200 }`, which keeps so many documents of a
    part, chosen by a hash of their ids.
    """
    options = dict(spec.corpus)
    private, sample = options.pop("private", None), options.pop("sample", {})
    if not isinstance(private, bool | None):
        raise SpecError(f"corpus.private: true or false, not {private!r}")
    corpus: Corpus = resolve("experiments.corpora", options, data=data)
    if private is not None:
        corpus = replace(corpus, private=private)
    corpus = _sampled(corpus, sample)
    if not corpus.train and not corpus.dev:
        raise SpecError(f"corpus {corpus.name}: there are neither train nor dev documents")
    if spec.labels:
        there = {label.name for label in corpus.suggested_labels}
        if unknown := [label for label in spec.labels if label not in there]:
            raise SpecError(f"labels.{unknown[0]}: nothing is annotated so; there are: {', '.join(sorted(there))}")
        corpus = with_labels(corpus, set(spec.labels))
    return corpus


def _sampled(corpus: Corpus, sizes: Any) -> Corpus:
    if not isinstance(sizes, dict) or not all(p in PARTS and isinstance(n, int) and n > 0 for p, n in sizes.items()):
        raise SpecError("corpus.sample: give a number of documents for train, dev or test: { dev = 200 }")
    kept: dict[str, Any] = {}
    for part, size in sizes.items():
        documents = getattr(corpus, part)
        chosen = {d.id for d in sorted(documents, key=lambda d: hashlib.sha256(d.id.encode()).digest())[:size]}
        kept[part] = tuple(d for d in documents if d.id in chosen)
    return replace(corpus, **kept)


def _flat_train(corpus: Corpus) -> Corpus:
    """Keep of train what flat NER can be taught, and remark on the rest; dev and test keep all gold, for it is scored."""
    flat = [flatten(document) for document in corpus.train]
    lost = sum(n for _, n in flat)
    remark = f"train entities that flat NER cannot express (discontinuous or overlapping), left out: {lost}"
    remarks = (*corpus.remarks, remark) if lost else corpus.remarks
    return replace(corpus, train=tuple(document for document, _ in flat), remarks=remarks)


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
        raise SpecError(f"program: {explain(error, ProgramSpec)}") from error


def _optimizer(spec: RunSpec) -> Any:
    options = dict(spec.optimizer)
    budget_from(options.pop("budget", {}))
    return resolve("optimizers", options)


def _check_types(program: ProgramSpec, kb: KnowledgeBase) -> None:
    """Refuse a [kb] `labels` that maps from a semantic type, or to a label, that does not exist ("" is none of them)."""
    types = {kind.casefold(): kind for kind in kb.types}
    for kind, label in program.types.items():
        if label and label not in program.labels:
            raise SpecError(f"kb.labels.{kind}: there is no label {label!r}; there are: {', '.join(program.labels)}")
        if kind.casefold() not in types:
            raise SpecError(
                f"kb.labels: no concept is of type {kind!r}; there are: {', '.join(sorted(types.values()))}"
            )


def _guidelines(spec: RunSpec) -> str:
    if spec.task.guidelines is None:
        return ""
    try:
        return spec.task.guidelines.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"task.guidelines: {spec.task.guidelines} cannot be read: {error}") from error
