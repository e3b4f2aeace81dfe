"""The command line of `nerc fuse`. It imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.commands.options import Data, Home, Json

Predictions = Annotated[
    list[Path], typer.Option(help="A file of predictions; several are several experts.", show_default=False)
]


def fuse(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="A spec, or the name of a corpus.")],
    predictions: Predictions,
    out: Annotated[
        Path | None, typer.Option(help="Where the fused predictions go, in the form of the first file.")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="What the files are: jsonl, pubtator, conll, brat, bioc ...")
    ] = None,
    label: Annotated[list[str], typer.Option(help="THEIRS=OURS: another name for a label; THEIRS= drops it.")] = [],  # noqa: B006
    part: Annotated[str, typer.Option(help="dev or test.")] = "dev",
    data: Data = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Improve the predictions of any system with labelled texts of your own, without an LM call; see docs/fusion.md."""
    from experiments.commands import fuse as fuse_verb
    from experiments.commands.evaluate import Given

    fuse_verb.fuse(corpus, Given(tuple(predictions), format, tuple(label)), part, out, data, home, json=json)
