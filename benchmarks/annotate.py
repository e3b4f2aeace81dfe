"""How many documents a second `nerc annotate` gets through beside the LM, with which memory: one process, two, and Ray.

    python benchmarks/annotate.py [--documents 100000] [--k 0] [--engines local:1,local:2,ray:2]

The LM is a stub that answers at once, so all time is nerc's own: reading, prompts, parsing, writing, the store of answers. Each
line has the documents so far, those a second since the last line, the resident memory of the command, and the memory of all its
processes together. The last line of an engine leaves out how long it took to start, and has the bytes on disk for a document.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from dspy.lm15 import Message, Request, Response, TextPart, Usage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

import ner_programs
from experiments import places
from experiments.annotate.documents import Annotated, line
from experiments.annotate.engines import running
from experiments.annotate.inputs import Inputs
from experiments.annotate.work import Work
from experiments.annotate.worker import Job
from experiments.corpora import wardnotes
from experiments.spec import Model
from ner_programs import NERProgram, Pool, ProgramSpec
from ner_programs.lms.price import Price
from ner_programs.privacy import PRIVATE


class Stub:
    """A backend that finds nothing, at once."""

    model, identity, supports_schema, logprobs, local, writes = "test/stub", "", False, False, True, False
    price = Price(0.0, 0.0)

    def complete(self, request: Request) -> Response:
        usage = Usage(input_tokens=1, output_tokens=1, total_tokens=2)
        message = Message.assistant([TextPart("[]")])
        return Response(id=None, model=request.model, message=message, finish_reason="stop", usage=usage)


def build() -> Stub:
    """Return the stub: this module is the LM `benchmarks.annotate`."""
    return Stub()


def resident() -> float:
    """Return the resident memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def together() -> float:
    """Return the memory of this process and all below it in MB, where what several share counts once (Pss)."""
    size = 0
    for process in ("self", *below()):
        with suppress(OSError):
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            size += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return size * 1024 / 1e6


def below(process: int | str = "self") -> Iterator[int]:
    """Yield the processes that a process has begun, and those that they have."""
    with suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from below(child)


def program(k: int, folder: Path) -> NERProgram:
    """Return a program with k demonstrations, as a bundle."""
    corpus = wardnotes.build()
    labels = {label.name: label.definition for label in corpus.labels}
    demos = {"name": "random", "k": k} if k else None
    spec = ProgramSpec(labels=labels, format={"name": "json_list"}, demos=demos)
    return ner_programs.load(ner_programs.save(spec.build(None, Pool.of(corpus.train, spec.unit)), folder / "bundle"))


def measure(engine: str, workers: int, inputs: Inputs, number: int, compiled: NERProgram) -> str:
    """Annotate, print a line for each tenth of the documents, and return a digest of what was written."""
    with tempfile.TemporaryDirectory() as folder:
        work, done = Work.open(Path(folder) / "out.jsonl", {"job": "benchmark"}), 0
        model = Model.model_validate({"model": "benchmarks.annotate"})
        began = last = time.monotonic()
        first = 0.0

        def take(one: Annotated) -> None:
            nonlocal done, last, first
            work.add(line(one))
            first = first or time.monotonic()
            done += 1
            if done % max(number // 10, 1) == 0:
                now = time.monotonic()
                rate, memory = (
                    number / 10 / max(now - last, 1e-9),
                    f"{resident():>6.0f} MB, all processes {together():>6.0f} MB",
                )
                print(f"{done:>9,} {rate:>7.0f} a second {memory}", flush=True)
                last = now

        job = Job(work.missing(inputs), work.elsewhere(inputs), number, compiled, model, PRIVATE, work.answers)
        with running(engine, workers, job) as run:
            run.through(take, lambda: None)
            now = time.monotonic()
        print(
            f"{engine} {workers}: {number / (now - first):.0f} documents a second ({first - began:.1f} s to the first), "
            f"answers {sum(f.stat().st_size for f in work.folder.glob('answers*')) / number:.0f} bytes a document, "
            f"documents {work.finished.stat().st_size / number:.0f}",
            flush=True,
        )
        digest = hashlib.sha256(work.finished.read_bytes()).hexdigest()
        work.remove()
        return digest


def main() -> None:
    """Measure each engine over the same documents, and say whether they wrote the same bytes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--k", type=int, default=0, help="demonstrations in each prompt, the same for all")
    parser.add_argument("--engines", default="local:1,local:2,ray:2", help="engines with their workers")
    given = parser.parse_args()
    places.prepare_environment()
    os.environ.setdefault("RAY_worker_niceness", "0")  # else Ray's workers wait for whatever else runs
    with tempfile.TemporaryDirectory() as folder:
        compiled = program(given.k, Path(folder))
        notes = Path(folder) / "notes.jsonl"
        with notes.open("w") as file:
            file.writelines(
                json.dumps({"text": f"Note {n}: pt c/o chest pain."}) + "\n" for n in range(given.documents)
            )
        inputs, began = Inputs.of([notes]), time.monotonic()
        found = inputs.check()
        print(f"checked {found.documents:,} documents in {time.monotonic() - began:.1f} s, {resident():.0f} MB")
        digests = set[str]()
        for name, _, workers in (one.partition(":") for one in given.engines.split(",")):
            if name == "ray" and find_spec("ray") is None:
                print("ray: not installed (pip install 'nerc[ray]')")
                continue
            digests.add(measure(name, int(workers or 1), inputs, found.documents, compiled))
        print("all wrote the same bytes" if len(digests) == 1 else "THEY DIFFER")


if __name__ == "__main__":
    main()
