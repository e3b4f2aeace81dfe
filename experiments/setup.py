"""Builds from a spec what a run needs: the corpus, and an uncompiled program with its pool and knowledge base."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

import optimizers
from experiments import places
from experiments.corpora.corpus import PARTS, Corpus, flatten, label_names
from experiments.corpora.leaks import without_shared
from experiments.errors import SpecError
from experiments.knowledge import knowledge_base, needs_train
from experiments.scoring.evaluation import with_labels
from experiments.session import backend_of, check_hosts, encoding
from experiments.spec import RunSpec, explain
from kb import KnowledgeBase
from ner_programs import NERProgram, Pool, ProgramSpec
from ner_programs.components import module, resolve
from ner_programs.privacy import Privacy
from ner_programs.verifiers.strong import Strong
from optimizers.preparation import llm_verifier

T = TypeVar("T")


class Shared:
    """A cache for the runs of one process: corpora, knowledge bases and pools with their indexes."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def once(self, make: Callable[[], T], *key: Any) -> T:
        """Return the cached value for `key`, or call `make` for it."""
        name = json.dumps(key, sort_keys=True, default=str)
        if name not in self._made:
            self._made[name] = make()
        made: T = self._made[name]
        return made


Sources = tuple[Corpus, KnowledgeBase | None, Path | None]


def sources(spec: RunSpec, data: Path, home: Path, shared: Shared) -> Sources:
    """Return the corpus, the knowledge base and its folder."""

    def known(corpus: Corpus) -> tuple[KnowledgeBase | None, Path | None]:
        return knowledge_base(spec.kb, corpus, data, home) if spec.kb else (None, None)

    def read() -> Sources:
        corpus = open_corpus(spec, data, shared)
        from_train = corpus.fingerprint if spec.kb and needs_train(spec.kb) else ""
        kb, folder = shared.once(lambda: known(corpus), "kb", spec.kb and spec.kb.model_dump(), from_train)
        return _flat_train(corpus), kb, folder

    return shared.once(read, "sources", spec.corpus, spec.labels, spec.kb and spec.kb.model_dump())


def build(
    spec: RunSpec, data: Path, home: Path, shared: Shared | None = None
) -> tuple[Corpus, NERProgram, Path | None]:
    """Return the corpus, the program before compilation, and the folder of its knowledge base (None without one).

    All errors in a spec are found here, before a run begins.
    """
    shared = shared or Shared()
    optimizers.opened(spec.optimizer)
    corpus, kb, folder = sources(spec, data, home, shared)
    check_hosts(spec.lm, corpus.privacy)
    task, writer = backend_of(spec.lm), backend_of(spec.lm)
    for role, one in spec.lm.roles.items():
        made = backend_of(one, table=f"lm.{role}")
        writer = made if role == "prompt" else writer
    program_spec = _program_spec(spec, corpus)
    if kb is not None:
        _check_types(program_spec, kb)
    unit, window = program_spec.unit, program_spec.window
    pool = shared.once(lambda: Pool.of(corpus.train, unit, window), "pool", spec.corpus, spec.labels, unit, window)
    pool.privacy = encoding(spec.lm, corpus.privacy)
    program = program_spec.build(kb, pool)
    if spec.lm.strong is None and any(program.named_sub_modules(Strong)):
        raise SpecError("program.verify asks a strong LM: say which in [lm.strong]")
    if not task.writes:
        _refuse_stages(program, spec.engine)
    optimizers.check(program, spec.optimizer, writes=writer.writes)
    pool.cache = places.answers(corpus.name, corpus.fingerprint).parent / "embeddings"
    return corpus, program, folder


def _refuse_stages(program: NERProgram, who: str) -> None:
    """Raise SpecError if the program has a stage that needs a language model."""
    asks = {'seeds = "lm"': program.retrieve.suggest is not None, "verify llm": llm_verifier(program) is not None}
    for stage, asked in asks.items():
        if asked:
            raise SpecError(f"program: {stage} needs a language model, and {who} is none: name one in [lm]")


def read_corpus(spec: RunSpec, data: Path, shared: Shared | None = None) -> Corpus:
    """Read the corpus of a spec unchanged from its files. Every corpus has the option `private` of [corpus]."""
    private = spec.corpus.get("private")
    if not isinstance(private, bool | None):
        raise SpecError(f"corpus.private: true or false, not {private!r}")
    name = spec.corpus.get("name")
    build = getattr(module("experiments.corpora", str(name)), "build", None) if name else None
    not_its = {"sample"} if build and "private" in signature(build).parameters else {"sample", "private"}
    options = {key: value for key, value in spec.corpus.items() if key not in not_its}
    make = partial(resolve, "experiments.corpora", options, data=data)
    corpus: Corpus = (shared or Shared()).once(make, "corpus", options)
    return corpus if private is None else replace(corpus, privacy=Privacy(private))


def open_corpus(spec: RunSpec, data: Path, shared: Shared | None = None) -> Corpus:
    """Read the corpus of a spec, with only the spec's labels if it names any. Unknown labels are an error.

    Every reader has the option `sample = { dev = 200 }` of [corpus]. It keeps 200 dev documents, chosen by a hash of their ids.
    0 leaves dev or test out of the run. With a `seed`, train is drawn by the seed; samples of one seed are nested.
    """
    corpus = read_corpus(spec, data, shared)
    corpus = _sampled(without_shared(corpus), spec.corpus.get("sample", {}))
    if not corpus.train and not corpus.dev:
        raise SpecError(f"corpus {corpus.name}: there are neither train nor dev documents")
    if spec.labels:
        there = {*(label.name for label in corpus.suggested_labels), *label_names(d for _, d in corpus.parts())}
        if unknown := [label for label in spec.labels if label not in there]:
            raise SpecError(f"labels.{unknown[0]}: nothing is annotated so; there are: {', '.join(sorted(there))}")
        corpus = with_labels(corpus, set(spec.labels))
    return corpus


def _sampled(corpus: Corpus, sizes: Any) -> Corpus:
    if not isinstance(sizes, dict) or not all(_sizes(p, n) for p, n in sizes.items()):
        raise SpecError("corpus.sample: give a number of documents for train, dev or test: { dev = 200, test = 0 }")
    seed = sizes.get("seed")
    kept: dict[str, Any] = {}
    for part, size in ((p, n) for p, n in sizes.items() if p != "seed"):
        drawn = f"{seed} " if part == "train" and seed is not None else ""
        documents = getattr(corpus, part)
        chosen = {
            id for _, id in sorted((hashlib.sha256(f"{drawn}{d.id}".encode()).digest(), d.id) for d in documents)[:size]
        }
        kept[part] = tuple(d for d in documents if d.id in chosen)
    return replace(corpus, **kept)


def _sizes(part: str, number: Any) -> bool:
    return type(number) is int and part in (*PARTS, "seed") and number >= (part in ("train", "seed"))


def _flat_train(corpus: Corpus) -> Corpus:
    """Keep only flat entities of train, with a remark on the rest. Dev and test keep all gold, because it is scored."""
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
        **({"window": spec.task.window} if spec.task.window else {}),
        **({"overlap": spec.task.overlap} if spec.task.overlap else {}),
        "types": spec.kb.labels if spec.kb else {},
        **spec.program.model_dump(exclude={"retriever", "demos"}),
        "demos": spec.program.demos and optimizers.seeded(spec.program.demos, spec.seed, "ner_programs.demos"),
        "retriever": spec.retriever,
    }
    for kind, label in settings["types"].items():
        if label and label not in settings["labels"]:
            known = ", ".join(settings["labels"])
            raise SpecError(f"kb.labels.{kind}: there is no label {label!r}; there are: {known}")
    try:
        return ProgramSpec.model_validate(settings)
    except ValidationError as error:
        raise SpecError(f"program: {explain(error, ProgramSpec)}") from error


def _check_types(program: ProgramSpec, kb: KnowledgeBase) -> None:
    """Raise SpecError if `labels` of [kb] names an unknown semantic type."""
    types = {kind.casefold(): kind for kind in kb.types}
    for kind in program.types:
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
