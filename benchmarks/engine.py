"""How long the in-context CRF takes, and where its time goes.

    OMP_NUM_THREADS=1 python benchmarks/engine.py --data ../shared/data [--sentences 300] [--k 4 16 32 64] [--json]

Asked for are the first sentences of NCBI-disease dev, with the nearest demonstrations of train, with and without knowledge
lines. `ms` and `p95` are the median and the 95th percentile of the CPU time of one answer to a prompt, on one core;
every row begins with empty caches, as a run does. `decode` (of the prompt), `features`, `fit`, `tag` and `write` are
the mean milliseconds of its parts. `program` is the wall-clock time of a sentence through the whole program in this
process, `two` with two processes. `plain` is fitting and tagging the usual way, over the same features:
python-crfsuite with its defaults, through a file, nothing kept (the first 20 prompts), and `times` how often `ms` goes
into it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dspy
import pycrfsuite

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from experiments import setup
from experiments.spec import load
from ner_programs import Document, NERProgram, open_lm
from ner_programs.evaluate import score
from ner_programs.lms import _incontext
from ner_programs.tagger import crf, features

SPEC = Path(__file__).resolve().parents[1] / "experiments" / "specs" / "ncbi.toml"
PLAIN = 20
PARTS = {"decode": (_incontext, "_sample"), "features": (crf, "encoded"), "fit": (crf, "fit"),
         "tag": (_incontext, "tag_in_context"), "write": (_incontext, "mentioning")}  # fmt: skip
Asked = tuple[str, list[str]]


def prompts(program: NERProgram, documents: Sequence[Document]) -> list[Asked]:
    """The prompts that the program makes, one a sentence."""
    extract, found = program.extract, []
    for d in documents:
        fields = {"text": d.text, "knowledge": program.retrieve(d.text, d.text, d.kin).lines}
        demos = extract.demos(d.text, d.kin)
        system, *turns = extract.adapter.format(extract.predict.signature, demos, fields)
        found.append((system["content"], [turn["content"] for turn in turns]))
    return found


def forget() -> None:
    for module in (_incontext, crf, features):
        for thing in vars(module).values():
            if hasattr(thing, "cache_clear") and getattr(thing, "__module__", "") == module.__name__:
                thing.cache_clear()


def timed(work: Callable[[Any], Any], pieces: Sequence[Any]) -> list[float]:
    """Milliseconds of each piece, from empty caches."""
    forget()
    spent = []
    for piece in pieces:
        began = time.process_time()
        work(piece)
        spent.append((time.process_time() - began) * 1e3)
    return spent


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Add up the seconds spent in each part, less those in a part inside it; begins with empty caches."""
    spent: dict[str, float] = defaultdict(float)
    inside = [0.0]  # of each part that is running, the seconds in parts inside it

    def watch(name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def doing(*args: Any) -> Any:
            inside.append(0.0)
            began = time.process_time()
            try:
                return do(*args)
            finally:
                whole = time.process_time() - began
                spent[name] += whole - inside.pop()
                inside[-1] += whole

        return doing

    forget()
    patches = [patch.object(m, f, watch(name, getattr(m, f))) for name, (m, f) in PARTS.items()]
    for one in patches:
        one.start()
    try:
        yield spent
    finally:
        for one in patches:
            one.stop()


def plainly(asked: Asked) -> None:
    """Fit and tag as one would with the library alone: nothing kept, its defaults, a file."""
    forget()
    seen: list[tuple[Sequence[features.Sample], features.Sample]] = []
    with patch.object(_incontext, "tag_in_context", lambda shown, query: seen.append((shown, query)) or []):
        _incontext.answer(*asked)
    shown, query = seen[0]
    trainer, ids = pycrfsuite.Trainer(verbose=False), dict[str, int]()
    for sample in shown:
        text = features.encoded(sample.text, sample.hints, tuple(x for a, b, _ in sample.spans for x in (a, b)))
        trainer.append(text.rows, features.tags_of(text.offsets, sample.spans, ids))
    with tempfile.NamedTemporaryFile() as file:
        trainer.train(file.name)
        tagger = pycrfsuite.Tagger()
        tagger.open(file.name)
        tagger.tag(features.encoded(query.text, query.hints).rows)


def through(program: NERProgram, documents: Sequence[Document], processes: int) -> float:
    """Wall-clock milliseconds of a sentence through the whole program."""
    lm = open_lm("crf", processes=processes)
    lm.concurrency = 2 * processes or 1
    forget()
    with dspy.context(lm=lm, disable_history=True):
        began = time.perf_counter()
        score(program, documents)
        spent = time.perf_counter() - began
    lm.meter.backend.close()
    return spent / len(documents) * 1e3


def row(program: NERProgram, documents: Sequence[Document], k: int, knowledge: bool) -> dict[str, Any]:
    program = program.with_settings(demos={"k": k}, **({} if knowledge else {"retriever": {"name": "none"}}))
    asked = prompts(program, documents)
    spent = timed(lambda one: _incontext.answer(*one), asked)
    with watched() as parts:
        timed(lambda one: _incontext.answer(*one), asked)
    plain = statistics.median(timed(plainly, asked[:PLAIN]))
    middle = statistics.median(spent)
    figures = {"ms": middle, "p95": statistics.quantiles(spent, n=20)[-1], "mean": statistics.mean(spent)}
    figures |= {name: parts[name] / len(asked) * 1e3 for name in PARTS}
    figures |= {"program": through(program, documents, 0), "two": through(program, documents, 2)}
    figures |= {"plain": plain, "times": plain / middle}
    return {"k": k, "knowledge": knowledge, "sentences": len(asked), **{n: round(v, 2) for n, v in figures.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data directory")
    parser.add_argument("--sentences", type=int, default=300)
    parser.add_argument("--k", nargs="+", type=int, default=[4, 16, 32, 64], help="numbers of demonstrations")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    home = Path(os.environ.get("NERC_HOME") or tempfile.mkdtemp(prefix="nerc-engine-"))
    folder, program, _ = setup.build(load(SPEC), options.data, home)
    documents = folder.dev[: options.sentences]
    rows = [row(program, documents, k, knowledge) for knowledge in (True, False) for k in options.k]
    if options.json:
        print(json.dumps({"benchmark": "engine", "rows": rows}))
        return
    columns = ("ms", "p95", "mean", *PARTS, "program", "two", "plain", "times")
    print(f"{'k':>3} knowledge " + " ".join(f"{name:>8}" for name in columns))
    for r in rows:
        print(f"{r['k']:3} {'yes' if r['knowledge'] else 'no':9} " + " ".join(f"{r[name]:8.1f}" for name in columns))


if __name__ == "__main__":
    main()
