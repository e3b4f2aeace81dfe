"""The demo: the embedded sample compiled step by step, each step a run in MLflow, compared at the end.

`make demo` runs `python -m experiments.demo`. It needs no key, no network and no data directory. With `--lm` (`make demo-lm`) a
language model in this process answers, on few notes, so that it takes minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments import places

NOTHING = 'optimizer={name="none"}'
STEPS = {
    "zero-shot": ["program.retriever.name=none", "program.demos.k=0", NOTHING],
    "+ knowledge": ["program.demos.k=0", NOTHING],
    "+ random demonstrations": ["program.demos.name=random", "program.demos.k=16", NOTHING],
    "+ nearest demonstrations": ["program.demos.k=16", NOTHING],
    "compiled": [],
}
NOTE = "Pt c/o sob and chest pain, started on lasix 40 mg."
SPEC = Path(__file__).parent / "specs" / "wardnotes.toml"

LM = "local/smollm2"
PLAIN = "program.retriever.name=none"
FUSE = 'program.verify={name="fuse", units=20}'
SMALL = [
    "name=wardnotes-lm", "corpus.sample={dev=1, test=0}", "task.guidelines=false",
    'program.demos={name="random", k=8}', "lm.max_tokens=256",
]  # fmt: skip
"""Settings that keep it short: one dev note, and prompts with a common prefix, which the LM reads only once."""
LM_STEPS = {
    "free": [PLAIN, NOTHING, "program.constrained=false", "lm.max_tokens=96"],
    "held to the form": [PLAIN, NOTHING],
    "held, calibrated": [PLAIN, 'optimizer={name="calibrate", units=8}'],
    "held, knowledge": [NOTHING],
    "held, fused": [PLAIN, FUSE, NOTHING],
    "compiled": [
        PLAIN, FUSE, 'optimizer={name="random_search", candidates=1, calibrate=8, budget={calls=84}}',
        'optimizer.search={"demos.seed"=[2]}',
    ],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo: its title, its steps as changes of the spec, its LM, and the parts that it compares."""

    title: str
    steps: Mapping[str, Sequence[str]]
    lm: str | None = None
    parts: tuple[str, ...] = ("dev", "test")

    @property
    def reuse(self) -> str:
        """The argument for the LM in the printed code; the stand-in needs none."""
        return f', lm=ner_programs.open_lm("{self.lm}")' if self.lm else ""


def main(arguments: Sequence[str] = ()) -> None:
    """Run every step of a demo and print the table that compares them."""
    parser = argparse.ArgumentParser(prog="python -m experiments.demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--lm", nargs="?", const=LM, help=f"a language model answers: local/PATH.gguf, or {LM}")
    lm = parser.parse_args(arguments).lm
    if lm is None:
        demo = Demo("synthetic ward notes, an in-context CRF (not a language model)", STEPS)
    else:
        size = "135M-parameter language model" if lm == LM else f"language model ({lm})"
        title = f"one synthetic ward note and a {size}: figures show what happens, not how good it is"
        demo = Demo(title, {name: [*SMALL, *changes] for name, changes in LM_STEPS.items()}, lm, ("dev",))
    show(demo)


def show(demo: Demo) -> None:
    """Run the steps of a demo and compare them; then show a marked note, and the page and bundle of the last step."""
    places.prepare_environment()
    import ner_programs
    from experiments.commands.console import err, marked
    from experiments.commands.tables import comparison_table
    from experiments.comparison import compare
    from experiments.reference_run import run
    from experiments.reports.report import write as write_report
    from experiments.runs.progress import Progress
    from experiments.spec import load

    home, data = places.home(), places.data_directory()
    err.print(f"[bold]nerc demo[/bold]: {demo.title}\n")
    results = {}
    for name, changes in demo.steps.items():
        err.print(f"[bold]{name}[/bold]")
        results[name] = run(load(SPEC, changes, demo.lm), data, home, name=name, progress=Progress(err))
    for part in demo.parts:
        err.print(comparison_table(compare(home, [r.run_id for r in results.values()], part=part)))
    compiled = results["compiled"]
    assert compiled.bundle is not None
    shown = _short(compiled.bundle)
    err.print(
        f"runs: `make ui` shows them in the browser ({home})\nbundle: {shown}\nreuse it in two lines:\n"
        f'  program = ner_programs.load("{shown}"{demo.reuse})\n'
        f'  entities = program("{NOTE}").entities',
        soft_wrap=True, markup=False,
    )  # fmt: skip
    page = write_report(compiled.run_id, home)
    lm = ner_programs.open_lm(demo.lm) if demo.lm else None
    err.print("\n", marked(ner_programs.load(compiled.bundle, lm=lm)(NOTE).entities), "\n", sep="", soft_wrap=True)
    err.print(f"page: {_short(page)}", soft_wrap=True, markup=False)


def _short(path: Path) -> Path:
    """Return a path relative to the working directory, if it is inside."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    main(sys.argv[1:])
