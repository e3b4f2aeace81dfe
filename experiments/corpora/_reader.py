"""Common parts of all readers: options, building a corpus from files, and JSON validation. Errors never quote texts."""

from __future__ import annotations

import inspect
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from glob import has_magic
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from experiments.corpora._files import called, lines, locate, sources
from experiments.corpora._mismatch import Claim, Found, Mismatch, placed
from experiments.corpora._split import Split
from experiments.corpora.corpus import Corpus, Documents, in_order
from experiments.corpora.labels import Types, listed, select
from experiments.errors import ReadError
from ner_programs.privacy import Privacy
from ner_programs.types import Document

Name = Annotated[str, Field(min_length=1)]
Reads = Callable[[Path, Counter[str]], Iterable[Found | Document]]
M = TypeVar("M", bound=BaseModel)
_HEAD = 1 << 16  # bytes that are inspected
_SIGNS = {
    "webanno": r"\A#FORMAT=WebAnno TSV",
    "i2b2": r'^(c|EVENT|TIMEX3)="[^\n]*" \d+:\d+ \d+:\d+\|\||<ClinicalNarrativeTemporalAnnotation',
    "pubtator": r"^[^|\s]+\|t\|",
    "bioc": r"<collection\b",
    "brat": r"^T\d+\t\S+ \d+ \d+[ \d;]*\t",
    "conll": r"^\S+[ \t]([^\n]*[ \t])?(O|[BIESLU]-\S+)\r?$",
}
_TOOLS = {"label_studio": "Label Studio", "conll": "CoNLL", "webanno": "WebAnno TSV 3", "hf": "a Hugging Face dataset"}


@dataclass(frozen=True)
class Options:
    """The options of every reader.

    `split` divides documents whose files and folders are not named after parts (by default 60/20/20). `types` lists the
    annotation types to keep, or maps them to labels: `{ SpecificDisease = "Disease" }`. `mismatch` is the rule for a mention
    that differs from the text at its offsets: "error", "repair" or "skip".
    """

    private: bool = Corpus.privacy.private
    split: Split | None = None
    types: Types | None = None
    mismatch: Mismatch = "error"

    @property
    def privacy(self) -> Privacy:
        """What may be done with the corpus's text."""
        return Privacy(self.private)

    def parted(self, parts: Mapping[str, Documents], path: object) -> dict[str, Documents]:
        """Return the parts (documents under "" are split) with the wanted types."""
        if "" not in parts and self.split:
            raise ReadError(f"{path}: the names already say the split; leave `split` away or name one file")
        known = dict(parts) if "" not in parts else (self.split or Split()).parts(parts[""])
        return select(known, self.types) if self.types else known


def reader(build: Callable[..., Corpus]) -> Callable[..., Corpus]:
    """Decorate a `build(..., options)` so that it takes the common options by name: `private`, `split`, `types`, `mismatch`."""
    shared = inspect.signature(Options, eval_str=True).parameters
    hints = get_type_hints(build, include_extras=True)
    own = [p.replace(annotation=hints[n]) for n, p in inspect.signature(build).parameters.items() if n != "options"]

    @wraps(build)
    def built(**given: Any) -> Corpus:
        options = Options(**{name: given.pop(name) for name in shared if name in given})
        return build(**given, options=options)

    every = [*own, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in shared.values())]
    built.__signature__ = inspect.Signature(every, return_annotation=Corpus)  # type: ignore[attr-defined]
    built.__annotations__ = {p.name: p.annotation for p in every} | {"return": Corpus}
    return built


def reads(find: Callable[..., Iterable[Found | Document]]) -> Callable[..., Iterator[Document]]:
    """Return a reader's `read(path, remarks=None, **options)`, which yields documents and raises an error for a mismatch."""

    @wraps(find)
    def read(path: Path, remarks: Counter[str] | None = None, **options: Any) -> Iterator[Document]:
        counts = Counter[str]() if remarks is None else remarks
        return placed(find(path, counts, **options), "error", counts)

    return read


def corpus_from(
    find: Reads, path: Path, data: Path, options: Options, *, notes: str = "", tokens: bool = False
) -> Corpus:
    """Read a file, a folder or a glob; see `sources`, also for `notes`. `tokens`: each document is a tokenised sentence."""
    remarks: Counter[str] = Counter()
    by_part = sources(path, data, remarks, notes)
    paths = [place for places in by_part.values() for place in places]
    name = getattr(find, "func", find).__module__.rpartition(".")[2]
    parts: dict[str, Documents] = {}
    annotated = False
    for part, places in by_part.items():
        found = [list(_found(find, place, paths, remarks, name)) for place in places]
        annotated |= any(one.claims if isinstance(one, Found) else one.entities for file in found for one in file)
        together = [[one for file in found for one in file]] if notes else found  # files with the same unit of offsets
        parts[part] = tuple(d for batch in together for d in placed(batch, options.mismatch, remarks))
    if not annotated and (other := hint(paths[0], name)):
        raise ReadError(f"{paths[0]}: no mention was found{other}")
    parts = options.parted(parts, path)
    grouped = not tokens or any(d.group != d.id for documents in parts.values() for d in documents)
    return Corpus(
        name_of_corpus(path, data),
        *in_order(parts),
        unit="document" if tokens else "sentence",
        privacy=options.privacy,
        resampling="document" if grouped else "sentence",
        remarks=listed(remarks),
    )


def _found(
    find: Reads, place: Path, paths: Sequence[Path], remarks: Counter[str], name: str
) -> Iterator[Found | Document]:
    """Yield the documents of a file (or of a folder of notes). An error names the format that it looks like."""
    try:
        for one in find(place, remarks):
            yield _unique(one, place, paths)
    except ReadError as error:
        raise ReadError(f"{error}{hint(place, name)}") from None


def _unique(one: Found | Document, place: Path, paths: Sequence[Path]) -> Found | Document:
    """Add the folder to a document id that comes from the file name, if several files have the same name."""
    own = called(place)
    if len(paths) == 1 or sum(called(path) == own for path in paths) == 1:
        return one
    new = str(place.relative_to(os.path.commonpath([p.parent for p in paths]))).removesuffix(place.suffix)

    def renamed(name: str) -> str:
        return new + name[len(own) :] if name == own or name.startswith(f"{own}:") else name

    return replace(one, id=renamed(one.id), group=renamed(one.group), related=tuple(map(renamed, one.related)))


def name_of_corpus(path: Path, data: Path) -> str:
    """Return the name of a folder or file, or of the folder in which a glob begins."""
    if has_magic(str(path)) and not path.exists():
        return next((p.name for p in path.parents if p.name and not has_magic(str(p))), "corpus")
    place = locate(path, data).absolute()
    return place.name if place.is_dir() else place.name.partition(".")[0]


class Span(BaseModel):
    """A labelled span in a common form of tools: character offsets, end exclusive; `text` is checked if there is one."""

    model_config = ConfigDict(strict=True)
    start: int = Field(validation_alias=AliasChoices("start", "start_offset"))
    end: int = Field(validation_alias=AliasChoices("end", "end_offset"))
    label: Name
    text: str | None = None
    attributes: dict[str, str] = {}

    def claim(self, where: Callable[[str], ReadError]) -> Claim:
        """Return the claim of this span."""
        return Claim(where, ((self.start, self.end),), self.label, self.text, {"attributes": self.attributes})


def rows(path: Path, model: type[M]) -> Iterator[tuple[int, M]]:
    """Yield the JSON lines of a file with their numbers, without blank lines. Raises ReadError with file and line."""
    for number, line in lines(path):
        if line.strip():
            try:
                yield number, model.model_validate_json(line)
            except ValidationError as error:  # not chained, not printed: it quotes the line
                raise ReadError.at(path, number, problem(error, whole="the line: ")) from None


def problem(error: ValidationError, skip: int = 0, whole: str = "") -> str:
    """Return the first error with its location from step `skip` on (or `whole`), without the input."""
    first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    where = ".".join(map(str, first["loc"][skip:]))
    return f"{where}: {first['msg']}" if where else f"{whole}{first['msg']}"


def found_at(
    path: Path, number: int, given: str | int | None, text: str, claims: Iterable[Claim], group: str | int | None
) -> Found:
    """Return a document of one passage. Without an id it is named after its file and number: `train:1`."""
    name = f"{called(path)}:{number}" if given is None else str(given)
    return Found(name, ((0, text),), tuple(claims), "" if group is None else str(group))


def guess(path: Path) -> str:
    """Return the probable reader for a file, or for the first file of a folder; "" if unknown."""
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.is_file() and not f.name.startswith("."))
        return next((name for file in files[:2] if (name := guess(file))), "")
    with path.open("rb") as stream:
        head = stream.read(_HEAD).decode("utf-8", "replace").removeprefix("\ufeff")
    if head.lstrip()[:1] in ("{", "["):
        return _json(head.strip())
    return next((name for name, sign in _SIGNS.items() if re.search(sign, head, re.MULTILINE)), "")


def hint(path: Path, reader: str) -> str:
    """Return the end of an error message that names another reader, if the file looks like one of its files."""
    name = guess(path) if path.exists() else ""
    called = _TOOLS.get(name, name)
    return f'; it looks like {called}: set name = "{name}" in [corpus]' if name not in ("", reader) else ""


def _json(head: str) -> str:
    if head.startswith("["):
        tasks = re.search(r'"(annotations|completions)"\s*:', head) and re.search(r'"data"\s*:', head)
        return "label_studio" if tasks else "hf"
    for line in head.splitlines()[:20]:
        try:
            row: Any = from_json(line)
        except ValueError:
            continue
        if isinstance(row, dict) and (name := _row(row)):
            return name
    return ""


def _row(row: Mapping[str, Any]) -> str:
    """Return the reader of a JSON line by its keys."""
    if "_input_hash" in row or {"spans", "answer"} <= row.keys():
        return "prodigy"
    triples = row.get("label") or row.get("labels")
    if isinstance(triples, list) and isinstance(triples[0], list):
        return "doccano"
    if {"tokens", "passages"} & row.keys():
        return "hf"
    return "jsonl" if {"text"} <= row.keys() and {"entities", "spans"} & row.keys() else ""
