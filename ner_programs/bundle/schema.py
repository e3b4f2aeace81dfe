"""The schema of a bundle's files. A bundle may come from an untrusted origin, so only content that matches is used."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import from_json

from kb.files import Digest, Digits
from ner_programs.spec import ProgramSpec, plain_data

M = TypeVar("M", bound=BaseModel)
FILES = r"^(program\.json|state\.json|pool\.jsonl|fusion\.json|index/[\w-]{1,100}\.npy|kb/kb\.(json|bin))$"
NEEDED = ("program.json", "state.json", "pool.jsonl")

Name = Annotated[str, Field(max_length=10_000)]
Version = Annotated[str, Field(max_length=100)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Manifest(_Strict):
    """The digest (SHA-256) of every file."""

    files: dict[Annotated[str, Field(pattern=FILES)], Digest]

    @field_validator("files")
    @classmethod
    def _complete(cls, files: dict[str, str]) -> dict[str, str]:
        if missing := [name for name in NEEDED if name not in files]:
            raise ValueError(f"it does not list {missing[0]}")
        if ("kb/kb.json" in files) != ("kb/kb.bin" in files):
            raise ValueError("it lists half of a knowledge base")
        return files


class KnowledgeRef(_Strict):
    """The knowledge base that the program was compiled with, and whether the bundle contains it."""

    fingerprint: Digits
    carried: bool


class Asked(_Strict):
    """The language model and its call settings, never its address, and nothing that is written or sent."""

    model: Annotated[Name, Field(min_length=1)]
    temperature: float | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_address(cls, data: Any) -> Any:
        odd = [key for key in data if key not in cls.model_fields] if isinstance(data, dict) else []
        if odd or (isinstance(data, dict) and "://" in str(data.get("model"))):
            raise ValueError(
                f"{str(odd[0])[:40] if odd else 'model'}: of its LM a bundle says only {', '.join(cls.model_fields)}; whoever "
                "loads it says where it is"
            )
        return data


class Wanted(Asked):
    """The language models that the program was compiled with."""

    strong: Asked | None = None


class ProgramFile(_Strict):
    """`program.json`."""

    layout: int
    nerc: Version
    dspy: Version
    lm: Wanted
    private: bool
    kb: KnowledgeRef | None
    spec: ProgramSpec


class MentionRow(_Strict):
    """A mention; if it has a `start`, the text has it there."""

    text: str
    label: str
    start: int | None = Field(default=None, ge=0)
    score: Share | None = None
    attributes: Annotated[dict[Name, Name], Field(max_length=1000)] = {}

    @field_validator("label")
    @classmethod
    def _known(cls, label: str, info: ValidationInfo) -> str:
        return known_label(label, info)

    def inside(self, text: str) -> bool:
        """Return whether the text has the mention at its `start`."""
        return self.start is None or text.startswith(self.text, self.start)


class VerdictRow(_Strict):
    """A verdict of a demonstration."""

    kind: Literal["keep", "reject", "label", "span", "add"]
    number: int = Field(default=0, ge=0, le=10**6)
    label: str = ""
    text: str = ""
    score: Share | None = None

    @field_validator("label")
    @classmethod
    def _known(cls, label: str, info: ValidationInfo) -> str:
        return known_label(label, info) if label else label


class PoolRow(_Strict):
    """A line of `pool.jsonl`: a labelled unit of text."""

    id: Name
    document: Name
    group: Name
    text: str
    mentions: list[MentionRow]

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if not all(m.inside(self.text) and m.text in self.text for m in self.mentions):
            raise ValueError("a mention does not stand in the text where it says")
        return self


class Demo(BaseModel):
    """A demonstration of a predictor: the fields of nerc's own stages, and those of others as plain data."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    id: Name = ""
    document: Name = ""
    group: Name = ""
    text: str = ""
    candidates: str = ""
    mentions: list[MentionRow] = []
    verdicts: list[VerdictRow] = []
    names: list[str] = []

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if not all(m.inside(self.text) for m in self.mentions):
            raise ValueError("a mention does not stand in the text where it says")
        plain_data(self.__pydantic_extra__)
        return self


class PredictorState(_Strict):
    """The state of one predictor, as an optimizer set it."""

    instructions: Annotated[str, Field(max_length=1_000_000)]
    demos: Annotated[list[Demo], Field(max_length=10_000)]


class StateFile(_Strict):
    """`state.json`: the predictors by name."""

    predictors: dict[Annotated[str, Field(max_length=200)], PredictorState]


Weight = Annotated[float, Field(ge=-1e4, le=1e4)]
Offset = Annotated[int, Field(ge=0, le=1 << 31)]


LabelId = Annotated[str, Field(pattern=r"^[0-9]{1,5}$")]


class ChainPart(_Strict):
    """The weights of a linear chain."""

    features: Annotated[list[Annotated[str, Field(max_length=10_000)]], Field(max_length=5_000_000)]
    weights: list[Weight]
    edges: list[Weight]
    known: Annotated[list[bool], Field(min_length=3, max_length=20_001)]

    @model_validator(mode="before")
    @classmethod
    def _sizes(cls, data: Any) -> Any:
        """Compare sizes before validation, because validating a long list takes much memory."""
        names = ("features", "weights", "edges", "known")
        parts = [p for name in names if isinstance(data, dict) and isinstance(p := data.get(name), list)]
        if len(parts) < len(names):
            raise ValueError("it is no chain")
        features, weights, edges, known = map(len, parts)
        if weights != features * known or edges != known**2 or parts[3][:1] != [True]:
            raise ValueError("its parts do not fit one another")
        return data


class Copy(_Strict):
    """A mention of the pool as the stems of its words, with the count of each label."""

    stems: Annotated[list[Name], Field(min_length=1, max_length=10_000)]
    labels: Annotated[dict[LabelId, Offset], Field(min_length=1)]


class ReaderPart(_Strict):
    """The reader of a fusion, a CRF."""

    labels: list[Name]
    chain: ChainPart
    copies: list[Copy]


class FusionPart(_Strict):
    """The trained model of a fusion."""

    labels: list[Name]
    way: Literal["stack", "product"]
    trust: Annotated[float, Field(ge=0, le=1)]
    reader: ReaderPart
    stack: ChainPart

    @model_validator(mode="after")
    def _labels(self, info: ValidationInfo) -> Self:
        for label in (*self.labels, *self.reader.labels):
            known_label(label, info)
        return self


class AnswerRow(_Strict):
    """An entity of an answer."""

    start: Offset
    end: Offset
    label: Name
    score: Share | None

    @field_validator("label")
    @classmethod
    def _known(cls, label: str, info: ValidationInfo) -> str:
        return known_label(label, info)


class FusionFile(_Strict):
    """`fusion.json`: the LM's answers to units of the pool (start, end, label, score), and the model trained on them."""

    answers: dict[Name, list[AnswerRow]]
    model: FusionPart | None


def known_label(label: str, info: ValidationInfo) -> str:
    """Return a known label. Raises ValueError for an unknown one."""
    if label not in (info.context or {}).get("labels", ()):
        raise ValueError("the task has no such label")
    return label


def plain(content: bytes) -> Any:
    """Parse JSON. Raises ValueError for invalid JSON, for numbers that are not finite, and for too deep nesting."""
    return from_json(content, allow_inf_nan=False)


def checked(model: type[M], data: Any, labels: Collection[str] = ()) -> M:
    """Validate `data` as a `model`. Raises ValidationError."""
    return model.model_validate(data, strict=True, context={"labels": labels})
