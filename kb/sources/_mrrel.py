"""The direction in which a relation of MRREL is told, given that the file tells it from both sides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kb.sources._rrf import optional

_FORWARD = {"CHD": "is_a", "RN": "narrower_than"}  # CUI2 is CUI1's child; its narrower term
_BACKWARD = {"PAR", "RB"}
_NAMES = {
    "isa": "is_a",
    "RO": "related_to",
    "RL": "similar_to",
    "RQ": "possibly_same_as",
    "SY": "same_as",
    "SIB": "sibling_of",
}
_ASIDE = ("inverse_", "has_")  # beginnings of the names that tell the matter from the far end


def inverses(path: Path) -> Mapping[str, str]:
    """RELA -> the RELA of its other side, as MRDOC.RRF lists them; empty if there is no such file."""
    found = optional(path, 4, {"DOCKEY": 0, "VALUE": 1, "TYPE": 2, "EXPL": 3})
    return {r["VALUE"]: r["EXPL"] for r in found if r["DOCKEY"] == "RELA" and r["TYPE"] == "rela_inverse"}


def direction(head: str, rel: str, rela: str, tail: str, inverse: Mapping[str, str]) -> str:
    """The name of the relation head -> tail (in MRREL's columns CUI2 and CUI1), or "" if its other side tells it.

    Hierarchies are told from the child. A RELA whose inverse is known (from MRDOC, or by its name) is told from the side
    that does not say `has_` or `inverse_`, else from the one that comes first in the alphabet. All others are told by
    the row with the smaller id as its head: the two sides swap the ids, so exactly one of them is told.
    """
    if rel in _BACKWARD:
        return ""
    name = _NAMES.get(rela or rel) or rela or rel
    if rel in _FORWARD:
        return name if rela else _FORWARD[rel]
    other = inverse.get(rela) or _by_name(rela)
    if not other or other == rela:
        return name if head < tail else ""
    return name if (rela.startswith(_ASIDE), rela) < (other.startswith(_ASIDE), other) else ""


def _by_name(rela: str) -> str:
    if rela == "isa":
        return "inverse_isa"
    if rela.startswith("inverse_"):
        return rela.removeprefix("inverse_")
    if rela.startswith("has_"):
        return f"{rela.removeprefix('has_')}_of"
    return f"has_{rela.removesuffix('_of')}" if rela.endswith("_of") else ""
