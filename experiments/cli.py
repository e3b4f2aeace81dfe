"""The command line. Help and completion import neither DSPy nor MLflow: every verb imports what it needs when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="The NER compiler: compile clinical and biomedical NER programs, compare the experiments, reuse the programs.",
)  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")]
Data = Annotated[Path | None, typer.Option(help="Data directory (else NERC_DATA, else the user's cache).")]
Home = Annotated[Path | None, typer.Option(help="The mlruns folder (else NERC_HOME, else ./mlruns).")]
Set = Annotated[list[str], typer.Option("--set", help="Change a setting of the spec: program.demos.k=32")]
BundleLm = Annotated[str | None, typer.Option("--lm", help="Another language model than the bundle was compiled with.")]
SetLm = Annotated[list[str], typer.Option("--set", help="An option of the language model: lm.api_base=http://...")]
Trust = Annotated[list[str], typer.Option("--trust", help="A package of yours whose components the bundle names.")]
Lm = Annotated[str | None, typer.Option("--lm", help="A language model, e.g. openai/gpt-4.1-mini.")]


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(help="A TOML file; see experiments/specs/.")],
    set: Set = [],  # noqa: B006  # typer copies it
    lm: Lm = None,
    data: Data = None,
    home: Home = None,
    json: Json = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print calls, tokens and money; send nothing.")] = False,
    max_cost: Annotated[float | None, typer.Option(help="Stop before spending more US dollars than this.")] = None,
) -> None:
    """Compile a program: corpus, knowledge base, optimizer, evaluation, MLflow, bundle."""
    from experiments import verbs

    verbs.run(spec, set, lm, data, home, json=json, dry_run=dry_run, max_cost=max_cost)


@app.command()
def compare(
    runs: Annotated[list[str] | None, typer.Argument(help="Run ids, or their first characters.")] = None,
    experiment: Annotated[str | None, typer.Option(help="All finished runs of this experiment.")] = None,
    part: Annotated[str, typer.Option(help="dev or test.")] = "dev",
    home: Home = None,
    json: Json = False,
) -> None:
    """Compare runs on the same documents, with the interval of every difference, beside the floors."""
    from experiments import verbs

    verbs.compare(runs or [], experiment, part, home, json=json)


@app.command()
def annotate(
    bundle: Annotated[str, typer.Argument(help="A bundle folder, runs:/<id> or models:/<name>@<alias>.")],
    inputs: Annotated[list[Path], typer.Argument(help="Text files (one document each) or JSON lines.")],
    format: Annotated[str, typer.Option(help="auto, text or jsonl.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Where to write JSON lines; default: stdout.")] = None,
    lm: BundleLm = None,
    set: SetLm = [],  # noqa: B006
    public: Annotated[bool, typer.Option("--public", help="The text may go to any host; else it is private.")] = False,
    trust: Trust = [],  # noqa: B006
    home: Home = None,
) -> None:
    """Annotate documents with a compiled program; entities carry character offsets."""
    from experiments import verbs

    verbs.annotate(bundle, inputs, format, out, lm, set, home, public=public, trust=trust)


@app.command()
def evaluate(
    what: Annotated[
        list[str], typer.Argument(metavar="[BUNDLE] CORPUS", help="A bundle, and a spec whose [corpus] is scored.")
    ],
    predictions: Annotated[Path | None, typer.Option(help="Score these JSON lines instead of a bundle.")] = None,
    part: Annotated[str, typer.Option(help="dev or test.")] = "dev",
    lm: BundleLm = None,
    set: SetLm = [],  # noqa: B006
    trust: Trust = [],  # noqa: B006
    data: Data = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Score a bundle, or anyone's predictions (JSON lines with id, text, entities), on the corpus of a spec."""
    from experiments import verbs

    verbs.evaluate(what, predictions, part, lm, set, data, home, trust=trust, json=json)


@app.command("list")
def list_(
    kind: Annotated[
        str, typer.Argument(help="corpora, formats, demos, retrievers, sources, optimizers, lms, verifiers, runs")
    ],
    home: Home = None,
    json: Json = False,
) -> None:
    """List what there is of a kind."""
    from experiments import verbs

    verbs.list_kind(kind, home, json=json)


@app.command()
def cache(
    remove: Annotated[str | None, typer.Option(help="Remove the recorded answers of one corpus, or `all`.")] = None,
    json: Json = False,
) -> None:
    """Show, or remove, the recorded LM answers: one folder a corpus, readable by you alone."""
    from experiments import verbs

    verbs.cache(remove, json=json)


@app.command()
def doctor(data: Data = None, home: Home = None, json: Json = False) -> None:
    """Check the installation, the folders and the environment."""
    from experiments import verbs

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
    from experiments import verbs

    verbs.export(run, out, register, home)


kb_app = typer.Typer(no_args_is_help=True, help="Build a knowledge base, and look into one.")
app.add_typer(kb_app, name="kb")
Folder = Annotated[Path, typer.Argument(help="The folder of a knowledge base.")]


@kb_app.command("build")
def kb_build(
    what: Annotated[
        list[Path],
        typer.Argument(metavar="SPEC|FILE...", help="A spec with a [kb], or .obo, .json, gene_info, UMLS ..."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    data: Data = None,
    json: Json = False,
) -> None:
    """Build a knowledge base from a spec's [kb], or from files, and write it to a folder."""
    from experiments import kb_verbs

    kb_verbs.build(what, out, data, json=json)


@kb_app.command("info")
def kb_info(folder: Folder, json: Json = False) -> None:
    """Say what is in a knowledge base, and what was dropped or looked odd when it was built."""
    from experiments import kb_verbs

    kb_verbs.info(folder, json=json)


@kb_app.command("lookup")
def kb_lookup(
    folder: Folder,
    text: Annotated[str, typer.Argument(help="A mention, or a text that may hold names.")],
    json: Json = False,
) -> None:
    """Rank the concepts that a text may mean, and show the names that are found in it."""
    from experiments import kb_verbs

    kb_verbs.lookup(folder, text, json=json)


@kb_app.command("walk")
def kb_walk(
    folder: Folder,
    id: Annotated[str, typer.Argument(help="The id of a concept.")],
    hops: Annotated[int, typer.Option(min=0, help="At most so many steps away.")] = 1,
    relations: Annotated[str | None, typer.Option(help="Only these, with commas between; default: all.")] = None,
    direction: Annotated[str, typer.Option(help="out (head to tail), in, or both.")] = "out",
    json: Json = False,
) -> None:
    """Show the concepts around one, each with the relations that lead there."""
    from experiments import kb_verbs

    kb_verbs.walk(folder, id, hops, relations, direction, json=json)


def main() -> None:
    """Run the command line; what a user can mend is one line on stderr and exit code 2."""
    from experiments import places

    places.prepare_environment()
    try:
        app()
    except (ValueError, OSError) as error:
        from experiments.failures import said

        message = said(error)
        if message is None:
            raise
        typer.echo(f"nerc: {message}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
