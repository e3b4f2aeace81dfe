"""The schema of a knowledge base's header: types, ranges, and sections inside the file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kb.files import Digest, Digits

_STRINGS = ("ids", "titles", "types", "details", "kinds", "forms", "spellings", "firsts")
_TABLES = ("ids", "forms", "firsts")
_NUMBERS = (
    "type", "out.starts", "out.kind", "out.end", "in.starts", "in.kind", "in.end", "entry.starts", "entry.how",
    "entry.concept", "sought", "lengths.starts", "lengths",
)  # fmt: skip
TEXTS = frozenset(f"{name}.text" for name in _STRINGS)
SECTIONS = TEXTS.union(
    _NUMBERS, (f"{s}.starts" for s in _STRINGS), (f"{t}.{part}" for t in _TABLES for part in ("buckets", "order"))
)
WIDTHS = {"utf8": 1, "u8": 1, "u16": 2, "u32": 4, "u64": 8}

Bytes = Annotated[int, Field(ge=0, lt=1 << 48)]
Short = Annotated[int, Field(ge=0, le=1000)]
Section = tuple[str, Literal["utf8", "u8", "u16", "u32", "u64"], Bytes, Bytes]


class Head(BaseModel):
    """The fields of a header of any version."""

    format: Literal["nerc knowledge base"]
    version: int


class Options(BaseModel):
    """The options of a term filter; see `kb.names.filter.Filter`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    stop: list[str]
    shortest: Short
    own_case: Short


class Header(BaseModel):
    """The content of `kb.json`; `size` and `sha256` are those of `kb.bin`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["nerc knowledge base"]
    version: int
    fingerprint: Digits
    filter: Options
    report: dict[str, Annotated[int, Field(ge=0, lt=1 << 63)]]
    size: Bytes
    sha256: Digest
    sections: list[Section]
    seal: Digits

    @model_validator(mode="after")
    def _inside(self) -> Self:
        names = [name for name, *_ in self.sections]
        if len(names) != len(SECTIONS) or set(names) != SECTIONS:
            odd = sorted(SECTIONS.symmetric_difference(names)) or ["twice the same"]
            raise ValueError(f"sections are missing, or there are others: {odd[0][:40]!r}")
        for name, kind, begin, size in self.sections:
            if begin + size > self.size or size % WIDTHS[kind] or (kind == "utf8") != (name in TEXTS):
                raise ValueError(f"section {name} does not lie in the file, or is of another kind")
        return self
