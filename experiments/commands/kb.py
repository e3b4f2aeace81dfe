"""`nerc kb`: builds a knowledge base from a spec or from files, and looks into one. Verbs import what they need."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.commands.options import Data, Json
from experiments.errors import SpecError

if TYPE_CHECKING:
    from rich.table import Table

    from kb import KnowledgeBase, Reached

app = typer.Typer(no_args_is_help=True, help="Build a knowledge base, and look into one.")
Folder = Annotated[Path, typer.Argument(help="The folder of a knowledge base.")]
SHOWN = 30  # rows of a table; the JSON has all
_READERS: dict[str, Callable[[Path], bool]] = {
    "rrf": lambda path: any((path / name).is_file() for name in ("MRCONSO.RRF", "MRCONSO.RRF.gz")),
    "mesh": lambda path: all((path / name).is_file() for name in ("terms.tsv", "tree-numbers.tsv")),
    "obo": lambda path: _unpacked(path).endswith(".obo"),
    "obograph": lambda path: _unpacked(path).endswith(".json"),
    "sssom": lambda path: _unpacked(path).endswith(".sssom.tsv"),
    "gene_info": lambda path: _unpacked(path).endswith("gene_info"),
}
_OPTIONS = {"tsv": 'columns = { id = "...", name = "..." }', "csv": 'columns = { id = "...", name = "..." }'}


@app.command("build")
def build(
    what: Annotated[
        list[Path],
        typer.Argument(metavar="SPEC|FILE...", help="A spec with a [kb], or .obo, .json, gene_info, UMLS ..."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")],
    data: Data = None,
    json: Json = False,
) -> None:
    """Build a knowledge base from a spec's [kb], or from files, and write it to a folder."""
    from experiments import knowledge, places
    from experiments.commands.console import err, print_json
    from experiments.spec import Knowledge, load
    from kb import write_kb
    from kb.store.folder import HEADER

    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / HEADER).is_file()):
        raise SpecError(f"--out {out}: something other than a knowledge base is there; it was left alone")
    data, began, corpus = places.data_directory(data), time.monotonic(), None
    if len(what) == 1 and what[0].suffix == ".toml":
        run = load(what[0])
        if run.kb is None:
            raise SpecError(f"{what[0]}: it has no [kb] table with `sources`")
        if knowledge.needs_train(run.kb):
            from experiments.setup import open_corpus

            corpus = open_corpus(run, data)
        spec = run.kb
    else:
        spec = Knowledge(sources=[{"name": _reader(path), "path": str(path)} for path in what])
    kb = knowledge.build(knowledge.open_sources(spec.sources, data, corpus), spec.merge)
    folder = write_kb(kb, out)
    if corpus is not None:
        corpus.privacy.seal(folder)
    seconds = round(time.monotonic() - began, 2)
    _describe(folder, kb)
    err.print(f"built in {seconds} s: {folder}", soft_wrap=True, markup=False)
    if json:
        print_json({"folder": str(folder), **kb.describe(), "seconds": seconds})


@app.command("info")
def info(folder: Folder, json: Json = False) -> None:
    """Show the content of a knowledge base, and the warnings from building it."""
    from experiments.commands.console import print_json
    from kb import open_kb

    kb = open_kb(folder)
    _describe(folder, kb)
    if json:
        print_json({"folder": str(folder), **kb.describe()})


@app.command("lookup")
def lookup(
    folder: Folder,
    text: Annotated[str, typer.Argument(help="A mention, or a text that may hold names.")],
    json: Json = False,
) -> None:
    """Rank the concepts for a mention, and show the names found in a text."""
    from experiments.commands.console import err, print_json
    from kb import open_kb
    from kb.linking import Linker

    kb = open_kb(folder)
    links = [{**_concept(kb, x.concept), "score": round(x.score, 4), "how": x.how} for x in Linker(kb).link(text)]
    found: list[dict[str, Any]] = [
        {"start": m.start, "end": m.end, "text": m.text, "concepts": [_concept(kb, id) for id in m.concepts]}
        for m in kb.names.find(text)
    ]
    err.print(_table("as one mention", ("id", "name", "type", "score", "how"), [list(link.values()) for link in links]))
    rows = [[f"{m['start']}-{m['end']}", m["text"], *c.values()] for m in found for c in m["concepts"]]
    err.print(_table("names in it", ("characters", "text", "id", "name", "type"), rows))
    if json:
        print_json({"text": text, "links": links, "found": found})


@app.command("walk")
def walk(
    folder: Folder,
    id: Annotated[str, typer.Argument(help="The id of a concept.")],
    hops: Annotated[int, typer.Option(min=0, help="At most so many steps away.")] = 1,
    relations: Annotated[str | None, typer.Option(help="Only these, with commas between; default: all.")] = None,
    direction: Annotated[str, typer.Option(help="out (head to tail), in, or both.")] = "out",
    json: Json = False,
) -> None:
    """Show the concepts near a concept, each with the path of relations to it."""
    from experiments.commands.console import err, print_json
    from kb import open_kb

    kb = open_kb(folder)
    names = None if relations is None else [name.strip() for name in relations.split(",")]
    reached = kb.walk(id, hops, names, direction)  # type: ignore[arg-type]  # `walk` reports an unknown direction
    rows = [[*_concept(kb, r.id).values(), _path(kb, id, r)] for r in reached]
    err.print(_table(f"{id} {kb[id].name}", ("id", "name", "type", "way"), rows))
    if json:
        output = [{**_concept(kb, r.id), "path": [[e.head, e.name, e.tail] for e in r.path]} for r in reached]
        print_json({**_concept(kb, id), "reached": output})


def _reader(path: Path) -> str:
    """Return the source that reads a file or folder, by the file's name."""
    found = next((name for name, fits in _READERS.items() if fits(path)), None)
    if found is None:
        if path.suffix == ".toml":
            raise SpecError("kb build wants one spec, or files")
        kind = Path(_unpacked(path)).suffix.removeprefix(".")
        options = _OPTIONS.get(kind, 'name = "..."')
        source = (
            f'{{ name = "tsv", path = "{path}", {options} }}'
            if kind in _OPTIONS
            else f'{{ {options}, path = "{path}" }}'
        )
        raise SpecError(
            f"{path}: its name does not say how it is read (.obo, .json, .sssom.tsv, gene_info, a folder of UMLS or MeSH do); "
            f"name the reader in a spec: [kb] sources = [{source}]; `nerc list sources` has them"
        )
    return found


def _unpacked(path: Path) -> str:
    return path.name.removesuffix(".gz")


def _describe(folder: Path, kb: KnowledgeBase) -> None:
    from experiments.commands.console import err

    output = kb.describe()
    rows: list[list[Any]] = [
        [key.replace("_", " "), output[key]] for key in ("concepts", "relations", "names", "names_sought")
    ]
    rows.append(["MB", f"{output['bytes'] / 1e6:.1f}"])
    for title, counts in (
        ("type", output["types"]),
        ("relation", output["relation_names"]),
        ("warning", output["report"]),
    ):
        rows += [[f"{title}: {name or '(none)'}", count] for name, count in counts.items()]
    err.print(_table(f"{folder} {output['fingerprint']}", ("", ""), rows))


def _concept(kb: KnowledgeBase, id: str) -> dict[str, Any]:
    concept = kb[id]
    return {"id": id, "name": concept.name, "type": concept.type}


def _path(kb: KnowledgeBase, start: str, reached: Reached) -> str:
    """Format a path: "is_a > A < part_of" follows a relation, then goes against one."""
    steps, here = list[str](), start
    for edge in reached.path:
        along = edge.head == here
        here = edge.tail if along else edge.head
        steps.append(f"{'> ' if along else '< '}{edge.name} {kb[here].name or here}")
    return " ".join(steps)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    caption = f"and {len(rows) - SHOWN} more; --json has all" if len(rows) > SHOWN else None
    table = Table(title=escape(title), caption=caption, title_justify="left", show_header=any(columns))
    for column in columns:
        table.add_column(column, justify="right" if column == "score" else "left")
    for row in rows[:SHOWN]:
        table.add_row(*(escape(str(cell)) for cell in row))
    return table
