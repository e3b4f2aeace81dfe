"""Schemas of table rows: a text with spans, BigBio's passages with entities, tokens with tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from experiments.corpora._mismatch import Claim
from experiments.corpora._reader import Name
from experiments.corpora.labels import concept_id
from experiments.errors import ReadError


class AnyRow(BaseModel):
    """Fields of every row: an id, and a group that a split keeps together."""

    model_config = ConfigDict(strict=True)
    id: int | Name | None = None
    group: int | Name | None = None


class _Concept(BaseModel):
    model_config = ConfigDict(strict=True)
    db_name: str | None = None
    db_id: str | None = None

    @property
    def curie(self) -> str | None:
        """The id with its vocabulary as prefix."""
        known = concept_id(self.db_id or "")
        return known if not known or ":" in known or not self.db_name else f"{self.db_name}:{known}"


class _Item(BaseModel):
    model_config = ConfigDict(strict=True)
    start: int | None = Field(default=None, validation_alias=AliasChoices("start", "start_offset"))
    end: int | None = Field(default=None, validation_alias=AliasChoices("end", "end_offset"))
    offsets: list[Annotated[list[int], Field(min_length=2, max_length=2)]] | None = None
    label: Name = Field(validation_alias=AliasChoices("label", "type", "entity_type"))
    text: list[str] | str | None = None
    normalized: list[_Concept] | None = None

    @model_validator(mode="before")
    @classmethod
    def _triple(cls, value: Any) -> Any:
        """Read `[start, end, label]`."""
        if isinstance(value, list | tuple) and len(value) == 3:
            return dict(zip(("start", "end", "label"), value, strict=True))
        return value

    def claim(self, where: Callable[[str], ReadError]) -> Claim:
        """Return the claim of this item."""
        spans = [
            (start, end)
            for start, end in self.offsets
            or [[-1 if self.start is None else self.start, -1 if self.end is None else self.end]]
        ]
        concepts = [c.curie for c in self.normalized or []]
        concept = "|".join(dict.fromkeys(c for c in concepts if c)) or None
        surface = " ".join(self.text) if isinstance(self.text, list) else self.text
        return Claim(where, sorted(spans), self.label, surface, {"concept": concept})


class _Passage(BaseModel):
    model_config = ConfigDict(strict=True)
    text: list[str]
    offsets: list[Annotated[list[int], Field(min_length=2, max_length=2)]]


class Spanned(AnyRow):
    """A text with spans: `{start, end, label}`, or `[start, end, label]`, or BigBio's `{offsets, type, text}`."""

    text: str
    entities: list[_Item] | None

    @property
    def pieces(self) -> list[tuple[int, str]]:
        """The text as one passage."""
        return [(0, self.text)]


class Passaged(AnyRow):
    """A row of BigBio's schema `bigbio_kb`: offsets count over all passages of the document."""

    passages: list[_Passage]
    entities: list[_Item] | None

    @property
    def pieces(self) -> list[tuple[int, str]]:
        """The passages with their offsets. Raises ValueError if their numbers differ."""
        return [(at[0], text) for p in self.passages for at, text in zip(p.offsets, p.text, strict=True)]


class Tagged(AnyRow):
    """Tokens and a tag for each, by name or by number."""

    tokens: list[str]
    tags: list[int | str]
