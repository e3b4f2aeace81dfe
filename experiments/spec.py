"""A run as a TOML file: what is compiled, on what, with what. Imports neither DSPy nor MLflow."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from datetime import date, time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from experiments._errors import SpecError

Component = dict[str, Any]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Task(_Table):
    """What a prompt asks for: `guidelines` is a file whose text enters the instruction, `unit` what one prompt covers."""

    guidelines: Path | None = None
    unit: str | None = None


class Knowledge(_Table):
    """`sources` make the knowledge base; `labels` maps its semantic types to the spec's labels, or to "": to none of them.

    `merge` makes one concept of those that the sources' cross references say are the same (`kb/merging.py`).
    `bundle = "reference"` keeps a licensed knowledge base out of exported bundles.
    """

    sources: list[Component] = Field(min_length=1)
    merge: bool = False
    labels: dict[str, str] = {}
    bundle: str = Field(default="carry", pattern="^(carry|reference)$")


class Program(_Table):
    """The stages, as in `ner_programs.ProgramSpec`."""

    format: Component = {"name": "json_list"}
    demos: Component | None = None
    retriever: Component | None = None
    seeds: str = "text"
    link: bool = False
    verify: Component | None = None
    occurrences: str = "all"
    knowledge_size: int = 1500


class Model(_Table):
    """The language model; without a `model` the offline engine. Keys come from the environment, never from a spec."""

    model: str = "offline"
    api_base: str | None = None
    api_version: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float | None = None
    price: dict[str, float] | None = None
    path: Path | None = None
    concurrency: int | None = Field(default=None, ge=1)
    retries: int = Field(default=4, ge=0)
    allow_hosts: list[str] = []
    record: Path | None = None


class RunSpec(_Table):
    """A whole spec; every table but [corpus] has defaults, and unknown keys are errors."""

    name: str = Field(min_length=1, pattern=r"^\w[\w.-]*$")
    seed: int = 1
    corpus: Component
    labels: dict[str, str] = {}
    task: Task = Task()
    kb: Knowledge | None = None
    program: Program = Program()
    optimizer: Component = {"name": "none"}
    lm: Model = Model()

    def flat(self) -> dict[str, str]:
        """Return every setting as a dotted name and its value, for MLflow."""
        return dict(_flat(self.model_dump(mode="json", exclude_none=True)))

    def fingerprint(self, *more: str) -> str:
        """Return a hash of the spec, of its guidelines' text, and of whatever else decides what a run does."""
        page = self.task.guidelines
        text = page.read_bytes().hex() if page is not None and page.is_file() else ""
        content = json.dumps([self.model_dump(mode="json"), text, *more], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def load(path: Path, changes: Sequence[str] = (), lm: str | None = None) -> RunSpec:
    """Read a spec, change it as the command line says (`a.b=value`), and check it.

    Paths in [task] and [lm] are made absolute against the spec's folder; those of corpora and knowledge sources against the
    spec's folder where they exist there, and are otherwise left for the data directory. Raises SpecError.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: not TOML: {error}") from error
    for change in [*changes, *([f'lm.model="{lm}"'] if lm else [])]:
        _set(tables, change)
    _absolute(tables, path.parent.absolute())
    try:
        return RunSpec.model_validate({"name": path.stem, **tables})
    except ValidationError as error:
        raise SpecError(f"{path}: {explain(error)}") from error


def explain(error: ValidationError, table: type[BaseModel] = RunSpec) -> str:
    """Say in one line what the first error in a `table` is, and for a wrong key which ones there are."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{where}: {first['msg']}"
    fields: dict[str, type[BaseModel]] = {"task": Task, "kb": Knowledge, "program": Program, "lm": Model}
    known = fields.get(str(first["loc"][0]), table) if len(first["loc"]) > 1 else table
    return f"{where}: there is no such key; there are: {', '.join(known.model_fields)}"


def _set(tables: dict[str, Any], change: str) -> None:
    """Apply `a.b.c=value`; the value is TOML, or a plain string where it is not."""
    key, equals, value = change.partition("=")
    *path, last = key.strip().split(".")
    if not equals or not last:
        raise SpecError(f"--set {change}: write it as table.key=value")
    table = tables
    for name in path:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise SpecError(f"--set {change}: {name} is no table")
    try:
        read = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        read = value
    # No setting is a date; an API version looks like one.
    table[last] = value if isinstance(read, date | time) else read


def _absolute(tables: dict[str, Any], folder: Path) -> None:
    given = {name: table for name, table in tables.items() if isinstance(table, dict)}  # what is none is refused later
    for table, key in (("task", "guidelines"), ("lm", "record"), ("lm", "path")):
        value = given.get(table, {}).get(key)
        if isinstance(value, str):
            given[table][key] = str(folder / value)
    sources = given.get("kb", {}).get("sources", [])
    for component in [given.get("corpus"), *(sources if isinstance(sources, list) else [])]:
        if isinstance(component, dict) and isinstance(component.get("path"), str):
            here = folder / component["path"]
            component["path"] = str(here if here.exists() else component["path"])


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [row for k, v in value.items() for row in _flat(v, f"{prefix}.{k}" if prefix else k)]
    if isinstance(value, list) and any(isinstance(v, dict) for v in value):
        return [row for n, v in enumerate(value) for row in _flat(v, f"{prefix}.{n}")]
    return [(prefix, value if isinstance(value, str) else json.dumps(value))]
