"""Options that several verbs of the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")]
Data = Annotated[Path | None, typer.Option(help="Data directory (else NERC_DATA, else the user's cache).")]
Home = Annotated[Path | None, typer.Option(help="The mlruns folder (else NERC_HOME, else ./mlruns).")]
Set = Annotated[list[str], typer.Option("--set", help="Change a setting of the spec: program.demos.k=32")]
BundleLm = Annotated[str | None, typer.Option("--lm", help="Another language model than the bundle was compiled with.")]
SetLm = Annotated[list[str], typer.Option("--set", help="An option of the language model: lm.api_base=http://...")]
Trust = Annotated[list[str], typer.Option("--trust", help="A package of yours whose components the bundle names.")]
Lm = Annotated[str | None, typer.Option("--lm", help="A language model, e.g. openai/gpt-4.1-mini.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print calls, tokens and money; send nothing.")]
MaxCost = Annotated[float | None, typer.Option(min=0, help="Stop before spending more US dollars than this.")]
Part = Annotated[str, typer.Option(help="dev or test.")]
Texts = Annotated[
    bool,
    typer.Option(
        "--texts", help="With the texts of dev, instruction and prompts: a page for you alone, not in MLflow."
    ),
]
