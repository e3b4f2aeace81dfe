"""How many tokens of a prompt an LM has to evaluate, where it keeps what a prompt has in common with the one before.

    python benchmarks/prefix_cache.py [--data DIR] [--lm local/smollm2] [--set lm.threads=1] [--sentences 30] [--json]

Asked are sentences of dev, one after the other: of NCBI-disease with --data, chosen by a hash of their ids, else of the sample
corpus. `prompt` is the mean length of a prompt in tokens, `evaluated` that less what the LM read from its cache; the first
prompt is counted, too. Rows are no demonstrations, eight that are the same for every text, and the eight nearest to each.
Answers end after one token: what is evaluated does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dspy

from ner_programs.privacy import PUBLIC

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout this file lies in

from experiments import setup
from experiments.session import session
from experiments.spec import RunSpec, load
from ner_programs import Document, NERProgram

SPECS = Path(__file__).resolve().parents[1] / "experiments" / "specs"
DEMOS = {"zero-shot": ("random", 0), "fixed": ("random", 8), "chosen for each text": ("tfidf", 8)}


def row(name: str, spec: RunSpec, program: NERProgram, documents: Sequence[Document], count: int) -> dict[str, Any]:
    """Ask about `count` sentences; mean tokens of a prompt, and how many of them were evaluated."""
    selector, k = DEMOS[name]
    program = program.with_settings(demos={"name": selector, "k": k}, unit="sentence")
    with session(spec.lm, privacy=PUBLIC) as lm, dspy.context(lm=lm):
        for document in documents:
            if lm.meter.spent.calls < count:
                program(document.text, document.kin)
        spent = lm.meter.spent
    whole, evaluated = spent.tokens_in / spent.calls, (spent.tokens_in - spent.tokens_cached) / spent.calls
    return {
        "demonstrations": name,
        "sentences": spent.calls,
        "prompt": round(whole, 1),
        "evaluated": round(evaluated, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="the data directory; without one, the sample corpus")
    parser.add_argument("--lm", default="local/smollm2")
    parser.add_argument("--set", action="append", default=[], help="a change of the spec, as nerc run takes it")
    parser.add_argument("--sentences", type=int, default=30)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    changes = [*options.set, f"corpus.sample.dev={options.sentences}", "lm.max_tokens=1"]
    spec = load(SPECS / ("ncbi.toml" if options.data else "wardnotes.toml"), changes, options.lm)
    logging.getLogger("dspy").setLevel(logging.ERROR)  # it warns of every answer that ends early
    home = Path(os.environ.get("NERC_HOME") or tempfile.mkdtemp(prefix="nerc-prefix-"))
    corpus, program, _ = setup.build(spec, options.data or home, home)
    rows = [row(name, spec, program, corpus.dev, options.sentences) for name in DEMOS]
    if options.json:
        print(json.dumps({"benchmark": "prefix_cache", "corpus": corpus.name, "lm": options.lm, "rows": rows}))
        return
    print(f"{'demonstrations':22} {'sentences':>9} {'prompt':>8} {'evaluated':>9}   tokens a sentence, {corpus.name}")
    for r in rows:
        print(f"{r['demonstrations']:22} {r['sentences']:9} {r['prompt']:8.1f} {r['evaluated']:9.1f}")


if __name__ == "__main__":
    main()
