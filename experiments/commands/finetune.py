"""`nerc finetune`: writes the data for fine-tuning, and compares its cost with demonstrations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

from experiments import places
from experiments.commands.console import err, print_json
from experiments.spec import Model, spec_of


def finetune(what: str, out: Path, changes: Sequence[str], data: Path | None, home: Path | None, *, json: bool) -> None:
    """Write the files; print their lines and tokens, and the tokens of a query with either method."""
    spec = spec_of(what, changes).model_copy(update={"lm": Model()})  # no call is made
    with redirect_stdout(sys.stderr):
        from experiments import setup
        from experiments.baselines.finetuning import costs, write

        corpus, program, _ = setup.build(spec, places.data_directory(data), places.home(home))
        written = write(program, corpus, out)
        k = (program.spec.demos or {}).get("k", 8)
        rows = costs(program, corpus, [k], epochs=1)
    for part, lines in written.lines.items():
        tokens, answers = written.tokens[part], written.answer_tokens[part]
        file = out / f"{part}.jsonl"
        err.print(f"{file}: {lines} conversations, about {tokens} tokens ({answers} of them answers)", soft_wrap=True)
    for row in rows:
        err.print(f"{row.name}: about {row.tokens_in} tokens a query, {row.tokens_out} an answer")
    for remark in written.remarks:
        err.print(remark, soft_wrap=True)
    if json:
        print_json({"out": str(out), **written.as_dict(), "queries": [asdict(row) for row in rows]})
