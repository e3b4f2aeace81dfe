"""`nerc evaluate`: scores a bundle, or the predictions of another system, on a corpus."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from experiments import places
from experiments.bundle_lm import bundle_model, bundle_options
from experiments.commands.console import err, print_json
from experiments.commands.verbs import check_part
from experiments.errors import SpecError
from experiments.runs.folds import number
from experiments.spec import Model, RunSpec, explain, spec_of

if TYPE_CHECKING:
    from experiments.predictions.fusing import Files
    from experiments.predictions.given import Predictions


@dataclass(frozen=True, slots=True)
class Given:
    """The options for predictions: files, their format, whether to fuse them, and the run that records them."""

    files: tuple[Path, ...]
    form: str | None = None
    labels: tuple[str, ...] = ()
    experiment: str | None = None
    name: str | None = None
    fuse: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """The options for opening a bundle: another LM, its options, packages to trust."""

    lm: str | None = None
    changes: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()


def bundle(what: Sequence[str], opened: Opened, part: str, data: Path | None, home: Path | None, *, json: bool) -> None:
    """Score a bundle."""
    if len(what) != 2:
        raise SpecError("evaluate wants BUNDLE CORPUS, or --predictions FILE CORPUS")
    check_part(part)
    from experiments import setup
    from experiments.scoring import evaluation

    spec = spec_of(what[1])
    corpus = setup.open_corpus(spec, places.data_directory(data))
    with redirect_stdout(sys.stderr):
        from experiments import load as load_program
        from experiments.runs.progress import Calls, Progress
        from experiments.session import answering, encoding, session
        from ner_programs.evaluate import calls_for, score

        where = encoding(bundle_options(opened.lm, opened.changes), corpus.privacy, bundle=True)
        program = load_program(what[0], home=places.home(home), trust=opened.trust, privacy=where)
        if strange := {e.label for d in corpus.part(part) for e in d.entities} - set(program.spec.labels):
            raise SpecError(f"{what[0]} knows no label {min(strange)!r}; it has: {', '.join(program.spec.labels)}")
        model = bundle_model(opened.lm, opened.changes, program.wants, opened.trust)
        documents = corpus.part(part)
        planned = calls_for(program, documents)
        with (
            session(model, privacy=corpus.privacy) as lm,
            answering(lm),
            Progress(err).step(f"scoring {part}", len(documents), Calls(lm.answered, planned)) as tick,
        ):
            scored = score(program, documents, tick)
        found = evaluation.evaluate(corpus, part, scored, kb=program.kb)
    _print(found.as_dict(), json=json)


def predictions(
    what: Sequence[str], given: Given, part: str, data: Path | None, home: Path | None, *, json: bool
) -> None:
    """Score the predictions of another system; with an experiment, record them as one of its runs."""
    spec = _scorable(what, given, part)
    with redirect_stdout(sys.stderr):
        from experiments import setup
        from experiments.predictions.given import read, track
        from experiments.scoring.evaluation import evaluate

        data, files = places.data_directory(data), files_of(given)
        program = None
        if given.experiment is None:
            corpus = setup.open_corpus(spec, data)
        else:
            corpus, program, _ = setup.build(spec, data, places.home(home))
        labels = spec.labels or [label.name for label in corpus.suggested_labels]
        name = given.name or given.files[0].stem
        if given.fuse:
            found, figures = _fused(spec, files, part, data, places.home(home))
            name = given.name or f"{name} fused"
        else:
            found, figures = read(given.files[0], corpus.part(part), labels, given.form, files.renamed), None
        output = evaluate(corpus, part, found.scored).as_dict() | {"remarks": list(found.remarks)}
        if program is not None:
            output["run_id"] = track(places.home(home), spec, corpus, program, name, part, found)
    if figures is not None:
        from experiments.commands.tables import print_fused

        print_fused(figures)
        output["fused"] = figures
    else:
        for remark in found.remarks:
            err.print(f"{given.files[0]}: {remark}", soft_wrap=True, markup=False)
    _print(output, json=json)


def _scorable(what: Sequence[str], given: Given, part: str) -> RunSpec:
    """Return the spec for the documents of the predictions. Raises SpecError if the command line lacks something."""
    if len(what) != 1:
        raise SpecError("evaluate wants --predictions FILE CORPUS, or BUNDLE CORPUS")
    check_part(part)
    if given.name and not given.experiment:
        raise SpecError("--name is the name of a run: say of which --experiment")
    if len(given.files) > 1 and not given.fuse:
        raise SpecError("several --predictions are scored together only with --fuse")
    spec = spec_of(what[0]).model_copy(update={"lm": Model()})  # no call is made
    try:
        spec = RunSpec.model_validate({**spec.model_dump(), "name": given.experiment or spec.name})
    except ValidationError as error:
        raise SpecError(f"--experiment {given.experiment}: {explain(error)}") from error
    if number(spec):
        raise SpecError(
            f"{what[0]}: predictions are scored on one part, and its split is over folds: name a `fold` in it"
        )
    return spec


def _fused(spec: RunSpec, files: Files, part: str, data: Path, home: Path) -> tuple[Predictions, dict[str, Any]]:
    """Return the fused predictions, and the figures of the gain."""
    from experiments.predictions import fusing
    from experiments.predictions.given import Predictions
    from ner_programs.evaluate import Scored
    from ner_programs.scoring import Counts

    made = fusing.fused(spec, files, part, data, home)
    counts = tuple(Counts.of(d.entities, e) for d, e in zip(made.corpus.part(part), made.fused, strict=True))
    return Predictions(Scored(counts, made.fused, 0, len(counts)), made.remarks), made.figures


def files_of(given: Given) -> Files:
    """Return the files of predictions, with the label renaming of the command line."""
    from experiments.predictions.fusing import Files

    return Files(given.files, given.form, dict(map(_renaming, given.labels)))


def _renaming(option: str) -> tuple[str, str]:
    theirs, equals, ours = option.partition("=")
    if not equals or not theirs:
        raise SpecError(f"--label {option}: write it as THEIRS=OURS, or THEIRS= to leave them out")
    return theirs, ours


def _print(output: dict[str, Any], *, json: bool) -> None:
    plain = {k: v for k, v in output.items() if not isinstance(v, dict)}  # a breakdown is for the page and for --json
    err.print(*(f"{k} {'-' if v is None else v}" for k, v in plain.items()), sep="\n", markup=False, soft_wrap=True)
    if json:
        print_json(output)
