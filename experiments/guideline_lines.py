"""How much of a program's guidelines the offline engine reads: said with a run, for what it cannot read it ignores."""

from __future__ import annotations

from experiments.spec import RunSpec
from ner_programs.guidelines import parse
from ner_programs.program import NERProgram


def remarks(spec: RunSpec, program: NERProgram) -> tuple[str, ...]:
    """Return one line on the guideline lines of the extraction's instruction; none where an LM answers or there are none."""
    said = parse(program.extract.predict.signature.instructions, tuple(program.spec.labels))
    lines = said.read + said.unread
    if spec.lm.model != "offline" or not (lines or program.spec.guidelines):
        return ()
    return (f"guidelines: the {spec.engine} reads {said.read} of {lines} lines",)
