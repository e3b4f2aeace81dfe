"""Reads the predictions of another system for a corpus from a file, to be scored as those of nerc's own programs.

A file has any format that a reader in `experiments/corpora` reads; `READ_BY` maps suffixes to readers. Its documents are
matched with the corpus by id and text, else by text alone: CoNLL files have no ids.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.baselines.scored import scored_baselines
from experiments.corpora import suffixes
from experiments.corpora.corpus import Corpus
from experiments.corpora.labels import listed
from experiments.errors import ReadError, SpecError
from experiments.runs.recorder import RunRecorder
from experiments.scoring.evaluation import evaluate
from experiments.spec import RunSpec
from experiments.tracking import Tracker
from ner_programs.components import module, names
from ner_programs.evaluate import Scored
from ner_programs.program import NERProgram
from ner_programs.scoring import Counts
from ner_programs.types import AnnotatedText, Document

READ_BY = {**suffixes.CORPORA, ".txt": "pubtator", ".tsv": "conll"}
CORPORA = "experiments.corpora"
NAMELESS = ("conll",)  # readers that number the documents: these numbers are not the corpus's ids


@dataclass(frozen=True, slots=True)
class Predictions:
    """Entities for every document of a part, in their order, and remarks on the file."""

    scored: Scored
    remarks: tuple[str, ...]


def read(
    path: Path, documents: Sequence[AnnotatedText], labels: Iterable[str], form: str | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Predictions:  # fmt: skip
    """Read a system's predictions for `documents`; `form` is a reader's name, by default from the suffix (a folder is BRAT).

    `renamed` maps the system's labels to those of the corpus, or to "" for labels that are not scored. A document that the file
    lacks counts as an empty answer, with a remark. Raises ReadError for a label that is not in `labels`, for a document whose
    text differs from the corpus, for a duplicate id, and if no document is in the corpus.
    """
    remarks: Counter[str] = Counter()
    form, predicted = _opened(path, labels, form, renamed or {}, remarks)
    found = _matched(path, documents, predicted, by_id=form not in NAMELESS)
    missing, used = found.count(None), {d.id for d in found if d}
    if missing:
        remarks["documents of the corpus that the file has not: nothing was found in them"] = missing
    remarks["documents of the file that this part of the corpus has not: left out"] += len(
        {d.id for d in predicted} - used
    )
    answers = [d.entities if d else () for d in found]
    counts = [Counts.of(d.entities, a) for d, a in zip(documents, answers, strict=True)]
    return Predictions(Scored(tuple(counts), tuple(answers), 0, len(documents)), listed(remarks))


@dataclass(frozen=True, slots=True)
class Matched:
    """The documents of a file that match a part and other documents, by the corpus's id.

    `left` are documents of the file that match neither; `form` is a reader's name.
    """

    form: str
    part: Mapping[str, Document]
    others: Mapping[str, Document]
    left: tuple[Document, ...]
    remarks: tuple[str, ...]


def read_all(
    path: Path, documents: Sequence[AnnotatedText], others: Sequence[AnnotatedText], labels: Iterable[str],
    form: str | None = None, renamed: Mapping[str, str] | None = None,
) -> Matched:  # fmt: skip
    """Read a system's predictions for `documents`, a part of a corpus, and for `others`. Raises ReadError as `read` does."""
    remarks: Counter[str] = Counter()
    form, predicted = _opened(path, labels, form, renamed or {}, remarks)
    by_id = form not in NAMELESS
    found = _matched(path, documents, predicted, by_id=by_id)
    used = {d.id for d in found if d}
    left = [d for d in predicted if d.id not in used]
    more = _matched(path, others, left, by_id=by_id, strict=False)
    part, rest = (
        {d.id: one for d, one in zip(some, of, strict=True) if one is not None}
        for some, of in ((documents, found), (others, more))
    )
    used |= {d.id for d in rest.values()}
    return Matched(form, part, rest, tuple(d for d in left if d.id not in used), listed(remarks))


def _opened(
    path: Path, labels: Iterable[str], form: str | None, renamed: Mapping[str, str], remarks: Counter[str]
) -> tuple[str, list[Document]]:
    """Return the reader's name and the documents of a file, with labels renamed to the corpus's."""
    form = form or form_of(path)
    predicted = [_renamed(d, renamed) for d in _read(path, form, remarks)]
    known = sorted(labels)
    if strange := sorted({e.label for d in predicted for e in d.entities} - set(known)):
        raise ReadError(
            f"{path}: the corpus has no label {', '.join(map(repr, strange))}, it has: {', '.join(known)}; say with "
            f"`--label {strange[0]}={known[0] if known else 'x'}` what to take it for, `--label {strange[0]}=` leaves it out"
        )
    return form, predicted


def form_of(path: Path) -> str:
    """Return the reader for a file, by its suffix. Raises SpecError for an unknown one."""
    if path.is_dir():
        return "brat"
    if path.suffix.lower() not in READ_BY:
        raise SpecError(f"{path}: the suffix does not say what is in it; say it with --format: {', '.join(_readers())}")
    return READ_BY[path.suffix.lower()]


def _readers() -> list[str]:
    return [name for name in names(CORPORA) if _reads(name)]


def _reads(name: str) -> bool:
    return hasattr(module(CORPORA, name), "read") and name != "wardnotes"  # it reads only its own parts


def _read(path: Path, form: str, remarks: Counter[str]) -> list[Document]:
    if form not in names(CORPORA) or not _reads(form):
        raise SpecError(f"--format {form}: there is no such reader; there are: {', '.join(_readers())}")
    if not path.exists():
        raise ReadError(f"{path}: there is no such file")
    if path.is_dir() != (form == "brat"):
        raise ReadError(f"{path}: BRAT is a folder, every other form is a file")
    read = module(CORPORA, form).read
    documents: list[Document] = list(read(path, remarks))
    return documents


def _renamed(document: Document, renamed: Mapping[str, str]) -> Document:
    entities = [replace(e, label=renamed.get(e.label, e.label)) for e in document.entities]
    return replace(document, entities=tuple(e for e in entities if e.label))


def _matched(
    path: Path, documents: Sequence[AnnotatedText], predicted: Sequence[Document], *, by_id: bool, strict: bool = True
) -> list[Document | None]:
    """Return the file's document for each document, or None. Documents with the same text are matched in order.

    Only if `strict`, a different text with the same id, or no match at all, is an error.
    """
    named = {d.id: d for d in predicted} if by_id else {}
    if by_id and len(named) < len(predicted):
        twice = next(name for name, n in Counter(d.id for d in predicted).items() if n > 1)
        raise ReadError(f"{path}: document {twice!r} is there more than once")
    alike: dict[str, deque[Document]] = defaultdict(deque)
    for d in predicted:
        alike[d.text].append(d)
    answers: list[Document | None] = []
    for document in documents:
        found = named.get(document.id)
        if found is None or found.text != document.text:
            same = alike.get(document.text)
            if same:
                found = same.popleft() if len(same) > 1 else same[0]
            elif found is not None and strict:
                raise ReadError(f"{path}: the text of document {document.id!r} is not that of the corpus")
            else:
                found = None
        answers.append(found)
    if strict and documents and not any(answers):
        raise ReadError(
            f"{path}: none of its {len(predicted)} documents is one of the corpus, neither by id nor by text"
        )
    return answers


def track(
    home: Path, spec: RunSpec, corpus: Corpus, program: NERProgram, name: str, part: str, predictions: Predictions
) -> str:
    """Record the scores on `part` as a finished run called `name` of the experiment `spec.name`; return its id.

    `nerc compare` can compare it with compiled programs. The baselines are those of `program`, which is built from `spec` and
    never called. The cost of the other system and its number of labels are unknown and not recorded.
    """
    settings = {k: v for k, v in spec.flat().items() if k.startswith(("corpus.", "labels."))}
    tags = {
        "corpus": corpus.name, "corpus_fingerprint": corpus.fingerprint[:16], "engine": name, "kb_fingerprint": "none",
        "remarks": "; ".join((*corpus.remarks, *predictions.remarks)),
    }  # fmt: skip
    kept = {k: v for k, v in tags.items() if v}
    tracker = Tracker.start(home, spec.name, name, settings, kept, privacy=corpus.privacy)
    recorder = RunRecorder(tracker, corpus)
    found = evaluate(corpus, part, predictions.scored, kb=program.kb)
    recorder.scores({part: found}, scored_baselines(program, corpus, home, parts=(part,)), program)
    recorder.answers(part, predictions.scored)
    recorder.tracker.end()
    return recorder.run_id
