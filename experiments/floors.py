"""The floors beside every result: what needs no language model and no prompt. Scored once and kept in `mlruns/floors/`.

`gazetteer`: train mentions by longest match, those dropped that are wrong more often than right on train. `dictionary`: what
the run's knowledge base names, under the label it says (by the retriever `flat`, whatever the program retrieves by). `crf` and
`crf+hints`: the offline engine's own features, fitted once on the same labelled pool, without and with those lines.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.corpora._base import Corpus
from experiments.evaluation import Evaluation, evaluate
from kb.names import Filter, NameIndex
from ner_programs.components import resolve
from ner_programs.demos import Demonstration, Pool
from ner_programs.lms._crf import Sample, Tagger, fit
from ner_programs.lms._incontext import hints
from ner_programs.lms.offline import code_hash
from ner_programs.program import NERProgram
from ner_programs.retrieve import KnowledgeLines
from ner_programs.types import Document, Entity, Label
from ner_programs.units import split

Answer = Callable[[str], list[Entity]]
MIN_PRECISION = 0.5
RETRIEVER = {"name": "flat"}


def scored_floors(program: NERProgram, corpus: Corpus, home: Path) -> dict[str, dict[str, Evaluation]]:
    """Return every floor's evaluation on dev and test; counts of earlier runs on the same data are read, not made again."""
    file = home / "floors" / f"{_key(program, corpus)}.json"
    if file.is_file():
        kept = json.loads(file.read_text())
        return {name: {part: Evaluation.read(said) for part, said in parts.items()} for name, parts in kept.items()}
    scored = {
        name: {
            part: evaluate(corpus, part, answers=answers(program, floor, getattr(corpus, part)))
            for part in ("dev", "test")
        }
        for name, floor in floors(program, program.pool).items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({n: {p: asdict(e) for p, e in parts.items()} for n, parts in scored.items()}))
    draft.replace(file)
    return scored


def _key(program: NERProgram, corpus: Corpus) -> str:
    """Return a hash of all that decides what the floors score: data, knowledge, and the code of floors and features."""
    spec = program.spec
    parts: list[Any] = [
        corpus.fingerprint,
        corpus.resampling,
        program.kb.fingerprint if program.kb else None,
        code_hash(),
    ]
    parts += [spec.labels, spec.unit, RETRIEVER, spec.types, spec.knowledge_size]
    parts += [Path(__file__).read_text(encoding="utf-8")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def floors(program: NERProgram, pool: Pool) -> dict[str, Answer]:
    """Return each floor as a function from a unit's text to entities, made from `pool` and the program's knowledge base."""
    labels = list(program.spec.labels)
    made = {"gazetteer": gazetteer(pool), "crf": crf(pool, lambda text: "", labels)}
    if program.kb is not None:
        retriever = resolve("kb.retrievers", RETRIEVER, kb=program.kb)
        known = [Label(name) for name in labels]
        lines = KnowledgeLines(retriever, known, program.spec.types, program.spec.knowledge_size)
        made["dictionary"] = dictionary(lines, labels)
        made["crf+hints"] = crf(pool, lines, labels)
    return made


def answers(program: NERProgram, floor: Answer, documents: Iterable[Document]) -> list[list[Entity]]:
    """Answer documents unit by unit, as the program does."""
    return [
        [e.shifted(u.start) for u in split(d.text, program.spec.unit) for e in floor(d.text[u.start : u.end])]
        for d in documents
    ]


def gazetteer(pool: Iterable[Demonstration]) -> Answer:
    """Longest match of train mentions; a surface that is right in less than half of its train matches is dropped."""
    pool = list(pool)
    labelled: dict[str, Counter[str]] = {}
    for demonstration in pool:
        for m in demonstration.mentions:
            labelled.setdefault(m.text, Counter())[m.label] += 1
    label = {surface: labels.most_common(1)[0][0] for surface, labels in labelled.items()}
    index = _index(label)
    right: Counter[str] = Counter()
    matched: Counter[str] = Counter()
    for d in pool:
        gold = {(m.start, (m.start or 0) + len(m.text)) for m in d.mentions}
        for match in index.find(d.text):
            matched[match.concepts[0]] += 1
            right[match.concepts[0]] += (match.start, match.end) in gold
    pruned = _index([s for s in label if right[s] >= MIN_PRECISION * matched[s]])
    return lambda text: [Entity.of(text, m.start, m.end, label[m.concepts[0]]) for m in pruned.find(text)]


def _index(surfaces: Iterable[str]) -> NameIndex:
    return NameIndex.of([(s, s, True) for s in surfaces], Filter())


def dictionary(lines: Callable[[str], str], labels: list[str]) -> Answer:
    """What the knowledge lines of a text name, under the label that they say."""

    def answer(text: str) -> list[Entity]:
        known = [Label(name) for name in labels]
        return [Entity.of(text, h.start, h.end, h.label) for h in hints(text, lines(text), known) if h.label]

    return answer


def crf(pool: Iterable[Demonstration], lines: Callable[[str], str], labels: list[str]) -> Answer:
    """One CRF fitted on the whole pool."""
    known = [Label(name) for name in labels]

    def sample(text: str, spans: tuple[tuple[int, int, str], ...] = ()) -> Sample:
        return Sample(text, spans, hints(text, lines(text), known))

    def spans(d: Demonstration) -> tuple[tuple[int, int, str], ...]:
        return tuple((m.start or 0, (m.start or 0) + len(m.text), m.label) for m in d.mentions)

    tagger: Tagger = fit([sample(d.text, spans(d)) for d in pool])
    return lambda text: [Entity.of(text, s.start, s.end, s.label) for s in tagger.tag(sample(text))]
