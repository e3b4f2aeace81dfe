"""The implementation of the verbs of the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from experiments import places
from experiments.commands.console import err, print_json
from experiments.errors import ReadError, SpecError
from experiments.grids.cells import load_grid
from experiments.spec import load

KINDS = {
    "corpora": "experiments.corpora", "formats": "ner_programs.formats", "demos": "ner_programs.demos",
    "retrievers": "kb.retrievers", "sources": "kb.sources", "verifiers": "ner_programs.verifiers", "optimizers": "optimizers",
    "lms": "ner_programs.lms", "attributes": "ner_programs.attributes",
}  # fmt: skip

WITH_TEXTS = " (with texts: it can be read by you alone, and is not in MLflow)"
PACKAGES = ("nerc", "dspy", "mlflow", "networkx", "rapidfuzz", "python-crfsuite", "scikit-learn", "datasets", "seqeval")
KEYS = ("OPENAI_API_KEY", "AZURE_API_KEY", "ANTHROPIC_API_KEY", "HOSTED_VLLM_API_KEY")


def run(
    path: Path, changes: Sequence[str], lm: str | None, data: Path | None, home: Path | None, *, json: bool, dry_run: bool,
    max_cost: float | None, traces: int = 0,
) -> None:  # fmt: skip
    """Run a spec, or estimate its cost. A spec with a [grid] runs all its cells."""
    data, home = places.data_directory(data), places.home(home)
    if (grid := load_grid(path, changes, lm)) is not None:
        if traces:
            raise SpecError("--traces is for a single run, and this spec has a [grid]")
        from experiments.commands import grid as grid_verbs

        grid_verbs.run(grid, data, home, json=json, dry_run=dry_run, max_cost=max_cost)
        return
    spec = load(path, changes, lm)
    if spec.kb and any(source.get("name") == "gazetteer" for source in spec.kb.sources):
        err.print(
            "the knowledge base holds mentions of train: its dictionary is no baseline without labels (decision 0010)"
        )
    with redirect_stdout(sys.stderr):  # stdout has only our JSON, whatever libraries print
        from experiments.commands import traces as tracing
        from experiments.commands.tables import estimate_table, result_table
        from experiments.reference_run import run as run_spec
        from experiments.reports.report import write as write_report
        from experiments.runs.estimate import estimate
        from experiments.runs.progress import Progress

        if traces:
            tracing.check(spec, data)
        if dry_run:
            plan = estimate(spec, data, home)
            err.print(estimate_table(plan))
            output = plan.as_dict()
        else:
            result = run_spec(spec, data, home, max_cost=max_cost, progress=Progress(err))
            err.print(result_table(result, spec.engine))
            reuse = f'  program = ner_programs.load("{result.bundle}")\n  entities = program(text).entities'
            page = write_report(result.run_id, home)
            if traces:
                err.print(f"traces: {tracing.write(spec, result, data, home, traces)} dev documents, in MLflow")
            where = f"run {result.run_id} in {home}\npage: {page}\nreuse it:\n{reuse}"
            err.print(where, soft_wrap=True, markup=False)
            output = result.as_dict()
    if json:
        print_json(output)


def compare(
    runs: Sequence[str], experiment: str | None, part: str, out: Path | None, home: Path | None, *, json: bool,
    texts: bool = False, data: Path | None = None,
) -> None:  # fmt: skip
    """Compare runs. With `texts` the page has the dev texts, for its owner alone."""
    if bool(runs) == bool(experiment):
        raise SpecError("compare wants either run ids or --experiment NAME")
    check_part(part)
    from experiments.commands.tables import comparison_table
    from experiments.comparison import compare as compare_runs
    from experiments.reports import comparison as comparison_page

    with redirect_stdout(sys.stderr):
        comparison = compare_runs(places.home(home), runs, experiment, part)
        page = (
            comparison_page.write_texts(comparison, places.home(home), places.data_directory(data), out)
            if texts
            else comparison_page.write(comparison, places.home(home), out)
        )
    err.print(comparison_table(comparison))
    err.print(f"forest plot: {page}{WITH_TEXTS if texts else ''}", soft_wrap=True, markup=False)
    if json:
        print_json(comparison.as_dict())


def report(
    run: str, out: Path | None, home: Path | None, *, json: bool, texts: bool = False, data: Path | None = None
) -> None:
    """Write the page of a run. With `texts` it has the dev texts, for its owner alone."""
    with redirect_stdout(sys.stderr):
        from experiments.reports.report import write, write_texts

        there = places.home(home)
        page = write_texts(run, there, places.data_directory(data), out) if texts else write(run, there, out)
    err.print(f"{page}{WITH_TEXTS if texts else ''}", soft_wrap=True, markup=False)
    if json:
        print_json({"page": str(page)})


def list_kind(kind: str, home: Path | None, *, json: bool) -> None:
    """List components, or runs."""
    if kind == "runs":
        from experiments.runs.run_list import list_runs

        rows = list_runs(places.home(home))
        if json:
            print_json({"runs": rows})
        else:
            for row in rows:
                dev = "-" if row["dev_f1"] is None else f"{row['dev_f1']:.3f}"
                print(row["run_id"][:8], row["experiment"], row["name"], f"dev {dev}", sep="\t")
        return
    if kind not in KINDS:
        raise SpecError(f"there is no kind {kind!r}; there are: {', '.join([*KINDS, 'runs'])}")
    from ner_programs.components import names

    found = names(KINDS[kind])
    if json:
        print_json({kind: found})
    else:
        print(*found, sep="\n")


def cache(remove: str | None, *, json: bool) -> None:
    """Show or remove recorded answers."""
    import shutil

    root = places.cache() / "answers"
    folders = (
        {f.name: sum(p.stat().st_size for p in f.rglob("*")) for f in sorted(root.iterdir())} if root.is_dir() else {}
    )
    if remove is not None:
        gone = [name for name in folders if remove in (name, "all")]
        if not gone:
            raise SpecError(f"there are no recorded answers {remove!r}; there are: {', '.join(folders) or 'none'}")
        for name in gone:
            shutil.rmtree(root / name)
            folders.pop(name)
    if json:
        print_json({"folder": str(root), "bytes": folders})
    else:
        err.print(f"{root}", soft_wrap=True, markup=False)
        for name, size in folders.items():
            print(f"{name}\t{size / 1e6:.1f} MB")


def doctor(data: Path | None, home: Path | None, *, json: bool) -> None:
    """Show the installed libraries, the folders and the environment."""
    rows = checkup(places.data_directory(data), places.home(home))
    for row in rows:
        err.print("[green]ok[/green]  " if row["ok"] else "[red]no[/red]  ", end="")
        err.print(f"{row['what']}: {row['found']}", soft_wrap=True, markup=False)
    if json:
        print_json({"checks": rows})
    if not all(row["ok"] for row in rows if row["needed"]):
        raise SpecError("something that nerc needs is missing; see the lines above")


def export(run: str, out: Path | None, register: str | None, home: Path | None) -> None:
    """Write a run's bundle to a folder, or register it."""
    if out is None and register is None:
        raise SpecError("export wants --out FOLDER, --register NAME@ALIAS, or both")
    name, at, alias = (register or "").partition("@")
    if register is not None and not (name and at and alias):
        raise SpecError(f"--register {register}: write it as NAME@ALIAS")
    from experiments.runs import registry

    if out is not None:
        err.print(f"{registry.export(run, out, home)}", soft_wrap=True, markup=False)
    if register is not None:
        version = registry.register(run, name, alias, home)
        err.print(f"models:/{name}@{alias} is version {version}", markup=False)


def check_part(part: str) -> None:
    """Raise an error for a part other than dev or test."""
    if part not in ("dev", "test"):
        raise ReadError(f"--part {part}: it is dev or test")


def checkup(data: Path, home: Path) -> list[dict[str, Any]]:
    """Return a row for each check: `what`, `found`, whether it is `ok`, and whether nerc `needed` it."""
    rows = [_row("Python", sys.version.split()[0], sys.version_info >= (3, 11))]
    for package in PACKAGES:
        try:
            rows.append(_row(package, version(package), True))
        except PackageNotFoundError:
            rows.append(_row(package, "not installed", False))
    there = data.is_dir()
    rows.append(
        _row("data directory", str(data) if there else f"{data} (not there; only the sample runs)", there, False)
    )
    writable = os.access(home if home.exists() else home.parent, os.W_OK)
    rows.append(_row("mlruns", str(home), writable))
    for key in KEYS:
        rows.append(_row(key, "set" if os.environ.get(key) else "not set", bool(os.environ.get(key)), False))
    return rows


def _row(what: str, found: str, ok: bool, needed: bool = True) -> dict[str, Any]:
    return {"what": what, "found": found, "ok": ok, "needed": needed}
