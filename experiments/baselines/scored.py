"""The baselines beside every result: what needs no language model and no prompt.

Each is made once and kept in `mlruns/baselines/`.

All learn from the labelled pool of the run and from nothing else. `gazetteer`: its mentions by longest match, those dropped
that are wrong more often than right (cross-fitted). `dictionary`: what the run's knowledge base names, under the label it says
(by the retriever `flat`, whatever the program retrieves by). `both`: these two united. `copy`: the mentions of the nearest
texts of the pool. `crf` and `crf+hints`: the in-context CRF's own features, fitted once on the pool, without and with what
the knowledge base names.
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
from experiments.baselines.lookup import FOLDS, Answer, both, copy, dictionary, gazetteer, spans
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
ITERATIONS = 100  # of the fit on the whole pool; on NCBI dev 30, as in a prompt, give .795, 60 .808, 100 .820, 200 .822
SIZE = 100_000  # characters of knowledge lines: what is named is not cut to the room that a prompt has
CODE = ("evaluation", "breakdown", "schemes", "significance")
OF_KNOWLEDGE = ("dictionary", "both", "crf+hints")


def scored_baselines(
    program: NERProgram, corpus: Corpus, home: Path, parts: Sequence[str] = ("dev", "test")
) -> dict[str, dict[str, Evaluation]]:
    """Return every baseline's evaluation on the `parts`; what was made before of the same data is read, not made again."""
    scored: dict[str, dict[str, Evaluation]] = {}
    for name, make in baselines(program, program.pool).items():
        answer: list[Answer] = []  # made when the first part needs it
        for part in parts:
            file = home / "baselines" / f"{_key(name, part, program, corpus)}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(file.parent / f".{file.name[0]}.lock"):  # cells of a grid on two cores need not both make it
                if not file.is_file():
                    answer = answer or [make()]
                    scores = evaluate(corpus, part, answers=answers(program, answer[0], corpus.part(part)))
                    with draft_of(file) as draft:
                        draft.write_text(json.dumps(asdict(scores)))
                scored.setdefault(name, {})[part] = Evaluation.read(json.loads(file.read_text()))
    return scored


def _key(baseline: str, part: str, program: NERProgram, corpus: Corpus) -> str:
    """Return a hash of all that decides what a baseline scores: data, pool, code, and of knowledge what the baseline uses."""
    spec = program.spec
    pool = program.pool.once("digest", lambda: _digest(program.pool))
    said: list[Any] = [
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
        said += [program.kb.fingerprint, spec.types, RETRIEVER, SIZE]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _digest(pool: Iterable[Demonstration]) -> str:
    rows = [(d.group, d.text, [(m.text, m.label, m.start) for m in d.mentions]) for d in pool]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


@cache
def _code() -> str:
    """Return a hash of the code that finds, fits and counts: kb, ner_programs, this package, `CODE`, and what a corpus is."""
    packages = [Path(package.__file__ or "").parent for package in (kb, ner_programs)]
    files = [file for folder in packages for file in sorted(folder.rglob("*.py"))]
    files += sorted(Path(__file__).parent.glob("*.py"))
    files += [Path(scoring.__file__ or "").with_name(f"{name}.py") for name in CODE]
    files.append(Path(corpora.__file__ or ""))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def baselines(program: NERProgram, pool: Pool) -> dict[str, Callable[[], Answer]]:
    """Return, for each baseline, what makes it: a function from a unit's text to entities, from `pool` and the program's KB."""
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
    """Answer documents unit by unit, as the program does."""
    return [
        [
            e.shifted(u.start)
            for u in split(d.text, program.spec.unit, size=program.spec.window)
            for e in baseline(d.text[u.start : u.end])
        ]
        for d in documents
    ]


def crf(pool: Iterable[Demonstration], lines: Callable[..., str], labels: Sequence[str]) -> Answer:
    """One CRF fitted on the whole pool, each text with what `lines` says of it but for what only its own document says."""
    known = [Label(name) for name in labels]

    def sample(d: Demonstration) -> Sample:
        return Sample(d.text, tuple(spans(d)), hints(d.text, lines(d.text, exclude=(d.document, d.group)), known))

    tagger: Tagger = fit([sample(d) for d in pool], iterations=ITERATIONS)

    def answer(text: str) -> list[Entity]:
        return [
            Entity.of(text, s.start, s.end, s.label)
            for s in tagger.tag(Sample(text, (), hints(text, lines(text), known)))
        ]

    return answer
