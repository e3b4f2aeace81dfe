"""The demo: the embedded sample compiled step by step, each step a run in MLflow, compared at the end.

`python -m experiments.demo`; what `make demo` runs. No key, no network, no data directory.
"""

from __future__ import annotations

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


def main() -> None:
    """Run every step of the demo and print the table that compares them."""
    places.prepare_environment()
    import ner_programs
    from experiments.commands.console import err, marked
    from experiments.commands.tables import comparison_table
    from experiments.compare import compare
    from experiments.pages.report import write as write_report
    from experiments.progress import Progress
    from experiments.run import run
    from experiments.spec import load

    home, data = places.home(), places.data_directory()
    err.print("[bold]nerc demo[/bold]: synthetic ward notes, an in-context CRF (not a language model)\n")
    results = {}
    for name, changes in STEPS.items():
        err.print(f"[bold]{name}[/bold]")
        spec = load(SPEC, changes)
        results[name] = run(spec, data, home, name=name, progress=Progress(err))
    for part in ("dev", "test"):
        err.print(comparison_table(compare(home, [r.run_id for r in results.values()], part=part)))
    compiled = results["compiled"]
    assert compiled.bundle is not None
    shown = _short(compiled.bundle)
    err.print(
        f"runs: `make ui` shows them in the browser ({home})\nbundle: {shown}\nreuse it in two lines:\n"
        f'  program = ner_programs.load("{shown}")\n'
        f'  entities = program("{NOTE}").entities',
        soft_wrap=True, markup=False,
    )  # fmt: skip
    page = write_report(compiled.run_id, home)
    err.print("\n", marked(ner_programs.load(compiled.bundle)(NOTE).entities), "\n", sep="", soft_wrap=True)
    err.print(f"page: {_short(page)}", soft_wrap=True, markup=False)


def _short(path: Path) -> Path:
    """Return a path as it is named from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    main()
