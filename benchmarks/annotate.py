"""How many documents a second `nerc annotate` gets through beside the LM, and whether its memory stays flat.

    python benchmarks/annotate.py [--documents 100000] [--k 0]

The LM is a stub that answers at once, so all time is nerc's own: reading, prompts, parsing, writing, the store of answers. Each
line has the documents so far, those a second since the last line, and the resident memory of the process.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from experiments import places
from experiments.annotate.documents import Annotated, annotate, line
from experiments.annotate.inputs import Inputs
from experiments.annotate.work import Work
from experiments.corpora import wardnotes
from ner_programs import Pool, ProgramSpec
from ner_programs.lms.metered import Account, Meter, MeteredLM
from ner_programs.lms.price import Price
from ner_programs.lms.store import AnswerStore


class Stub:
    """A backend that finds nothing, at once."""

    model, identity, supports_schema, logprobs, local, writes = "test/stub", "", False, False, True, False
    price = Price(0.0, 0.0)

    def complete(self, request: Request) -> Response:
        usage = Usage(input_tokens=1, output_tokens=1, total_tokens=2)
        message = Message.assistant([TextPart("[]")])
        return Response(id=None, model=request.model, message=message, finish_reason="stop", usage=usage)


def resident() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    """Annotate, and print a line for each tenth of the documents."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--k", type=int, default=0, help="demonstrations in each prompt, the same for all")
    given = parser.parse_args()
    places.prepare_environment()
    corpus = wardnotes.build()
    labels = {label.name: label.definition for label in corpus.labels}
    demos = {"name": "random", "k": given.k} if given.k else None
    spec = ProgramSpec(labels=labels, format={"name": "json_list"}, demos=demos)
    program = spec.build(None, Pool.of(corpus.train, spec.unit))
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes.jsonl"
        with notes.open("w") as file:
            file.writelines(
                json.dumps({"text": f"Note {n}: pt c/o chest pain."}) + "\n" for n in range(given.documents)
            )
        inputs = Inputs.of([notes])
        began = time.monotonic()
        found = inputs.check()
        print(
            f"checked {found.documents:,} documents in {time.monotonic() - began:.1f} s, {resident():.0f} MB",
            flush=True,
        )
        work, done, last = Work.open(Path(folder) / "out.jsonl", {"job": "benchmark"}), 0, time.monotonic()

        def take(one: Annotated) -> None:
            nonlocal done, last
            work.add(line(one))
            done += 1
            if done % max(given.documents // 10, 1) == 0:
                now = time.monotonic()
                print(
                    f"{done:>9,} {given.documents / 10 / (now - last):>7.0f} a second {resident():>6.0f} MB", flush=True
                )
                last = now

        lm = MeteredLM(Meter(Stub(), account=Account(store=AnswerStore(work.answers))), concurrency=8)
        with dspy.context(lm=lm, disable_history=True, track_usage=False):
            annotate(program, work.missing(inputs), take, lambda: None)
        work.remove()


if __name__ == "__main__":
    main()
