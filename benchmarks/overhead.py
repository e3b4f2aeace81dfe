"""What nerc costs beside the language model: CPU milliseconds per text, and wall time against the ideal of slow calls.

    python benchmarks/overhead.py [--peers PYTHON] [--texts 200] [--repeats 5] [--json]

The LM is a stub that answers at once, or after 50 ms. Every measurement has an LM of its own, because kept answers would
make it look fast. Repeats are interleaved, so that a busy machine slows all alike; medians are shown, and only ratios within
one run mean something. `--peers` names the Python of an environment with langextract and spacy-llm.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from experiments.corpora import wardnotes
from ner_programs import NERProgram, Pool, ProgramSpec
from ner_programs.lms.metered import Meter, MeteredLM
from ner_programs.lms.price import Price

PAUSE = 0.05
CALLS, WIDTH, UNITS = 320, 32, 114
KINDS = {"k = 0": None, "k = 16": ("random", 16), "k = 128": ("random", 128), "k = 16, nearest": ("tfidf", 16),
         "k = 128, nearest": ("tfidf", 128)}  # fmt: skip
CHAT = "[[ ## mentions ## ]]\n[]\n\n[[ ## completed ## ]]"
Measure = Callable[[list[str]], float | str]


class Stub:
    """A backend with one answer, after a pause."""

    model, identity, supports_schema, logprobs, local, writes = "test/stub", "", False, False, True, False
    price = Price(0.0, 0.0)

    def __init__(self, says: str = '[{"text": "chest pain", "label": "problem"}]', pause: float = 0.0) -> None:
        self.says, self.pause = says, pause

    def __deepcopy__(self, memo: dict[int, Any]) -> Stub:
        return self

    def complete(self, request: Request) -> Response:
        if self.pause:
            time.sleep(self.pause)
        message = Message.assistant([TextPart(self.says)])
        usage = Usage(input_tokens=1, output_tokens=1, total_tokens=2)
        return Response(id=None, model=request.model, message=message, finish_reason="stop", usage=usage)

    def close(self) -> None: ...


def ours(kind: tuple[str, int] | None, pool: Pool) -> NERProgram:
    """Return a program with so many demonstrations."""
    labels = {label.name: label.definition for label in wardnotes.LABELS}
    return ProgramSpec(labels=labels, demos={"name": kind[0], "k": kind[1]} if kind else None).build(None, pool)


def cpu(run: Callable[[str], Any]) -> Measure:
    """Measure a call per text."""

    def measured(texts: list[str]) -> float:
        began = time.process_time()
        for text in texts:
            run(text)
        return 1000 * (time.process_time() - began) / len(texts)

    return measured


def nerc(program: NERProgram, batched: bool = False) -> Measure:
    """Measure a program, called for each text or over all."""

    def measured(texts: list[str]) -> float | str:
        with dspy.context(lm=MeteredLM(Meter(Stub())), disable_history=True, track_usage=False):
            if not batched:
                return cpu(program)(texts)
            began = time.process_time()
            program.batch(texts, concurrency=8)
            return 1000 * (time.process_time() - began) / len(texts)

    return measured


def predict(shown: list[Any]) -> Measure:
    """Measure DSPy's Predict with its ChatAdapter."""
    asked = dspy.Predict("text: str -> mentions: list[dict[str, str]]")
    asked.demos = [dspy.Example(text=d.text, mentions=pairs(d)) for d in shown]

    def measured(texts: list[str]) -> float | str:
        lm = dspy.LM("test/stub", cache=False, num_retries=0, engine=Stub(CHAT))
        with dspy.context(lm=lm, disable_history=True, track_usage=False):
            return cpu(lambda text: asked(text=text))(texts)

    return measured


def pairs(demonstration: Any) -> list[dict[str, str]]:
    return [{"text": e.text, "label": e.label} for e in demonstration.entities]


class Peers:
    """Asks the process that has the other libraries."""

    def __init__(self, python: str | None) -> None:
        script = Path(__file__).with_name("_overhead_peers.py")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        self._process: Any = subprocess.Popen([python, str(script)], **pipes) if python else None  # type: ignore[call-overload]

    def measure(self, name: str, shown: list[Any]) -> Measure:
        examples = [[d.text, [[p["text"], p["label"]] for p in pairs(d)]] for d in shown]
        labels = {label.name: label.definition for label in wardnotes.LABELS}

        def measured(texts: list[str]) -> float | str:
            if self._process is None:
                return "not measured: no --peers"
            asked = {"peer": name, "labels": labels, "examples": examples, "texts": texts}
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            said = json.loads(line) if line else {"missing": "it failed: run _overhead_peers.py to see why"}
            return said.get("ms") or str(said.get("missing"))

        return measured

    def close(self) -> None:
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()


def table(measures: dict[str, Measure], count: int, repeats: int) -> dict[str, float | str]:
    """Return the median of each measurement; the texts of no two are the same."""
    taken: dict[str, list[float]] = {name: [] for name in measures}
    said: dict[str, float | str] = {}
    for repeat in range(-1, repeats):  # the first is to warm up
        for name, measure in measures.items():
            size = max(count // (4 if "128" in name else 1), 10)
            got = measure([f"Note {repeat} {n}: pt c/o chest pain since {n % 7} days." for n in range(size)])
            if isinstance(got, str):
                said[name] = got
            elif repeat >= 0:
                taken[name].append(got)
    return said | {name: round(statistics.median(some), 3) for name, some in taken.items() if some}


def waits(program: NERProgram, texts: list[str], width: int) -> float:
    """Return the seconds for texts whose calls take 50 ms each."""
    with dspy.context(lm=MeteredLM(Meter(Stub(pause=PAUSE)))):
        began = time.perf_counter()
        found = program.batch(texts, concurrency=width)
        assert all(f.error is None for f in found)
        return time.perf_counter() - began


async def plain(calls: int, width: int) -> float:
    """Return the seconds that asyncio alone takes."""
    room = asyncio.Semaphore(width)

    async def call() -> None:
        async with room:
            await asyncio.sleep(PAUSE)

    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(calls)))
    return time.perf_counter() - began


def walls(programs: dict[str, NERProgram], repeats: int) -> dict[str, float]:
    """Return wall time as a multiple of the ideal."""
    taken: dict[str, list[float]] = {}
    ideal, one = CALLS / WIDTH * PAUSE, -(-UNITS // 8) * PAUSE
    for repeat in range(repeats):
        texts = [f"Note {repeat} {n}: pt c/o chest pain." for n in range(CALLS)]
        note = "\n".join(f"Line {repeat} {n}: pt c/o chest pain." for n in range(UNITS))
        taken.setdefault("plain asyncio", []).append(asyncio.run(plain(CALLS, WIDTH)) / ideal)
        for name, program in programs.items():
            taken.setdefault(name, []).append(waits(program, texts, WIDTH) / ideal)
        taken.setdefault(f"a note of {UNITS} units, 8 at a time, k = 0", []).append(
            waits(programs["k = 0"], [note], 8) / one
        )
    return {name: round(statistics.median(some), 2) for name, some in taken.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", help="the Python of an environment with langextract and spacy-llm")
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    corpus = wardnotes.build()
    pool = Pool.of(corpus.train, "sentence")
    shown = [d for d in pool if d.entities][:16]
    programs = {name: ours(kind, pool) for name, kind in KINDS.items()}
    peers = Peers(given.peers)
    measures = {f"nerc, {name}": nerc(program) for name, program in programs.items()}
    measures |= {f"nerc batch, {name}": nerc(programs[name], True) for name in ("k = 0", "k = 16", "k = 128")}
    measures |= {"DSPy Predict, k = 0": predict([]), "DSPy Predict, k = 16": predict(shown)}
    for name in ("langextract", "spacy-llm"):
        measures[f"{name}, k = 16"] = peers.measure(name, shown)
    try:
        said = {"cpu_ms": table(measures, given.texts, given.repeats), "wall": walls(
            {name: programs[name] for name in ("k = 0", "k = 16", "k = 128", "k = 128, nearest")}, min(given.repeats, 3)
        )}  # fmt: skip
    finally:
        peers.close()
    if given.json:
        print(json.dumps(said))
        return
    print("CPU ms per text")
    print("\n".join(f"  {name:<32} {value}" for name, value in said["cpu_ms"].items()))
    print(f"{CALLS} calls of 50 ms, {WIDTH} at a time: wall time / ideal")
    print("\n".join(f"  {name:<44} {value}" for name, value in said["wall"].items()))


if __name__ == "__main__":
    main()
