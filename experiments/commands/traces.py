"""`nerc run --traces N`: traces of the first dev documents, from the answers that were kept."""

from __future__ import annotations

from pathlib import Path

from experiments import places, tracking
from experiments.corpora.corpus import Corpus
from experiments.errors import SpecError
from experiments.runs.bundles import open_bundle
from experiments.runs.scores import Result
from experiments.runs.traces import log_trace
from experiments.session import session
from experiments.setup import Shared, open_corpus
from experiments.spec import RunSpec


def check(spec: RunSpec, data: Path) -> Corpus:
    """Return the corpus of a spec. Raises SpecError if its texts must not be in MLflow."""
    corpus = open_corpus(spec, data, Shared())
    if not corpus.privacy.may_log:
        raise SpecError(
            "--traces writes texts into MLflow, and this corpus is private (corpus.private = false, if it is public); "
            "`nerc report RUN --texts` shows its errors to you alone"
        )
    if spec.kb is not None and spec.kb.bundle == "reference":
        raise SpecError(
            "--traces writes strings of the knowledge base into MLflow, and kb.bundle says that it is licensed"
        )
    return corpus


def write(spec: RunSpec, result: Result, data: Path, home: Path, number: int) -> int:
    """Write the traces of the first `number` dev documents to a run, and return how many. No call is made."""
    corpus = check(spec, data)
    if result.bundle is None:
        return 0
    client = tracking.existing_store(home)
    run, program = client.get_run(result.run_id), open_bundle(result.bundle, home)
    answers = places.answers(corpus.name, corpus.fingerprint)
    with tracking.tracking_errors(), session(spec.lm, privacy=corpus.privacy, answers=answers, send=False):
        for document in corpus.dev[:number]:
            log_trace(client, run, program, document)
    return len(corpus.dev[:number])
