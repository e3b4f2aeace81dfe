"""The command line. Verbs import what they need when they run: help and completion import neither DSPy nor MLflow."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from experiments.commands import corpora, fuse, kb
from experiments.commands.options import BundleLm, Data, DryRun, Home, Json, Lm, MaxCost, Part, Set, SetLm, Texts, Trust

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="The NER compiler: compile clinical and biomedical NER programs, compare the experiments, reuse the programs.",
)  # fmt: skip

app.add_typer(kb.app, name="kb")
app.add_typer(corpora.app, name="corpora")
app.command("fuse")(fuse.fuse)


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(help="A TOML file; see experiments/specs/.")],
    set: Set = [],  # noqa: B006  # typer copies it
    lm: Lm = None,
    data: Data = None,
    home: Home = None,
    json: Json = False,
    dry_run: DryRun = False,
    max_cost: MaxCost = None,
    traces: Annotated[int, typer.Option(min=0, help="Trace so many dev documents in MLflow (public corpora).")] = 0,
) -> None:
    """Compile a program: corpus, knowledge base, optimizer, evaluation, MLflow, bundle."""
    from experiments.commands import verbs

    verbs.run(spec, set, lm, data, home, json=json, dry_run=dry_run, max_cost=max_cost, traces=traces)


@app.command()
def ablate(
    spec: Annotated[Path, typer.Argument(help="A TOML file; see experiments/specs/.")],
    part: Part = "dev",
    set: Set = [],  # noqa: B006
    lm: Lm = None,
    data: Data = None,
    home: Home = None,
    json: Json = False,
    dry_run: DryRun = False,
    max_cost: MaxCost = None,
) -> None:
    """Switch off each stage and option of a spec in turn: the loss in F1 with its interval, and the saved cost."""
    from experiments.commands import grid as grid_verbs

    grid_verbs.ablate(spec, set, lm, data, home, part=part, json=json, dry_run=dry_run, max_cost=max_cost)


@app.command()
def curve(
    spec: Annotated[Path, typer.Argument(help="A TOML file; see experiments/specs/.")],
    size: Annotated[
        list[int], typer.Option(help="Labelled notes; can be repeated (10, 25, 50, 100, 200, and all).")
    ] = [],  # noqa: B006
    draws: Annotated[int, typer.Option(help="Draws of each size.")] = 10,
    plot: Annotated[Path | None, typer.Option(help="Draw the curve into this file (.svg, .png, .pdf).")] = None,
    set: Set = [],  # noqa: B006
    lm: Lm = None,
    data: Data = None,
    home: Home = None,
    json: Json = False,
    dry_run: DryRun = False,
    max_cost: MaxCost = None,
) -> None:
    """Show how many notes must be annotated: F1 on dev against labelled notes, for the program, a CRF, and both fused."""
    from experiments.commands import grid as grid_verbs

    grid_verbs.curve(
        spec, set, lm, data, home, sizes=size, draws=draws, plot=plot, json=json, dry_run=dry_run, max_cost=max_cost
    )


@app.command()
def paper(
    tables: Annotated[list[str], typer.Argument(help="all, or the names of tables: headline, selectors ...")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The tables go to the folder `paper` in it (else docs/results; with --set or --quick mlruns/results)."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The small form of a table, in minutes (optimizers).")] = False,
    set: Set = [],  # noqa: B006
    lm: Lm = None,
    data: Data = None,
    home: Home = None,
    json: Json = False,
    dry_run: DryRun = False,
    max_cost: MaxCost = None,
) -> None:
    """Regenerate the tables of the paper. Finished grids are not run again."""
    from experiments.commands import paper as paper_verbs

    paper_verbs.paper(tables, set, lm, data, home, out=out, json=json, dry_run=dry_run, max_cost=max_cost, quick=quick)


@app.command()
def compare(
    runs: Annotated[list[str] | None, typer.Argument(help="Run ids, or their first characters.")] = None,
    experiment: Annotated[str | None, typer.Option(help="All finished runs of this experiment.")] = None,
    part: Annotated[str, typer.Option(help="dev or test.")] = "dev",
    out: Annotated[
        Path | None, typer.Option(help="Where the page with the forest plot goes (else mlruns/reports/).")
    ] = None,
    texts: Texts = False,
    data: Data = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Compare runs on the same documents, with the interval of every difference, beside the baselines."""
    from experiments.commands import verbs

    verbs.compare(runs or [], experiment, part, out, home, json=json, texts=texts, data=data)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="A run id, or its first characters.")],
    out: Annotated[Path | None, typer.Option(help="Where the page goes (else mlruns/reports/).")] = None,
    texts: Texts = False,
    data: Data = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Write one run as a page: scores, baselines, trials, errors in the texts, instruction, cost; MLflow keeps a copy."""
    from experiments.commands import verbs

    verbs.report(run, out, home, json=json, texts=texts, data=data)


@app.command()
def annotate(
    bundle: Annotated[str, typer.Argument(help="A bundle folder, runs:/<id> or models:/<name>@<alias>.")],
    inputs: Annotated[list[Path], typer.Argument(help="Files, folders or globs: text, JSON lines, tables, corpora.")],
    format: Annotated[str, typer.Option(help="What the inputs are: text, csv, brat ...; auto: by suffix.")] = "auto",
    column: Annotated[str | None, typer.Option(help="The column of a table that holds the texts.")] = None,
    out: Annotated[Path | None, typer.Option(help="A file of any form, by suffix, or a new BRAT folder.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with the entities in their texts.")] = None,
    review: Annotated[Path | None, typer.Option(help="Write a page of what to look at, most useful first.")] = None,
    lm: BundleLm = None,
    set: SetLm = [],  # noqa: B006
    public: Annotated[bool, typer.Option("--public", help="Any host may get the text, else allowed ones.")] = False,
    trust: Trust = [],  # noqa: B006
    engine: Annotated[str, typer.Option(help="local, or ray: Ray Data on this machine or on RAY_ADDRESS.")] = "local",
    workers: Annotated[
        int | None, typer.Option(help="Processes that annotate (local: 1; ray: one for each core).")
    ] = None,
    home: Home = None,
    dry_run: DryRun = False,
    max_cost: MaxCost = None,
) -> None:
    """Annotate documents with a compiled program; entities carry character offsets. With --out a killed one goes on."""
    from experiments.annotate.inputs import Inputs
    from experiments.commands import annotate as verb

    to = verb.Outputs(out, html, review)
    found = Inputs.of(inputs, format, column, filter(None, (out, html, review)))
    how = verb.How(dry_run, max_cost, engine, workers)
    verb.annotate(bundle, found, to, lm, set, home, public=public, trust=trust, how=how)


@app.command()
def evaluate(
    what: Annotated[
        list[str], typer.Argument(metavar="[BUNDLE] CORPUS", help="A bundle, and a spec or the name of a corpus.")
    ],
    predictions: Annotated[list[Path], typer.Option(help="Score this file, of any other system, instead.")] = [],  # noqa: B006
    fuse: Annotated[
        bool, typer.Option("--fuse", help="Score it fused with labelled texts; see docs/fusion.md.")
    ] = False,
    format: Annotated[str | None, typer.Option(help="What the file is: jsonl, pubtator, conll, brat, bioc ...")] = None,
    label: Annotated[list[str], typer.Option(help="THEIRS=OURS: another name for a label; THEIRS= drops it.")] = [],  # noqa: B006
    experiment: Annotated[str | None, typer.Option(help="Make it a run of this experiment, to compare.")] = None,
    name: Annotated[str | None, typer.Option(help="What that run is called, e.g. BioBERT (else as the file).")] = None,
    part: Annotated[str, typer.Option(help="dev or test.")] = "dev",
    lm: BundleLm = None,
    set: SetLm = [],  # noqa: B006
    trust: Trust = [],  # noqa: B006
    data: Data = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Score a bundle, or any other system's predictions, on a corpus: the same figures for all."""
    from experiments.commands import evaluate as evaluate_verbs

    if not predictions:
        if fuse:
            raise typer.BadParameter(
                "--fuse is for --predictions; a program fuses with program.verify = { name = 'fuse' }"
            )
        opened = evaluate_verbs.Opened(lm, tuple(set), tuple(trust))
        evaluate_verbs.bundle(what, opened, part, data, home, json=json)
    else:
        given = evaluate_verbs.Given(tuple(predictions), format, tuple(label), experiment, name, fuse)
        evaluate_verbs.predictions(what, given, part, data, home, json=json)


@app.command()
def finetune(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A spec or the name of a corpus.")],
    out: Annotated[Path, typer.Option(help="A new folder for train.jsonl and dev.jsonl.")],
    set: Set = [],  # noqa: B006
    data: Data = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Write train and dev as chat messages, to fine-tune a model on the prompts that nerc sends without demonstrations."""
    from experiments.commands import finetune as finetuning_verbs

    finetuning_verbs.finetune(spec, out, set, data, home, json=json)


@app.command("list")
def list_(
    kind: Annotated[
        str, typer.Argument(help="corpora, formats, demos, retrievers, sources, optimizers, lms, verifiers, runs")
    ],
    home: Home = None,
    json: Json = False,
) -> None:
    """List the components of a kind, or the runs."""
    from experiments.commands import verbs

    verbs.list_kind(kind, home, json=json)


@app.command()
def cache(
    remove: Annotated[str | None, typer.Option(help="Remove the recorded answers of one corpus, or `all`.")] = None,
    json: Json = False,
) -> None:
    """Show, or remove, the recorded LM answers: one folder a corpus, readable by you alone."""
    from experiments.commands import verbs

    verbs.cache(remove, json=json)


@app.command()
def doctor(data: Data = None, home: Home = None, json: Json = False) -> None:
    """Check the installation, the folders and the environment."""
    from experiments.commands import verbs

    verbs.doctor(data, home, json=json)


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="A run id, or its first characters.")],
    out: Annotated[
        Path | None, typer.Option(help="Write the run's bundle, with its knowledge base, to this folder.")
    ] = None,
    register: Annotated[str | None, typer.Option(help="Register it in MLflow as NAME@ALIAS.")] = None,
    home: Home = None,
) -> None:
    """Take a compiled program out of a run: as a bundle folder, or as a name in MLflow's registry."""
    from experiments.commands import verbs

    verbs.export(run, out, register, home)


def main() -> None:
    """Run the command line. A user's error is one line on stderr and exit code 2.

    Of a fault of nerc's own it says where and what kind (exit code 1), but not what the error says: that may quote a text.
    """
    from experiments import places

    places.prepare_environment()
    try:
        app()
    except Exception as error:
        from experiments.errors import one_line

        message = one_line(error) if isinstance(error, ValueError | OSError) else None
        if message is not None:
            typer.echo(f"nerc: {message}", err=True)
            sys.exit(2)
        place = "".join(traceback.format_tb(error.__traceback__))
        typer.echo(f"{place}nerc: a fault of nerc itself: {type(error).__name__}, in the last place above", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
