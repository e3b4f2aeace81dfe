"""Whether answers that are held to their form are right in form, every one: zero-shot answers of a real model to real texts.

    python benchmarks/constrained.py [--data DIR] [--lm local/smollm2] [--set lm.threads=1] [--sentences 300] [--json]

Each format answers about sentences of the sample corpus, and with --data also of NCBI-disease dev, chosen by a hash; once as
the model would, and where there are marks once more with these favoured by 3 nats. Counted are answers that were cut, or of
which something could not be read, mentions that are nowhere in the text, and mentions that do not stand in the text character
by character (of a format that repeats the text: just where the answer has them). It exits with 1 if any of these is not 0.
`mentions` and `crowded` (those whose places others have taken: a list may name a part of what it names) are no errors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dspy

from ner_programs.privacy import PUBLIC

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from experiments import setup
from experiments.corpora.corpus import Corpus
from experiments.session import session
from experiments.spec import Model, load
from ner_programs import Document, NERProgram, ProgramSpec
from ner_programs.alignment.align import align_report
from ner_programs.components import names
from ner_programs.units import split

SPECS = Path(__file__).resolve().parents[1] / "experiments" / "specs"
OPENINGS = (0.0, 3.0)
WRONG = ("unreadable", "cut", "lost", "inexact")


def sentences(documents: Sequence[Document], count: int) -> list[str]:
    """The texts of so many sentences, in the order of their hash."""
    found = {d.text[unit.start : unit.end] for d in documents for unit in split(d.text, "sentence")}
    return sorted(found, key=lambda text: hashlib.sha256(text.encode()).digest())[:count]


def counted(program: NERProgram, text: str) -> Iterator[tuple[str, int]]:
    """What is to be counted of one answer."""
    said = program.extract(text, "")
    aligned = align_report(text, said.items)
    yield "mentions", len(said.items)
    yield "unreadable", said.unreadable + said.answers.unreadable
    yield "cut", said.answers.truncated + said.answers.unanswered + said.answers.refused
    yield "lost", len(aligned.lost)
    yield "crowded", len(aligned.crowded)
    there = {(e.start, e.end, e.label) for e in aligned.entities}
    for m in said.items:
        if m.start is None:
            yield "inexact", m.text not in text
        else:
            yield "inexact", (m.start, m.start + len(m.text), m.label) not in there
            yield "inexact", text[m.start : m.start + len(m.text)] != m.text
    surfaces = {m.text for m in said.items}
    yield "inexact", sum(e.text not in surfaces for e in aligned.entities)


def rows(model: Model, corpus: Corpus, count: int) -> Iterator[dict[str, Any]]:
    """One row for each format and opening, as they come."""
    texts = sentences(corpus.dev, count)
    with session(model, privacy=PUBLIC) as lm, dspy.context(lm=lm):
        for name in names("ner_programs.formats"):
            for opening in OPENINGS:
                labels = {label.name: label.definition for label in corpus.labels}
                program = ProgramSpec(labels=labels, format={"name": name}, opening=opening).build()
                if opening and not hasattr(program.extract.format, "marks"):
                    continue
                counts, began = Counter[str](), time.monotonic()
                for text in texts:
                    for what, number in counted(program, text):
                        counts[what] += number
                figures = {what: counts[what] for what in (*WRONG, "mentions", "crowded")}
                seconds = round(time.monotonic() - began, 1)
                yield {
                    "corpus": corpus.name,
                    "format": name,
                    "opening": opening,
                    "sentences": len(texts),
                    **figures,
                    "seconds": seconds,
                }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="the data directory; without one, the sample corpus alone")
    parser.add_argument("--lm", default="local/smollm2")
    parser.add_argument("--set", action="append", default=[], help="a change of the spec, as nerc run takes it")
    parser.add_argument("--sentences", type=int, default=300)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    logging.getLogger("dspy").setLevel(logging.ERROR)
    home = Path(os.environ.get("NERC_HOME") or tempfile.mkdtemp(prefix="nerc-constrained-"))
    made = []
    for file in ("wardnotes.toml", *(["ncbi.toml"] if options.data else [])):
        spec = load(SPECS / file, options.set, options.lm)
        for row in rows(spec.lm, setup.open_corpus(spec, options.data or home), options.sentences):
            made.append(row)
            if not options.json:
                if len(made) == 1:
                    print(*(f"{key:>12}" for key in row))
                print(*(f"{value!s:>12}" for value in row.values()), flush=True)
    if options.json:
        print(json.dumps({"benchmark": "constrained", "lm": options.lm, "rows": made}))
    sys.exit(any(row[what] for row in made for what in WRONG))


if __name__ == "__main__":
    main()
