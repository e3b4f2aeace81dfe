"""What `nerc annotate` does: documents through a bundle, to a file, to pages, or to stdout as they come."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from experiments import load as load_program
from experiments import places
from experiments.annotate import outputs
from experiments.annotate import page as annotation
from experiments.annotate.documents import Annotated, by_doubt, finished, line
from experiments.annotate.documents import annotate as through
from experiments.annotate.inputs import Inputs
from experiments.annotate.work import Work
from experiments.bundle_lm import bundle_model, bundle_options
from experiments.commands.console import err
from experiments.errors import SpecError
from experiments.runs.progress import Calls, Progress
from experiments.session import answerer, encoding, session
from ner_programs.bundle.state import identity
from ner_programs.evaluate import calls_for
from ner_programs.privacy import PRIVATE, PUBLIC
from ner_programs.prompts.answers import Answers

PLANNED = 1000
"""Of more documents than these nobody counts beforehand how many calls they take."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where annotations go: a file or folder, a page, a page for review; to stdout where all are None."""

    out: Path | None = None
    html: Path | None = None
    review: Path | None = None

    @property
    def pages(self) -> bool:
        """Whether a page is wanted."""
        return self.html is not None or self.review is not None

    def check(self) -> str:
        """Return the form of `out`. Raises SpecError for a place that cannot be written to."""
        for option, path in (("--html", self.html), ("--review", self.review)):
            if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
                raise SpecError(f"{option} {path}: it is a folder, or lies in one that is not there; name a file")
        return outputs.form_of(self.out) if self.out is not None else "jsonl"


def annotate(
    bundle: str, inputs: Inputs, to: Outputs, lm: str | None, changes: Sequence[str], home: Path | None, *,
    public: bool = False, trust: Sequence[str] = (),
) -> None:  # fmt: skip
    """Annotate documents; exit code 1 where an answer about one of them failed."""
    form, found = to.check(), inputs.check()
    documents = replace(inputs, shared=found.shared)
    privacy = PUBLIC if public else PRIVATE
    where = encoding(bundle_options(lm, changes), privacy, bundle=True)
    program = load_program(bundle, home=places.home(home), trust=trust, privacy=where)
    model = bundle_model(lm, changes, program.wants, trust)
    planned = calls_for(program, list(documents)) if found.documents <= PLANNED else None
    job = {
        "documents": found.digest,
        "program": identity(program),
        "LM": _digest(model.model_dump_json(), answerer(model)),
    }
    by = f"{Path(bundle).name}, {model.name}"
    kept: list[Annotated] = []
    ended = Answers()

    def take(one: Annotated) -> None:
        nonlocal ended
        if work is not None:
            work.add(line(one))
            return
        ended += one.answers
        if to.pages:
            kept.append(one)
        else:
            sys.stdout.write(line(one))
            sys.stdout.flush()

    with _work(to.out, job) as work:
        done, answers = (work.done, work.answers) if work is not None else (0, None)
        if done:
            err.print(f"{done:,} documents are finished already", highlight=False)
        with (
            session(model, privacy=privacy, answers=answers) as asked,
            Progress(err).step("annotating", found.documents - done, Calls(asked.answered, planned)) as tick,
        ):
            through(program, islice(documents, done, None), take, tick)
        if work is not None and to.out is not None:
            for remark in outputs.write(work.finished, to.out, form, privacy, by=by):
                err.print(f"{to.out}: {remark} (.jsonl carries everything)", highlight=False, soft_wrap=True)
            ended = Answers.total(one.answers for one in finished(work.finished))
            kept = list(finished(work.finished)) if to.pages else []
            if not (ended.unanswered or ended.refused):
                work.remove()
    for page, shown, review in ((to.html, kept, False), (to.review, by_doubt(kept), True)):
        if page is not None:
            annotation.write(shown, page, by=by, kb=program.kb, privacy=privacy, review=review)
            err.print(f"page: {page}", soft_wrap=True, markup=False)
    _tell(ended, work)


@contextmanager
def _work(out: Path | None, job: dict[str, str]) -> Iterator[Work | None]:
    if out is None:
        yield None
        return
    work = Work.open(out, job)
    try:
        yield work
    finally:
        work.close()


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def _tell(ended: Answers, work: Work | None) -> None:
    """Say how the LM's answers ended; exit with 1 where some failed."""
    if troubles := ended.troubles():
        err.print(f"the LM's answers: {troubles}; what they would have found is missing (see `answers`)")
    if ended.unanswered or ended.refused:
        if work is not None:
            err.print(f"the same command asks again for what failed; {work.folder} keeps the rest", soft_wrap=True)
        raise SystemExit(1)
