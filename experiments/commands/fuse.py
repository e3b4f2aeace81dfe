"""`nerc fuse`: better predictions from anyone's, with one's own labelled texts and without an LM."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.commands.options import Data, Home, Json

Predictions = Annotated[
    list[Path], typer.Option(help="A file of predictions; several are several experts.", show_default=False)
]
LEARNED = {
    "train": "learned from {units} texts of train that have predictions; the gold of {part} was not looked at",
    "other parts": "learned from {units} texts of train and dev that have predictions; the gold of {part} was not looked at",
    "folds": "learned from {units} texts of {part} in folds: what answered a text saw neither its gold nor its group's",
    "nothing": "too little is labelled to learn from: {units} texts with predictions; the predictions stay as they are",
}


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
        from experiments import fusing
        from experiments.commands.evaluate import Given, files_of, spec_of

        files = files_of(Given(tuple(predictions), format, tuple(label)))
        fusing.check(files, part, out)
        found = fusing.fused(spec_of(corpus), files, part, places.data_directory(data), places.home(home))
        lost = fusing.write(found, out) if out is not None else ()
    said = {**found.figures, "out": None if out is None else str(out), "not_carried": list(lost)}
    tell(said)
    if out is not None:
        err.print(f"{out}", *lost, sep="\n", soft_wrap=True, markup=False)
    if json:
        print_json(said)


def tell(said: dict[str, Any]) -> None:
    """Print the figures for people."""
    from experiments.commands.console import err
    from experiments.commands.tables import fused_table

    for remark in said["remarks"]:
        err.print(remark, soft_wrap=True, markup=False)
    learned = said["learned"]
    err.print(LEARNED[learned["from"]].format(part=said["part"], units=learned["units"]), soft_wrap=True, markup=False)
    err.print(fused_table(said))
    if learned["from"] == "nothing":
        return
    sure, changes = said["sure"], dict(said["changes"])
    if sure["entities"]:
        precise = f"{sure['precision']:.3f} of {sure['entities']} entities"
        err.print(f"precision at a score of at least {sure['at_least']}: {precise}", markup=False)
    if said["calibration_error"] is not None:
        err.print(f"expected calibration error of the scores, ten bins: {said['calibration_error']:.3f}", markup=False)
    of = changes.pop("of")
    counts = ", ".join(f"{what} {n['number']} ({n['right']} right)" for what, n in changes.items())
    err.print(f"what changed of {of}: {counts}", soft_wrap=True, markup=False)
