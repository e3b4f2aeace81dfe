"""`nerc fuse`: improves the predictions of any system with labelled texts, without an LM."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
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
    from experiments import places
    from experiments.commands.console import err, print_json

    with redirect_stdout(sys.stderr):
        from experiments.commands.evaluate import Given, files_of
        from experiments.commands.tables import print_fused
        from experiments.predictions import fusing
        from experiments.spec import spec_of

        files = files_of(Given(tuple(predictions), format, tuple(label)))
        fusing.check(files, part, out)
        found = fusing.fused(spec_of(corpus), files, part, places.data_directory(data), places.home(home))
        lost = fusing.write(found, out) if out is not None else ()
    output = {**found.figures, "out": None if out is None else str(out), "not_carried": list(lost)}
    print_fused(output)
    if out is not None:
        err.print(f"{out}", *lost, sep="\n", soft_wrap=True, markup=False)
    if json:
        print_json(output)
