"""A run as a TOML file: what is compiled, on what, with what. Imports neither DSPy nor MLflow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from experiments import settings
from experiments.errors import SpecError
from ner_programs.components import check_name, names
from ner_programs.lms import STAND_IN, title
from ner_programs.spec import Component


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Task(_Table):
    """What a prompt asks for: `guidelines` is a file whose text enters the instruction, `unit` what one prompt covers.

    A "window" is consecutive sentences, `window` characters of them at most.
    """

    guidelines: Path | None = None
    unit: str | None = None
    window: int | None = None


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
    constrained: bool = True
    opening: float = 0.0
    closing: float = 0.0
    knowledge_size: int = 1500


class Answering(_Table):
    """What answers, and how it is asked; every other key is an option of the backend that `model` means.

    Keys of an API come from the environment, never from a spec.
    """

    model_config = ConfigDict(extra="allow")

    model: str
    temperature: float | None = Field(default=None, ge=0, le=10)
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    allow_hosts: list[str] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The options of the backend, as its `build` takes them."""
        return dict(self.model_extra or {})

    @property
    def api_base(self) -> str | None:
        """Where a backend behind an API is reached, if it is said."""
        said = self.options.get("api_base")
        return said if isinstance(said, str) else None


class Role(Answering):
    """A language model that is asked beside that of the task; without `allow_hosts` it has those of [lm]."""


class Encoder(_Table):
    """Where a model behind an API is that encodes demonstrations; without `allow_hosts` it has those of [lm]."""

    api_base: str | None = None
    allow_hosts: list[str] | None = None


class Model(Answering):
    """The language model of the task; without a `model` the stand-in, an in-context CRF.

    `prompt` writes instructions, `strong` answers hard documents; without them this one does. `record` keeps its own answers.
    `encoder` says where the model of an embedding selector is.
    """

    model: str = STAND_IN
    concurrency: int | None = Field(default=None, ge=1, le=10_000)
    retries: int = Field(default=4, ge=0, le=1000)
    allow_hosts: list[str] = []
    record: Path | None = None
    prompt: Role | None = None
    strong: Role | None = None
    encoder: Encoder | None = None

    @property
    def roles(self) -> dict[str, Role]:
        """The other models by role."""
        return {name: role for name, role in (("prompt", self.prompt), ("strong", self.strong)) if role is not None}

    @property
    def name(self) -> str:
        """Who answers, as tables and tags say it: the stand-in is no language model."""
        own, *others = (title(one.model) for one in (self, *self.roles.values()))
        said = ", ".join(f"{role}: {other}" for role, other in zip(self.roles, others, strict=True))
        return f"{own} ({said})" if said else own


class RunSpec(_Table):
    """A whole spec; every table but [corpus] has defaults, and unknown keys are errors.

    `parts` says which parts are scored in the end, less what `corpus.sample` leaves out; compiling scores on dev whatever they
    are.
    """

    name: str = Field(min_length=1, pattern=r"^\w[\w.-]*$")
    seed: int = Field(default=1, ge=0, lt=1 << 32)
    corpus: Component
    labels: dict[str, str] = {}
    task: Task = Task()
    kb: Knowledge | None = None
    program: Program = Program()
    optimizer: Component = {"name": "none"}
    lm: Model = Model()
    parts: list[Literal["dev", "test"]] = Field(default=["dev", "test"], min_length=1)

    @model_validator(mode="after")
    def _scored(self) -> Self:
        sample = self.corpus.get("sample")
        out = [part for part, size in sample.items() if size == 0] if isinstance(sample, dict) else []
        if not set(self.parts) - {*out}:
            raise ValueError(f"corpus.sample leaves out {' and '.join(out)}, and nothing else is scored")
        self.parts[:] = [part for part in self.parts if part not in out]
        return self

    @property
    def retriever(self) -> Component:
        """The retriever; where none is named, a knowledge base is walked."""
        return self.program.retriever or {"name": "walk" if self.kb else "none"}

    @property
    def engine(self) -> str:
        """Who answers, as tables and tags name it."""
        return self.lm.name

    def flat(self) -> dict[str, str]:
        """Return every setting as a dotted name and its value, for MLflow."""
        said = settings.flat(self.model_dump(mode="json", exclude_none=True))
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in said}

    def fingerprint(self, *more: str) -> str:
        """Return a hash of the spec, of its guidelines' text, and of whatever else decides what a run does."""
        page = self.task.guidelines
        text = page.read_bytes().hex() if page is not None and page.is_file() else ""
        content = json.dumps([self.model_dump(mode="json", exclude_none=True), text, *more], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def load(path: Path, changes: Sequence[str] = (), lm: str | None = None) -> RunSpec:
    """Read a spec, change it as the command line says (`a.b=value`), and check it. Raises SpecError.

    See `settings.read` for `extends` and for paths. A spec with a [grid] is many: `cells.load_grid` reads those.
    """
    tables = settings.read(path)
    if "grid" in tables:
        raise SpecError(f"{path}: a spec with a [grid] is many runs; nerc run and nerc paper take it")
    for change in with_lm(changes, lm):
        settings.change(tables, change)
    return checked(tables, path)


def with_lm(changes: Sequence[str], lm: str | None) -> list[str]:
    """Return the changes of the command line with that of `--lm`: the model first, for the options are its backend's."""
    return sorted([*changes, *([f'lm.model="{lm}"'] if lm else [])], key=lambda said: not said.startswith("lm.model"))


def checked(tables: settings.Tables, path: Path) -> RunSpec:
    """Return the spec that these tables are; `path` is where they were read.

    Raises SpecError, and UnknownComponent for a name that there is not: the modules themselves are not imported.
    """
    tables = settings.without_off(tables)
    settings.absolute(tables, path.parent.absolute())
    try:
        spec = RunSpec.model_validate({"name": path.stem, **tables})
    except ValidationError as error:
        raise SpecError(f"{path}: {explain(error)}") from error
    for package, name in _named(spec):
        check_name(package, name)
    return spec


def _named(spec: RunSpec) -> Iterator[tuple[str, str]]:
    """Yield the components that a spec names, each with the package it is looked up in; a model of an API is none."""
    program = spec.program
    named: list[tuple[str, Component | None]] = [
        ("optimizers", spec.optimizer), ("experiments.corpora", spec.corpus), ("ner_programs.formats", program.format),
        ("ner_programs.demos", program.demos), ("ner_programs.verifiers", program.verify),
        ("kb.retrievers", program.retriever), *(("kb.sources", source) for source in (spec.kb.sources if spec.kb else ())),
    ]  # fmt: skip
    yield from ((package, c["name"]) for package, c in named if c and isinstance(c.get("name"), str))
    models = [one.model for one in (spec.lm, *spec.lm.roles.values())]
    yield from (("ner_programs.lms", model) for model in models if "/" not in model)


def explain(error: ValidationError, table: type[BaseModel] = RunSpec) -> str:
    """Say in one line what the first error in a `table` is, and for a wrong key which ones there are."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        said = first["msg"].removeprefix("Value error, ")
        return f"{where}: {said}" if where else said
    fields: dict[str, type[BaseModel]] = {"task": Task, "kb": Knowledge, "program": Program, "lm.encoder": Encoder}
    fields["encoder"] = Encoder
    known = fields.get(where.rpartition(".")[0], table)
    return f"{where}: there is no such key; there are: {', '.join(known.model_fields)}"


def spec_of(corpus: str, changes: Sequence[str] = ()) -> RunSpec:
    """Return the spec in a file, changed as the command line says, or one that has nothing but the named corpus."""
    if Path(corpus).is_file() or corpus.endswith(".toml"):
        return load(Path(corpus), changes)
    if corpus not in (known := names("experiments.corpora")):
        raise SpecError(f"{corpus} is neither a spec nor the name of a corpus; those are: {', '.join(known)}")
    tables: dict[str, Any] = {"name": corpus, "corpus": {"name": corpus}}
    for option in changes:
        settings.change(tables, option)
    return checked(tables, Path(corpus))
