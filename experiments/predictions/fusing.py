"""What other systems found, fused with what labelled texts say, without any LM call: better predictions for the same texts.

The files are those that `nerc evaluate --predictions` reads, one an expert; the pool is the train of the spec. What decides
(`ner_programs.fusion`) learns from texts that have both predictions and gold: from train, where the files have at least FEWEST
units of it, so that the reported part's gold is not touched; else from dev itself in folds, where each text is answered by a
fusion that saw neither its gold, nor its group's, nor that of the same text elsewhere. There the reader knows the gold of the
other folds, too, so that alone and fused know the same labels. Nothing is chosen by what is reported.
From test nothing learns: predictions of test need some of train or dev beside them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from experiments import setup
from experiments.corpora.corpus import Corpus, flatten
from experiments.errors import ReadError, SpecError
from experiments.predictions.fused import gains
from experiments.predictions.fuser import Fuser, from_others, in_folds
from experiments.predictions.given import CORPORA, NAMELESS, Said, form_of, read_all
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
    """Files of predictions, one an expert; `form` and `renamed` are as `predictions.read` takes them."""

    paths: tuple[Path, ...]
    form: str | None = None
    renamed: Mapping[str, str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the experts are called: as their files, numbered where that tells them not apart."""
        stems = [path.stem for path in self.paths]
        taken = [*stems, *ROWS]
        return tuple(s if taken.count(s) == 1 else f"{s}-{n}" for n, s in enumerate(stems, 1))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answers to each document of a part: of the experts, of the reader alone (none where nothing was learned), fused.

    `learned` says what the fusion learned from ("train", "other parts", "folds" of the part itself, "nothing"), `units` from
    how many units of text.
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
    files: tuple[Said, ...]

    @property
    def figures(self) -> dict[str, Any]:
        """All figures as plain data: `scoring.fused.gains`, what was learned from, and remarks."""
        before = dict(zip(self.names, self.experts, strict=True))
        learned = {"from": self.learned, "units": self.units}
        found = gains(self.corpus, self.part, before, self.crf, self.fused)
        return {"part": self.part, "learned": learned, **found, "remarks": list(self.remarks)}


def fused(spec: RunSpec, files: Files, part: str, data: Path, home: Path) -> Outcome:
    """Fuse the predictions in `files` of a part of the spec's corpus; raises ReadError and SpecError for what does not fit."""
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
    said = tuple(_read(path, files, documents, others, (labels, texts)) for path in files.paths)
    answers, lost = _flat(said)
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
    experts = tuple(tuple(s.part[d.id].entities if d.id in s.part else () for d in documents) for s in said)
    remarks = (*dict.fromkeys(r for s in said for r in s.remarks), *lost, *_missing(documents, here))
    if found is None:
        return Outcome(corpus, part, files.names, experts, None, experts[0], NOTHING, size, remarks, said)
    whole = said[0].form in NAMELESS
    given = [next((one for one in some if one), ()) for some in zip(*experts, strict=True)]
    made = tuple(
        _entities(d, found[d.id][1], experts_of(experts, n), files.names, whole=whole) if d.id in found else given[n]
        for n, d in enumerate(documents)
    )
    crf = tuple(found[d.id][0] if d.id in found else () for d in documents)
    return Outcome(corpus, part, files.names, experts, crf, made, learned, size, remarks, said)


def _read(
    path: Path, files: Files, documents: Sequence[AnnotatedText], others: Sequence[Document],
    known: tuple[set[str], set[str]],
) -> Said:  # fmt: skip
    """Read a file; ReadError for a document that no part of the corpus has. `known` are the labels and the texts."""
    labels, texts = known
    said = read_all(path, documents, others, labels, files.form, files.renamed)
    if strange := [d for d in said.left if d.text not in texts]:
        raise ReadError(f"{path}: document {strange[0].id!r} has a text that no part of the corpus has")
    return said


def _flat(said: Sequence[Said]) -> tuple[dict[str, Answer], list[str]]:
    """Return what each expert found in each document that all have, as flat NER, and a remark on what that cannot express."""
    all_of = [{**s.others, **s.part} for s in said]
    ids = [id for id in all_of[0] if all(id in one for one in all_of)]
    flat = {id: [flatten(one[id]) for one in all_of] for id in ids}
    lost = sum(n for some in flat.values() for _, n in some)
    remark = f"predictions that flat NER cannot express (discontinuous or overlapping), not fused: {lost}"
    return {id: tuple(d.entities for d, _ in some) for id, some in flat.items()}, [remark] if lost else []


def _kin(pool: Pool, held: Collection[str], texts: Collection[str]) -> set[str]:
    """Return the ids of what a reader of held texts may not know: their own units, those of kin, and the same sentences."""
    return {d.id for d in pool if d.document in held or d.group in held or plain(d.text) in texts}


def _unit_texts(program: NERProgram, documents: Sequence[AnnotatedText]) -> set[str]:
    unit, size = program.spec.unit, program.spec.window
    return {plain(d.text[u.start : u.end]) for d in documents for u in split(d.text, unit, size=size)}


def _missing(documents: Sequence[AnnotatedText], here: Sequence[AnnotatedText]) -> list[str]:
    n = len(documents) - len(here)
    return [f"documents of the corpus that some file has not, not fused: {n}"] if n else []


def experts_of(experts: Sequence[Answers], number: int) -> list[tuple[Entity, ...]]:
    """Return what each expert found in one document."""
    return [one[number] for one in experts]


def _entities(
    document: AnnotatedText, stands: Sequence[tuple[int, Fused]], said: Answer, names: Sequence[str], *, whole: bool
) -> tuple[Entity, ...]:
    """Return what stands in a document, with what an expert says of the same entity beside its span, and who found it.

    Where it has to be `whole`, spans end where blanks are, and of two that then overlap the likelier stays.
    """
    called = {"extract": names[0], **{f"extract{n}": name for n, name in enumerate(names, 1)}}
    known = {(e.start, e.end, e.label): e for one in reversed(said) for e in one}
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
    """Write the fused predictions in the form of the first file, with its ids; return what that does not carry."""
    first = outcome.files[0]
    answers = dict(zip((d.id for d in outcome.corpus.part(outcome.part)), outcome.fused, strict=True))
    made: dict[str, Document] = {}
    for id, one in first.part.items():  # a text that comes twice in the corpus may come once in the file
        made.setdefault(one.id, replace(one, entities=answers[id]))
    documents = [*made.values()]
    lost: tuple[str, ...] = module(CORPORA, first.form).write(documents, out)
    if outcome.corpus.private and out.is_file():
        out.chmod(0o600)
    return lost


def check(files: Files, part: str, out: Path | None) -> None:
    """Refuse, before anything is read, a part, a place or a form that predictions cannot be of, or be written in."""
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
