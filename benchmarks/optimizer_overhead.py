"""What a search adds to a bare `dspy.Evaluate` at 10 ms an LM call: wall time, as ratios in one run.

    python -m benchmarks.optimizer_overhead [--documents N] [--rounds N] [--json]

The program is the same (nearest demonstrations, k = 16), so are the documents (sentences of the sample corpus, made distinct)
and the answers. Bare: `dspy.Evaluate` over the program with a plain `dspy.LM` on an engine that sleeps 10 ms, no cache. Ours:
`Search.score` under the metered LM with its answer store and ledger on disk, trials reported. The two take turns, and the one
that begins changes.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import dspy
from dspy.lm15 import Request, Response

from experiments.corpora.wardnotes import build as wardnotes
from ner_programs import Document, NERProgram, ProgramSpec, metric
from ner_programs.demos import Pool
from ner_programs.lms._engine import Engine
from ner_programs.lms.account import Account
from ner_programs.lms.ledger import Ledger
from ner_programs.lms.metered import Budget, Meter, MeteredLM
from ner_programs.lms.store import AnswerStore
from optimizers.search import Search
from optimizers.trial import Compilation
from tests.tiny import response

LATENCY = 0.010


class Sleeper:
    """A backend that takes 10 ms for every answer."""

    model, identity, supports_schema, price = "sleeper/x", "", False, None

    def complete(self, request: Request) -> Response:
        """Answer nothing found."""
        time.sleep(LATENCY)
        return response(request, "[]")


def bare(program: NERProgram, documents: Sequence[Document], threads: int) -> None:
    """Evaluate as DSPy does it."""
    engine = Sleeper()
    lm = dspy.LM("sleeper/x", engine=Engine(engine.complete), cache=False)
    devset = [
        dspy.Example(text=d.text, exclude=d.kin, entities=d.entities).with_inputs("text", "exclude") for d in documents
    ]
    with dspy.context(lm=lm, disable_history=True):
        dspy.Evaluate(devset=devset, metric=metric, num_threads=threads, display_progress=False)(program)


def ours(program: NERProgram, documents: Sequence[Document], threads: int) -> None:
    """Score in a search, with everything that a run has."""
    with tempfile.TemporaryDirectory() as folder:
        store, ledger = AnswerStore(Path(folder) / "answers"), Ledger(Path(folder) / "ledger.jsonl")
        lm = MeteredLM(Meter(Sleeper(), account=Account(store=store, ledger=ledger)), concurrency=threads)
        with dspy.context(lm=lm, disable_history=True):
            search = Search(program, documents, Compilation(lm, Budget(calls=10 * len(documents))))
            with search.spending():
                search.score(program, {}, documents)
        assert lm.meter.spent.calls == len(documents)
        store.close()
        ledger.close()


def seconds(run: Callable[[NERProgram, Sequence[Document], int], None], *given: object) -> float:
    """Return the wall time of one run."""
    began = time.perf_counter()
    run(*given)  # type: ignore[arg-type]
    return time.perf_counter() - began


def main() -> None:
    """Print a line for each number of threads."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    logging.getLogger("dspy").setLevel(logging.WARNING)
    corpus = wardnotes(data=Path())
    spec = ProgramSpec(labels={label.name: label.definition for label in corpus.suggested_labels}, unit="document",
                       demos={"name": "tfidf", "k": 16})  # fmt: skip
    program = spec.build(None, Pool.of(corpus.train, "sentence"))
    sentences = [line for d in corpus.dev for line in d.text.splitlines() if line.strip()]
    documents = [Document(f"d{n}", f"{sentences[n % len(sentences)]} ({n})") for n in range(options.documents)]
    found = []
    for threads in (1, 8):
        pairs = []
        seconds(ours, program, documents[:20], threads)
        for turn in range(options.rounds):
            runs = [bare, ours] if turn % 2 else [ours, bare]
            took = {run.__name__: seconds(run, program, documents, threads) for run in runs}
            pairs.append((took["bare"], took["ours"]))
        ratio = statistics.median(b / a for a, b in pairs)
        found.append({
            "threads": threads, "documents": len(documents), "bare_s": statistics.median(a for a, _ in pairs),
            "ours_s": statistics.median(b for _, b in pairs), "ratio": round(ratio, 4),
            "lowest": round(min(b / a for a, b in pairs), 4), "highest": round(max(b / a for a, b in pairs), 4),
        })  # fmt: skip
    if options.json:
        print(json.dumps(found))
        return
    for row in found:
        times = "{threads} at a time: bare {bare_s:.2f} s, ours {ours_s:.2f} s".format(**row)
        print(times, "ratio {ratio:.3f} ({lowest:.3f}-{highest:.3f})".format(**row))


if __name__ == "__main__":
    main()
