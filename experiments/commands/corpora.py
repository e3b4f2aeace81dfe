"""`nerc corpora`: shows the content of a corpus, and fetches a public one. Verbs import what they need when they run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.commands.options import Data, Json, Set
from experiments.errors import SpecError

if TYPE_CHECKING:
    from rich.table import Table

    from experiments.corpora.published import Published
    from experiments.spec import RunSpec
    from ner_programs.privacy import Privacy

app = typer.Typer(no_args_is_help=True, help="Look at a corpus, or fetch a public one.")
PACKAGE = "experiments.corpora"


@app.command("show")
def show(
    what: Annotated[str, typer.Argument(metavar="NAME|SPEC", help="A named corpus, or a spec with a [corpus].")],
    set: Set = [],  # noqa: B006  # typer copies it
    data: Data = None,
    json: Json = False,
) -> None:
    """Show the size of a corpus, its labels and mentions, and the overlap and leakage between its parts."""
    from experiments import places, setup
    from experiments.commands.console import err, print_json
    from experiments.corpora.statistics import statistics

    corpus = setup.read_corpus(_spec(what, set), places.data_directory(data))
    output = statistics(corpus)
    err.print(_table(output, corpus.privacy))
    for key in ("licence", "citation"):
        if output[key]:
            err.print(f"{key}: {output[key]}", markup=False)
    for remark in output["remarks"]:
        err.print(f"remark: {remark}", markup=False)
    if json:
        print_json(output)


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(help="A public corpus; `nerc list corpora` has the names.")],
    data: Data = None,
    json: Json = False,
) -> None:
    """Fetch a public corpus into the data directory; each file is checked against its pinned SHA-256."""
    from experiments import places
    from experiments.commands.console import err, print_json
    from experiments.corpora import fetch
    from experiments.runs.progress import Progress

    files, about = fetch.pins(name), _about(name)
    if not files or about is None:
        why = about.ask if about and about.ask else "it is no public corpus that can be fetched"
        raise SpecError(f"{name}: {why}; these can be: {', '.join(fetch.names())}")

    data = places.data_directory(data)
    err.print(f"{name}: {about.licence}\ncite: {about.citation}", markup=False)
    lacking = fetch.missing(files, data)
    size = sum(pin.size for pin in lacking)
    if lacking:
        with Progress(err).step(f"fetching {len(lacking)} files, {size / 1e6:.1f} MB", len(lacking)) as tick:
            fetch.fetch(lacking, data, tick)
    err.print(
        f"{len(lacking)} files fetched, {len(files) - len(lacking)} were there: {data / 'corpora' / about.folder}\n"
        f"look at it: nerc corpora show {name}",
        soft_wrap=True,
        markup=False,
    )
    if json:
        folder = str(data / "corpora" / about.folder)
        kept = len(files) - len(lacking)
        print_json({"name": name, "folder": folder, "fetched": len(lacking), "kept": kept, "bytes": size})


def _spec(what: str, changes: Sequence[str]) -> RunSpec:
    """Return the spec in a file, or a spec with only a corpus's name."""
    from experiments import settings
    from experiments.spec import checked, load
    from ner_programs.components import names

    if what not in names(PACKAGE):
        if not Path(what).suffix:
            raise SpecError(
                f"{what}: neither a spec (a .toml file) nor a corpus; there are: {', '.join(names(PACKAGE))}"
            )
        return load(Path(what), changes)
    tables: dict[str, Any] = {"corpus": {"name": what}}
    for change in changes:
        settings.change(tables, change)
    return checked(tables, Path(what))


def _about(name: str) -> Published | None:
    """Return the description of a published corpus. Raises UnknownComponent for an unknown corpus or reader."""
    from ner_programs.components import module

    return getattr(module(PACKAGE, name), "ABOUT", None)


def _table(output: dict[str, Any], privacy: Privacy) -> Table:
    """Return sizes, labels, mentions and overlaps, with a column for each part."""
    from rich.markup import escape
    from rich.table import Table

    from experiments.corpora.corpus import PARTS
    from experiments.corpora.statistics import LONG

    parts = [part for part in PARTS if part in output["splits"]]
    table = Table(title=f"{escape(output['name'])} ({privacy}, rows are {output['rows']})", title_justify="left")
    table.add_column("")
    for part in parts:
        table.add_column(part, justify="right")

    def row(what: str, key: str, *inner: str) -> None:
        table.add_row(escape(what), *(_cell(_value(output["splits"][part], key, *inner)) for part in parts))

    for key in ("documents", "sentences", "tokens", "mentions"):
        row(key, key)
    table.add_section()
    for label in _labels(output):
        row(label, "labels", label)
    table.add_section()
    row("words in a mention, mean", "words", "mean")
    for key in ("discontinuous", "overlapping"):
        table.add_row(key, *(_share(output["splits"][part], key) for part in parts))
    row("lost where mentions must be flat", "not_flat")
    row(f"duplicate {output['rows']}", "duplicates")
    row("same text, labelled differently", "conflicting")
    table.add_section()
    shared = [output["overlap"].get(f"train/{part}") for part in parts]
    table.add_row(
        "mentions unseen in train", *(f"{s['unseen_share']:.1%}" if s and s["mentions"] else "" for s in shared)
    )
    for one in parts[:-1]:
        same = [output["leakage"].get(f"{one}/{other}") for other in parts]
        cells = (f"{s['identical']:,} ({s['identical_long']} of {LONG} tokens or more)" if s else "" for s in same)
        table.add_row(f"{output['rows']} that {one} has too", *cells)
    return table


def _labels(output: dict[str, Any]) -> list[str]:
    """Return the labels of all parts, the most frequent first."""
    counts: dict[str, int] = {}
    for split in output["splits"].values():
        for label, count in split["labels"].items():
            counts[label] = counts.get(label, 0) + count
    return sorted(counts, key=lambda label: -counts[label])


def _value(split: dict[str, Any], key: str, *inner: str) -> Any:
    return split[key].get(inner[0], 0) if inner else split[key]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def _share(split: dict[str, Any], key: str) -> str:
    return f"{split[key]:,} ({split[f'{key}_share']:.1%})" if split[key] else "0"
