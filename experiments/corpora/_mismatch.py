"""Checks the mentions of a file against its texts, with one rule for every reader.

A mention fits if its offsets are inside the text and its surface (if the file has one) equals the text there. A mention that
does not fit is an error with the probable cause.

- `mismatch = "repair"` replaces a surface by the text if they differ only in case, Greek letters, quotes, dashes or blanks. It
  converts offsets that count UTF-16 units or UTF-8 bytes, if *all* mentions of the file then fit; nothing is guessed for a
  single line.
- `mismatch = "skip"` leaves out mentions that do not fit.

Both are counted in the remarks.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from experiments.corpora._passages import UNITS, Passages, Unit
from experiments.corpora.corpus import entity_from
from experiments.errors import ReadError
from ner_programs.types import Document, Entity

Mismatch = Literal["error", "repair", "skip"]
Spans = Sequence[tuple[int, int]]
_CALLED: dict[Unit, str] = {"utf-16": "UTF-16 units", "utf-8": "UTF-8 bytes"}


@dataclass(frozen=True)
class Claim:
    """A mention as written in a file: its spans in the file's offsets, and its `surface`, if the file has it.

    `where` makes the error for a message; `rest` are further fields of the entity. A claim without a label is only checked.
    Formats with their own rule for surfaces have a subclass.
    """

    where: Callable[[str], ReadError] = field(compare=False, repr=False)
    spans: Spans
    label: str
    surface: str | None = None
    rest: Mapping[str, Any] = field(default_factory=dict)
    what: str = "its text"
    own: tuple[int, int] = (0, 0)  # the passages to search first: (from, to)

    def fits(self, text: str, spans: Spans) -> bool:
        """Return whether the surface equals the text of the pieces. Blanks count, except at line ends and gaps."""
        whole, pieces = text[spans[0][0] : spans[-1][1]], [text[start:end] for start, end in spans]
        if self.surface is None or self.surface in (whole, " ".join(pieces)):
            return True
        if len(pieces) > 1:
            return _solid(self.surface) in (_solid("".join(pieces)), _solid(whole))
        return re.search("[\r\n]", whole) is not None and self.surface.split() == whole.split()

    def shaped(self, text: str, spans: Spans, remarks: Counter[str]) -> Spans:
        """Return the pieces of the entity."""
        return spans

    @property
    def pardon(self) -> str:
        """The remark for a mention that does not fit, if the format is known to have such; else ""."""
        return ""


@dataclass(frozen=True)
class Found:
    """A document as written in a file: passages `(offset, text)`, and the claims about them.

    `unit` is what offsets count, if the format says so.
    """

    id: str
    passages: tuple[tuple[int, str], ...]
    claims: tuple[Claim, ...] = ()
    group: str = ""
    related: tuple[str, ...] = ()
    unit: Unit = "characters"


def placed(found: Iterable[Found | Document], mismatch: Mismatch, remarks: Counter[str]) -> Iterator[Document]:
    """Yield the documents of a file (or of a folder of notes) with checked entities. Raises ReadError for a mismatch."""
    all_of_it = list(found)
    unit = cache(lambda: _unit([one for one in all_of_it if isinstance(one, Found)]))
    taken: Unit = unit() if mismatch == "repair" else "characters"
    for one in all_of_it:
        if isinstance(one, Document):
            yield one
            continue
        passages = Passages.of(one.passages, taken if one.unit == "characters" else one.unit)
        entities = (_entity(one, claim, passages, mismatch, unit, remarks) for claim in one.claims)
        yield Document(one.id, passages.text, tuple(e for e in entities if e), one.group, one.related)
        if taken != "characters" and any(place.wide for place in passages.places):
            remarks[f"mentions whose offsets count {_CALLED[taken]}, moved"] += sum(bool(c.label) for c in one.claims)


def _entity(
    of: Found, claim: Claim, passages: Passages, mismatch: Mismatch, unit: Callable[[], Unit], remarks: Counter[str]
) -> Entity | None:
    text, differs, problem = passages.text, "", ""
    try:
        spans = passages.fragments(claim.spans, claim.own)
        if len(spans) > 1:
            entity_from(text, spans, claim.label)  # the pieces are in order
        fits = claim.fits(text, spans)
        differs = "" if fits else _difference(text, spans, claim.surface or "")
        if fits or (differs and mismatch == "repair"):
            if differs and claim.label:
                remarks[f"mentions that differ from the text in {differs}, taken as the text has them"] += 1
            made = entity_from(text, claim.shaped(text, spans, remarks), claim.label, **claim.rest)
            return made if claim.label else None
        if claim.pardon:
            remarks[claim.pardon] += 1
            return None
    except ValueError as error:
        problem = str(error)
    if mismatch != "skip":
        if claim.surface is not None:
            place = f"{claim.what} is not what lies at {claim.spans[0][0]}..{claim.spans[-1][1]} of document {of.id}"
            problem = f"{place}: {problem}" if problem else place
        raise claim.where(f"{problem}; {_hint(differs, unit(), mismatch)}") from None
    if claim.label:
        remarks["mentions that are not what the text has at their place, left out"] += 1
    return None


def _hint(differs: str, unit: Unit, mismatch: Mismatch) -> str:
    if unit != "characters":
        return f'all offsets of the file fit as {_CALLED[unit]}: mismatch = "repair" moves them'
    if differs:
        return f'they differ in {differs}: mismatch = "repair" takes it as the text has it'
    return 'mismatch = "skip" leaves such mentions out' + (", this is none to repair" if mismatch == "repair" else "")


def _unit(found: Sequence[Found]) -> Unit:
    """Return the unit in which all mentions fit, exactly or after repair; characters if there is none."""
    if not any(claim.surface for one in found for claim in one.claims):
        return "characters"
    for loosely in (False, True):
        for unit in UNITS:
            if all(_all_fit(one, unit, loosely) for one in found):
                return unit
    return "characters"


def _all_fit(one: Found, unit: Unit, loosely: bool) -> bool:
    passages = Passages.of(one.passages, unit)
    try:
        for claim in one.claims:
            spans = passages.fragments(claim.spans, claim.own)
            fits = claim.fits(passages.text, spans) or claim.pardon
            if not fits and not (loosely and _difference(passages.text, spans, claim.surface or "")):
                return False
    except ValueError:
        return False
    return True


def _solid(text: str) -> str:
    return "".join(text.split())


def _greek(text: str) -> str:
    """Return the text with Greek letters spelled out, in any typographic form."""
    plain = unicodedata.normalize("NFKC", text)
    named = (re.match("GREEK .*LETTER (?:FINAL )?([A-Z]+)", unicodedata.name(c, "")) for c in plain)
    return "".join(
        name[1].lower().replace("lamda", "lambda") if name else c for c, name in zip(plain, named, strict=True)
    )


_FOLDS: dict[str, Callable[[str], str]] = {
    "Greek or other letter forms": _greek,
    "case": str.casefold,
    "quotes": lambda text: re.sub("''|``|[\"'`´‘’‚‛“”„‟«»‹›′″]", "'", text),
    "dashes": lambda text: re.sub("[‐‑‒–—―−﹘﹣－\u00ad]", "-", text),
    "blanks": lambda text: re.sub(r"[\s\u200b\ufeff]+", "", text),
}


def _difference(text: str, spans: Spans, surface: str) -> str:
    """Name the repairable differences between the surface and the text; "" if there are others."""
    found = " ".join(text[start:end] for start, end in spans)

    def same(names: Sequence[str]) -> bool:
        one, other = found, surface
        for name in names:
            one, other = _FOLDS[name](one), _FOLDS[name](other)
        return one == other and bool(one)

    needed = list(_FOLDS)
    if not same(needed):
        return ""
    for name in _FOLDS:
        if same(without := [other for other in needed if other != name]):
            needed = without
    return " and ".join(needed)
