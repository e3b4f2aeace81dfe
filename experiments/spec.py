"""The spec of a run, a TOML file: corpus, knowledge base, program, optimizer, LM. Imports neither DSPy nor MLflow."""

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
    """The task of a prompt: `guidelines` is a file whose text is added to the instruction, `unit` is the text of one prompt.

    The unit "window" is consecutive sentences of at most `window` characters; windows overlap by `overlap` characters.
    """

    guidelines: Path | None = None
    unit: str | None = None
    window: int | None = None
    overlap: int | None = None


class Knowledge(_Table):
    """The knowledge base: its `sources`, and `labels`, which maps its semantic types to the spec's labels (or "" for none).

    `merge` merges concepts that are the same by the sources' cross-references (`kb/merging.py`). `bundle = "reference"` keeps a
    licensed knowledge base out of exported bundles.
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
    attributes: Component | None = None
    occurrences: str = "all"
    constrained: bool = True
    opening: float = 0.0
    closing: float = 0.0
    knowledge_size: int = 1500


class Answering(_Table):
    """An LM and its call settings. Every other key is an option of the backend of `model`.

    API keys come from the environment, never from a spec.
    """

    model_config = ConfigDict(extra="allow")

    model: str
    temperature: float | None = Field(default=None, ge=0, le=10)
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    allow_hosts: list[str] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The options for the backend's `build`."""
        return dict(self.model_extra or {})

    @property
    def api_base(self) -> str | None:
        """The address of a backend behind an API, if given."""
        given = self.options.get("api_base")
        return given if isinstance(given, str) else None


class Role(Answering):
    """Another language model than that of the task. `allow_hosts` defaults to that of [lm]."""


class Encoder(_Table):
    """The address of an API model that encodes demonstrations. `allow_hosts` defaults to that of [lm]."""

    api_base: str | None = None
    allow_hosts: list[str] | None = None


class Model(Answering):
    """The language model of the task; by default the stand-in, an in-context CRF.

    `prompt` writes instructions and `strong` answers hard documents; by default this LM does both. `record` is a file for this
    LM's answers. `encoder` is the address of an embedding selector's model.
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
        """The name of the LM in tables and tags. The stand-in is called an in-context CRF, because it is not an LM."""
        own, *others = (title(one.model) for one in (self, *self.roles.values()))
        roles = ", ".join(f"{role}: {other}" for role, other in zip(self.roles, others, strict=True))
        return f"{own} ({roles})" if roles else own


class RunSpec(_Table):
    """A whole spec. Every table except [corpus] has defaults; unknown keys are errors.

    `parts` are the parts to score in the end, without those that `corpus.sample` leaves out. Compiling always scores on dev.
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
        """The retriever; by default `walk` if there is a knowledge base, else `none`."""
        return self.program.retriever or {"name": "walk" if self.kb else "none"}

    @property
    def engine(self) -> str:
        """The name of the LM in tables and tags."""
        return self.lm.name

    def flat(self) -> dict[str, str]:
        """Return every setting as a dotted name and its value, for MLflow."""
        rows = settings.flat(self.model_dump(mode="json", exclude_none=True))
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in rows}

    def fingerprint(self, *more: str) -> str:
        """Return a hash of the spec, of its guidelines' text, and of `more` that determines a run."""
        page = self.task.guidelines
        text = page.read_bytes().hex() if page is not None and page.is_file() else ""
        content = json.dumps([self.model_dump(mode="json", exclude_none=True), text, *more], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def load(path: Path, changes: Sequence[str] = (), lm: str | None = None) -> RunSpec:
    """Read a spec, apply the changes of the command line (`a.b=value`), and check it. Raises SpecError.

    See `settings.read` for `extends` and for paths. `cells.load_grid` reads a spec with a [grid].
    """
    tables = settings.read(path)
    if "grid" in tables:
        raise SpecError(f"{path}: a spec with a [grid] is many runs; nerc run and nerc paper take it")
    for change in with_lm(changes, lm):
        settings.change(tables, change)
    return checked(tables, path)


def with_lm(changes: Sequence[str], lm: str | None) -> list[str]:
    """Return the changes of the command line with that of `--lm`. The model comes first, because it determines the options."""
    return sorted(
        [*changes, *([f'lm.model="{lm}"'] if lm else [])], key=lambda change: not change.startswith("lm.model")
    )


def checked(tables: settings.Tables, path: Path) -> RunSpec:
    """Validate tables read from `path` and return the spec.

    Raises SpecError, and UnknownComponent for an unknown component. The components' modules are not imported.
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
    """Yield the components that a spec names, each with its package. A model of an API is not a component."""
    program = spec.program
    named: list[tuple[str, Component | None]] = [
        ("optimizers", spec.optimizer), ("experiments.corpora", spec.corpus), ("ner_programs.formats", program.format),
        ("ner_programs.demos", program.demos), ("ner_programs.verifiers", program.verify),
        ("ner_programs.attributes", program.attributes),
        ("kb.retrievers", program.retriever), *(("kb.sources", source) for source in (spec.kb.sources if spec.kb else ())),
    ]  # fmt: skip
    yield from ((package, c["name"]) for package, c in named if c and isinstance(c.get("name"), str))
    models = [one.model for one in (spec.lm, *spec.lm.roles.values())]
    yield from (("ner_programs.lms", model) for model in models if "/" not in model)


def explain(error: ValidationError, table: type[BaseModel] = RunSpec) -> str:
    """Describe the first error in a `table` in one line; for an unknown key, with the known keys."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        message = first["msg"].removeprefix("Value error, ")
        return f"{where}: {message}" if where else message
    fields: dict[str, type[BaseModel]] = {"task": Task, "kb": Knowledge, "program": Program, "lm.encoder": Encoder}
    fields["encoder"] = Encoder
    known = fields.get(where.rpartition(".")[0], table)
    return f"{where}: there is no such key; there are: {', '.join(known.model_fields)}"


def spec_of(corpus: str, changes: Sequence[str] = ()) -> RunSpec:
    """Return the spec in a file, or a spec with only the named corpus; with the changes of the command line."""
    if Path(corpus).is_file() or corpus.endswith(".toml"):
        return load(Path(corpus), changes)
    if corpus not in (known := names("experiments.corpora")):
        raise SpecError(f"{corpus} is neither a spec nor the name of a corpus; those are: {', '.join(known)}")
    tables: dict[str, Any] = {"name": corpus, "corpus": {"name": corpus}}
    for option in changes:
        settings.change(tables, option)
    return checked(tables, Path(corpus))
