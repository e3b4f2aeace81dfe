"""The baselines that are reported with every result. They need no language model and no prompt.

All are built only from the labelled pool and the knowledge base of the run:

- `gazetteer`: longest match of the pool's mentions, without names that are mostly wrong (cross-fitted);
- `dictionary`: the names of the knowledge base, by the retriever `flat` (whatever retriever the program has);
- `both`: the union of these two;
- `copy`: the mentions of the nearest texts of the pool;
- `crf` and `crf+hints`: a CRF with the features of the in-context CRF, fitted once on the pool, without and with hints from
  the knowledge base.

Their evaluations are cached in `mlruns/baselines/`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

import kb
import ner_programs
from experiments import scoring
from experiments.baselines.lookup import FOLDS, Answer, both, copy, dictionary, gazetteer
from experiments.corpora import corpus as corpora
from experiments.corpora.corpus import Corpus
from experiments.scoring.evaluation import Evaluation, evaluate
from kb.files import draft_of
from ner_programs.components import resolve
from ner_programs.demos import Demonstration, Pool
from ner_programs.program import NERProgram
from ner_programs.stages.retrieve import KnowledgeLines
from ner_programs.tagger.crf import Sample, Tagger, fit
from ner_programs.tagger.features import hints
from ner_programs.types import AnnotatedText, Entity, Label
from ner_programs.units import split

__all__ = [
    "FOLDS",
    "Answer",
    "answers",
    "baselines",
    "both",
    "copy",
    "crf",
    "dictionary",
    "gazetteer",
    "scored_baselines",
]

RETRIEVER = {"name": "flat"}
ITERATIONS = 100  # of the fit on the whole pool; F1 on NCBI dev: 30 (as in a prompt) .795, 60 .808, 100 .820, 200 .822
SIZE = 100_000  # characters of knowledge lines: not cut to the size of a prompt
CODE = ("evaluation", "breakdown", "schemes", "significance")
OF_KNOWLEDGE = ("dictionary", "both", "crf+hints")


def scored_baselines(
    program: NERProgram, corpus: Corpus, home: Path, parts: Sequence[str] = ("dev", "test")
) -> dict[str, dict[str, Evaluation]]:
    """Return every baseline's evaluation on the `parts`. Evaluations on the same data come from the cache."""
    scored: dict[str, dict[str, Evaluation]] = {}
    for name, make in baselines(program, program.pool).items():
        answer: list[Answer] = []  # built when the first part needs it
        for part in parts:
            file = home / "baselines" / f"{_key(name, part, program, corpus)}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(file.parent / f".{file.name[0]}.lock"):  # parallel runs build it only once
                if not file.is_file():
                    answer = answer or [make()]
                    scores = evaluate(corpus, part, answers=answers(program, answer[0], corpus.part(part)))
                    with draft_of(file) as draft:
                        draft.write_text(json.dumps(asdict(scores)))
                scored.setdefault(name, {})[part] = Evaluation.read(json.loads(file.read_text()))
    return scored


def _key(baseline: str, part: str, program: NERProgram, corpus: Corpus) -> str:
    """Return the cache key of a baseline: a hash of data, pool, code, and of the knowledge base if the baseline uses it."""
    spec = program.spec
    pool = program.pool.once("digest", lambda: _digest(program.pool))
    content: list[Any] = [
        baseline,
        part,
        corpus.fingerprint,
        corpus.resampling,
        pool,
        sorted(spec.labels),
        spec.unit,
        spec.window,
        _code(),
    ]
    if baseline in OF_KNOWLEDGE and program.kb is not None:
        content += [program.kb.fingerprint, spec.types, RETRIEVER, SIZE]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _digest(pool: Iterable[Demonstration]) -> str:
    rows = [(d.group, d.text, [(m.text, m.label, m.start) for m in d.mentions]) for d in pool]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


@cache
def _code() -> str:
    """Return a hash of the code that baselines depend on: kb, ner_programs, this package, `CODE`, and `corpora.corpus`."""
    packages = [Path(package.__file__ or "").parent for package in (kb, ner_programs)]
    files = [file for folder in packages for file in sorted(folder.rglob("*.py"))]
    files += sorted(Path(__file__).parent.glob("*.py"))
    files += [Path(scoring.__file__ or "").with_name(f"{name}.py") for name in CODE]
    files.append(Path(corpora.__file__ or ""))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def baselines(program: NERProgram, pool: Pool) -> dict[str, Callable[[], Answer]]:
    """Return a constructor for each baseline, from `pool` and the program's KB. A baseline maps a text to entities."""
    labels = list(program.spec.labels)
    made: dict[str, Callable[[], Answer]] = {"gazetteer": lambda: gazetteer(pool)}
    if program.kb is not None:
        retriever = resolve("kb.retrievers", RETRIEVER, kb=program.kb)
        known, only = [Label(name) for name in labels], program.retrieve.lines.only
        lines = KnowledgeLines(retriever, known, program.spec.types, SIZE, only)
        made["dictionary"] = lambda: dictionary(lines, labels)
        made["both"] = lambda: both(pool, dictionary(lines, labels))
    made["copy"] = lambda: copy(pool)
    made["crf"] = lambda: crf(pool, lambda text, exclude=(): "", labels)
    if program.kb is not None:
        made["crf+hints"] = lambda: crf(pool, lines, labels)
    return made


def answers(program: NERProgram, baseline: Answer, documents: Iterable[AnnotatedText]) -> list[list[Entity]]:
    """Answer documents with a baseline, unit by unit as the program does."""
    return [
        [
            e.shifted(u.start)
            for u in split(d.text, program.spec.unit, size=program.spec.window)
            for e in baseline(d.text[u.start : u.end])
        ]
        for d in documents
    ]


def crf(pool: Iterable[Demonstration], lines: Callable[..., str], labels: Sequence[str]) -> Answer:
    """A CRF fitted on the whole pool; each text has hints from its knowledge lines, without those of its own document."""
    known = [Label(name) for name in labels]

    def sample(d: Demonstration) -> Sample:
        return Sample(d.text, tuple(d.spans), hints(d.text, lines(d.text, exclude=(d.document, d.group)), known))

    tagger: Tagger = fit([sample(d) for d in pool], iterations=ITERATIONS)

    def answer(text: str) -> list[Entity]:
        return [
            Entity.of(text, s.start, s.end, s.label)
            for s in tagger.tag(Sample(text, (), hints(text, lines(text), known)))
        ]

    return answer
