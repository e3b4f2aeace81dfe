"""What a program is, in one screen of lines: its settings and counts, and no text of a corpus."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ner_programs.lms import title

if TYPE_CHECKING:
    from ner_programs.program import NERProgram

WIDTH = 110
LABELS = 20  # so many are named
LONGEST = 40  # characters of an option


def described(program: NERProgram) -> str:
    """Return the lines of `repr(program)`: what each stage is, what it knows, and the LM that it was compiled with."""
    head = f"NERProgram{' (private: made from text that only its owner may read)' if program.private else ''}"
    lines = [head]
    for name, said in _rows(program):
        lines += textwrap.wrap(said, WIDTH, initial_indent=f"  {name:<16}", subsequent_indent=" " * 18)
    return "\n".join(lines)


def _rows(program: NERProgram) -> Iterator[tuple[str, str]]:
    spec, predict = program.spec, program.extract.predict
    names = list(spec.labels)
    rest = f" and {len(names) - LABELS} more" if len(names) > LABELS else ""
    yield "labels", f"{len(names)}: {', '.join(names[:LABELS])}{rest}"
    yield "format", f"{_component(spec.format)}; one prompt a {spec.unit}"
    yield "instruction", f"{len(predict.signature.instructions):,} characters"
    fixed = f"; {len(predict.demos)} shown for every text" if predict.demos else ""
    chosen = f"{_component(spec.demos)}; pool of {len(program.pool):,}" if spec.demos else "none chosen"
    yield "demonstrations", chosen + fixed
    seeds = ", names from the LM too" if spec.seeds == "lm" else ""
    yield "retriever", _component(spec.retriever) + seeds
    own = type(getattr(program.verify, "verifier", program.verify)).__name__  # set in code: the spec does not name it
    yield "verifier", _component(spec.verify) if spec.verify else own if program.verify is not None else "none"
    kb = program.kb
    linked = "; entities are linked to it" if spec.link else ""
    yield "knowledge base", "none" if kb is None else f"{len(kb):,} concepts, fingerprint {kb.fingerprint}{linked}"
    yield "compiled with", _lm(program.wants)


def _component(said: Mapping[str, Any]) -> str:
    """Return a component as "tfidf, k = 16"; an option that is long, or a text, is counted."""
    options = [f"{name} = {_value(value)}" for name, value in said.items() if name != "name"]
    return ", ".join([str(said["name"]), *options])


def _value(value: Any) -> str:
    if isinstance(value, Mapping) and "name" in value:
        return f"({_component(value)})"
    line = str(value)
    return line if len(line) <= LONGEST and len(line.split()) == 1 else f"({len(line):,} characters)"


def _lm(wants: Mapping[str, Any]) -> str:
    """Return the LM of a bundle; the stand-in by what it is, which is no language model."""
    name = title(str(wants.get("model")))
    options = [f"{k} = {v}" for k, v in wants.items() if k not in ("model", "strong")]
    strong = [f"hard texts: {_lm(wants['strong'])}"] if wants.get("strong") else []
    return ", ".join([name, *options, *strong])
