"""Fuses the predictions of other systems with evidence from labelled texts, without LM calls: better predictions.

The files are those that `nerc evaluate --predictions` reads, one for each expert. The pool is the train part of the spec. The
fusion model (`ner_programs.fusion`) is trained on texts with both predictions and gold:

- on train, if the files have at least FEWEST units of it, so that the gold of the reported part is not used;
- else on dev, cross-fitted: the fusion for a text has seen neither its gold, nor that of its group, nor that of the same text
  elsewhere. The reader is trained on the gold of the other folds, too, so that alone and fused know the same labels.

Reported figures choose nothing. Nothing is learned from test: predictions of test need some of train or dev beside them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from experiments import setup
from experiments.corpora.closed import write_corpus
from experiments.corpora.corpus import Corpus, flatten
from experiments.errors import ReadError, SpecError
from experiments.predictions.fused import gains
from experiments.predictions.fuser import Fuser, from_others, in_folds
from experiments.predictions.given import CORPORA, NAMELESS, Matched, form_of, read_all
from experiments.runs import folds
from experiments.spec import Model, Program, RunSpec
from ner_programs.components import module, names
from ner_programs.demos import Pool, plain
from ner_programs.fusion.model import FEWEST, Answer, Fused
from ner_programs.program import NERProgram
from ner_programs.types import AnnotatedText, Document, Entity
from ner_programs.units import split

TRAIN, APART, OWN, NOTHING = "train", "other parts", "folds", "nothing"
ROWS = ("crf", "fused", "knowledge", "majority")
Answers = tuple[tuple[Entity, ...], ...]


@dataclass(frozen=True, slots=True)
class Files:
    """Files of predictions, one for each expert; `form` and `renamed` are as in `given.read`."""

    paths: tuple[Path, ...]
    form: str | None = None
    renamed: Mapping[str, str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the experts: those of their files, numbered if they are not unique."""
        stems = [path.stem for path in self.paths]
        taken = [*stems, *ROWS]
        return tuple(s if taken.count(s) == 1 else f"{s}-{n}" for n, s in enumerate(stems, 1))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answers to each document of a part: of the experts, of the reader alone (None if nothing was learned), fused.

    `learned` is the source of training texts ("train", "other parts", "folds" of the part itself, "nothing"), `units` their
    number.
    """

    corpus: Corpus
    part: str
    names: tuple[str, ...]
    experts: tuple[Answers, ...]
    crf: Answers | None
    fused: Answers
    learned: str
    units: int
    remarks: tuple[str, ...]
    files: tuple[Matched, ...]

    @property
    def figures(self) -> dict[str, Any]:
        """All figures as plain data: those of `fused.gains`, the training source, and remarks."""
        before = dict(zip(self.names, self.experts, strict=True))
        learned = {"from": self.learned, "units": self.units}
        found = gains(self.corpus, self.part, before, self.crf, self.fused)
        return {"part": self.part, "learned": learned, **found, "remarks": list(self.remarks)}


def fused(spec: RunSpec, files: Files, part: str, data: Path, home: Path) -> Outcome:
    """Fuse the predictions in `files` for a part of the spec's corpus. Raises ReadError and SpecError."""
    if folds.number(spec):
        raise SpecError(f"{spec.name}: predictions are of one part, and its split is over folds: name a `fold` in it")
    shared = setup.Shared()
    spec = spec.model_copy(update={"lm": Model(), "program": Program(), "optimizer": {"name": "none"}})
    corpus = setup.open_corpus(spec, data, shared)
    if not corpus.train:
        raise SpecError(f"corpus {corpus.name}: there is no train, and fusing learns from labelled texts")
    documents = corpus.part(part)
    others: tuple[Document, ...] = (*corpus.train, *(corpus.dev if part == "test" else ()))
    texts = {d.text for _, d in setup.read_corpus(spec, data, shared).parts()}
    labels = set(spec.labels) or {label.name for label in corpus.suggested_labels}
    predicted = tuple(_read(path, files, documents, others, (labels, texts)) for path in files.paths)
    answers, lost = _flat(predicted)
    here = [d for d in documents if d.id in answers]
    if not here:
        raise ReadError(f"{files.paths[-1]}: none of the {part} documents is in every file")
    corpus, program, _ = setup.build(spec, data, home, shared)
    held, texts = {x for d in here for x in d.kin}, _unit_texts(program, here)
    fuser = Fuser(program, program.pool.without(_kin(program.pool, held, texts)))
    units = {d.id: fuser.units(d, answers[d.id]) for d in here}
    taught = [d for d in others if d.id in answers and held.isdisjoint(d.kin)]
    lessons = [u for d in taught for u in fuser.units(d, answers[d.id]) if plain(u.at.text) not in texts]
    if len(lessons) >= FEWEST:
        found, size = from_others(fuser, lessons, units), len(lessons)
        learned = TRAIN if {d.id for d in taught} <= {d.id for d in corpus.train} else APART
    elif part == "test":
        raise SpecError(
            f"test: nothing learns from it; give predictions of at least {FEWEST} texts of train or dev too"
        )
    else:
        found, size = in_folds(fuser, cast(list[Document], here), units)
        learned = OWN
    experts = tuple(tuple(s.part[d.id].entities if d.id in s.part else () for d in documents) for s in predicted)
    remarks = (*dict.fromkeys(r for s in predicted for r in s.remarks), *lost, *_missing(documents, here))
    if found is None:
        return Outcome(corpus, part, files.names, experts, None, experts[0], NOTHING, size, remarks, predicted)
    whole = predicted[0].form in NAMELESS
    given = [next((one for one in some if one), ()) for some in zip(*experts, strict=True)]
    made = tuple(
        _entities(d, found[d.id][1], experts_of(experts, n), files.names, whole=whole) if d.id in found else given[n]
        for n, d in enumerate(documents)
    )
    crf = tuple(found[d.id][0] if d.id in found else () for d in documents)
    return Outcome(corpus, part, files.names, experts, crf, made, learned, size, remarks, predicted)


def _read(
    path: Path, files: Files, documents: Sequence[AnnotatedText], others: Sequence[Document],
    known: tuple[set[str], set[str]],
) -> Matched:  # fmt: skip
    """Read a file; `known` are labels and texts of the corpus. Raises ReadError for a document that is not in the corpus."""
    labels, texts = known
    predicted = read_all(path, documents, others, labels, files.form, files.renamed)
    if strange := [d for d in predicted.left if d.text not in texts]:
        raise ReadError(f"{path}: document {strange[0].id!r} has a text that no part of the corpus has")
    return predicted


def _flat(predicted: Sequence[Matched]) -> tuple[dict[str, Answer], list[str]]:
    """Return the flat predictions of each expert for each document that all have, and a remark on those that are not flat."""
    all_of = [{**s.others, **s.part} for s in predicted]
    ids = [id for id in all_of[0] if all(id in one for one in all_of)]
    flat = {id: [flatten(one[id]) for one in all_of] for id in ids}
    lost = sum(n for some in flat.values() for _, n in some)
    remark = f"predictions that flat NER cannot express (discontinuous or overlapping), not fused: {lost}"
    return {id: tuple(d.entities for d, _ in some) for id, some in flat.items()}, [remark] if lost else []


def _kin(pool: Pool, held: Collection[str], texts: Collection[str]) -> set[str]:
    """Return the ids of demonstrations that a reader for held-out texts must not know: their own, kin, and same texts."""
    return {d.id for d in pool if d.document in held or d.group in held or plain(d.text) in texts}


def _unit_texts(program: NERProgram, documents: Sequence[AnnotatedText]) -> set[str]:
    unit, size = program.spec.unit, program.spec.window
    return {plain(d.text[u.start : u.end]) for d in documents for u in split(d.text, unit, size=size)}


def _missing(documents: Sequence[AnnotatedText], here: Sequence[AnnotatedText]) -> list[str]:
    n = len(documents) - len(here)
    return [f"documents of the corpus that some file has not, not fused: {n}"] if n else []


def experts_of(experts: Sequence[Answers], number: int) -> list[tuple[Entity, ...]]:
    """Return the predictions of each expert in one document."""
    return [one[number] for one in experts]


def _entities(
    document: AnnotatedText,
    stands: Sequence[tuple[int, Fused]],
    predicted: Answer,
    names: Sequence[str],
    *,
    whole: bool,
) -> tuple[Entity, ...]:
    """Return the fused entities of a document, with the concept of an expert's same entity, and the experts as provenance.

    With `whole`, spans extend to the next blanks; of two that then overlap, the more probable stays.
    """
    called = {"extract": names[0], **{f"extract{n}": name for n, name in enumerate(names, 1)}}
    known = {(e.start, e.end, e.label): e for one in reversed(predicted) for e in one}
    made: list[Entity] = []
    for at, f in sorted(stands, key=lambda s: -s[1].score):
        start, end = f.start + at, f.end + at
        if whole:
            start, end = document.text.rfind(" ", 0, start + 1) + 1, document.text.find(" ", end)
            end = end if end > 0 else len(document.text)
        if all(end <= e.start or e.end <= start for e in made):
            by = tuple(called.get(name, name) for name in f.by)
            same = known.get((start, end, f.label)) or Entity.of(document.text, start, end, f.label)
            made.append(replace(same, score=round(f.score, 4), provenance=by))
    return tuple(sorted(made))


def write(outcome: Outcome, out: Path) -> tuple[str, ...]:
    """Write the fused predictions in the format of the first file, with its ids. Return what that format cannot express."""
    first = outcome.files[0]
    answers = dict(zip((d.id for d in outcome.corpus.part(outcome.part)), outcome.fused, strict=True))
    made: dict[str, Document] = {}
    for id, one in first.part.items():  # a text that is twice in the corpus may be once in the file
        made.setdefault(one.id, replace(one, entities=answers[id]))
    documents = [*made.values()]
    return write_corpus(first.form, documents, out, outcome.corpus.privacy)


def check(files: Files, part: str, out: Path | None) -> None:
    """Raise an error, before anything is read, for an invalid part, output place or output format."""
    if part not in ("dev", "test"):
        raise ReadError(f"--part {part}: it is dev or test")
    if not files.paths:
        raise SpecError("fusing wants --predictions FILE")
    form = files.form or form_of(files.paths[0])
    if out is None or form not in names(CORPORA):
        return
    if not hasattr(module(CORPORA, form), "write"):
        raise SpecError(f"--out {out}: nerc reads {form}, and does not write it; give the predictions as jsonl")
    if not out.absolute().parent.is_dir() or (form != "brat" and out.is_dir()):
        raise SpecError(f"--out {out}: it is a folder, or lies in one that is not there; name a file")
