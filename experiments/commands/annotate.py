"""What `nerc annotate` does: documents through a bundle, to a file, to pages, or to stdout as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from experiments import load as load_program
from experiments import places
from experiments.annotate import engines, outputs
from experiments.annotate import page as annotation
from experiments.annotate.costs import Costs
from experiments.annotate.documents import Annotated, by_doubt, finished, line
from experiments.annotate.inputs import Inputs
from experiments.annotate.lm import check_limit, decides, is_priced
from experiments.annotate.plan import plan
from experiments.annotate.summary import Summary, summarized
from experiments.annotate.work import Work, left
from experiments.annotate.worker import Job
from experiments.bundle_lm import bundle_model, bundle_options
from experiments.commands.console import err
from experiments.commands.tables import plan_table
from experiments.errors import SpecError
from experiments.runs.progress import Calls, Progress
from experiments.session import encoding
from experiments.spec import Model
from ner_programs.bundle.state import identity
from ner_programs.evaluate import calls_for
from ner_programs.privacy import PRIVATE, PUBLIC, Privacy
from ner_programs.program import NERProgram

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


@dataclass(frozen=True, slots=True)
class How:
    """Whether calls are made at all, how many US dollars they may cost, and who makes them."""

    dry_run: bool = False
    max_cost: float | None = None
    engine: str = "local"
    workers: int | None = None


def annotate(
    bundle: str, inputs: Inputs, to: Outputs, lm: str | None, changes: Sequence[str], home: Path | None, *,
    public: bool = False, trust: Sequence[str] = (), how: How = How(),
) -> None:  # fmt: skip
    """Annotate documents; exit code 1 where an answer about one of them failed."""
    if how.max_cost is not None and to.out is None:
        raise SpecError("--max-cost needs --out: there what was answered is kept")
    engines.check(how.engine, how.workers, how.max_cost)
    form = to.check()
    found = inputs.check(form)
    privacy = PUBLIC if public else PRIVATE
    where = encoding(bundle_options(lm, changes), privacy, bundle=True)
    program = load_program(bundle, home=places.home(home), trust=trust, privacy=where)
    model = bundle_model(lm, changes, program.wants, trust)
    key = {
        "documents": found.digest,
        "program": identity(program),
        "LM": decides(model),
    }
    job = _Job(program, model, replace(inputs, shared=found.shared), found.documents, privacy, key)
    if how.dry_run:
        missing = left(to.out, key, job.documents)
        err.print(plan_table(plan(program, model, missing, found.documents)))
        return
    if how.max_cost is not None:
        check_limit(model, privacy, how.max_cost)
    by = f"{Path(bundle).name}, {model.name}"
    kept = list[Annotated]()
    with _work(to.out, key) as work:
        summary = _asked(job, work, how, kept if to.pages else None)
        if work is not None and to.out is not None:
            for remark in outputs.write(work.finished, to.out, form, privacy, by=by):
                err.print(f"{to.out}: {remark} (.jsonl carries everything)", highlight=False, soft_wrap=True)
            summary = summarized(finished(work.finished), work.failures)
            kept = list(finished(work.finished)) if to.pages else []
            if not summary.open:
                work.remove()
    for page, shown, review in ((to.html, kept, False), (to.review, by_doubt(kept), True)):
        if page is not None:
            annotation.write(shown, page, by=by, kb=program.kb, privacy=privacy, review=review)
            err.print(f"page: {page}", soft_wrap=True, markup=False)
    _tell(summary, work)


@dataclass(frozen=True, slots=True)
class _Job:
    """A program with its LM, over so many documents; `key` says by name what decides the annotations."""

    program: NERProgram
    model: Model
    documents: Inputs
    number: int
    privacy: Privacy
    key: dict[str, str]


def _asked(job: _Job, work: Work | None, how: How, kept: list[Annotated] | None) -> Summary:
    """Annotate what is missing: into the work folder, else into `kept`, else to stdout."""
    summary = Summary()

    def take(one: Annotated) -> None:
        if work is not None:
            return work.add(line(one))
        summary.add(one)
        if kept is not None:
            return kept.append(one)
        sys.stdout.write(line(one))
        sys.stdout.flush()

    done, answers = (work.done, work.answers) if work is not None else (0, None)
    if done:
        err.print(f"{done:,} documents are finished already", highlight=False)
    planned = calls_for(job.program, list(job.documents)) if job.number <= PLANNED else None
    every = job.documents
    here, elsewhere = (every, every) if work is None else (work.missing(every), work.elsewhere(every))
    costs = _costs(work, job.model, how)
    asked = Job(here, elsewhere, job.number - done, job.program, job.model, job.privacy, answers, how.max_cost, costs)
    with (
        engines.running(how.engine, how.workers, asked) as run,
        Progress(err).step("annotating", asked.number, Calls(run.answered, planned)) as tick,
    ):
        run.through(take, tick)
    if work is not None:
        work.finish()
    if costs is not None and (told := costs.told()):
        err.print(told, highlight=False)
    return summary


def _costs(work: Work | None, model: Model, how: How) -> Costs | None:
    """Return what the job has cost. Raises SpecError where a limit could not hold for all of it."""
    if work is None:
        return None
    alone = how.engine == "local" and how.workers in (None, 1)
    costs = Costs(work.costs, alone and is_priced(model))
    costs.check(how.max_cost, work.folder)
    if not alone:
        costs.uncounted()
        costs.close()
    return costs


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


def _tell(summary: Summary, work: Work | None) -> None:
    """Say how the LM's answers ended; exit with 1 where some failed."""
    for told in summary.lines():
        err.print(told, soft_wrap=True, markup=False, highlight=False)
    if summary.failed:
        if work is not None and summary.open:
            what = "what failed" if summary.open == summary.failed else f"{summary.open:,} of them"
            again = f"listed in {work.failures}; the same command asks again for {what}, and for nothing else"
            err.print(again, soft_wrap=True, markup=False)
        elif work is not None:
            err.print("refused for good: asking again changes nothing, and the annotation is finished", soft_wrap=True)
        raise SystemExit(1)
