"""Converts token tags to spans. The scheme (IOB2, IOB1 or IOBES) is detected from the tags; see `conll` for the rules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Literal

from experiments.errors import ReadError

Scheme = Literal["iob2", "iob1", "iobes"]
Row = tuple[int, str, str, str]  # line, token, B | I | E | S | O, label
NEIGHBOURS = 12  # sentences on each side: an abstract has about ten
NO_TAG = ("", "")
_OTHER_NAMES = {"L": "E", "U": "S"}
_ORPHANS = "I- tags that continue nothing, taken as beginnings"


@cache
def prefix_and_label(tag: str) -> tuple[str, str]:
    """Return prefix and label of a tag; two empty strings for an invalid tag."""
    if tag == "O":
        return "O", ""
    prefix, _, label = tag.partition("-")
    prefix = _OTHER_NAMES.get(prefix, prefix)
    return (prefix, label) if prefix in ("B", "I", "E", "S") and label else NO_TAG


def scheme_of(tags: Iterable[tuple[str, str]]) -> Scheme:
    """Detect the scheme of the tags, with NO_TAG between sentences. Inconsistent tags count as IOB2, whose check then fails."""
    known = list(tags)
    if any(prefix in ("E", "S") for prefix, _ in known):
        return "iobes"
    pairs = list(pairwise(known))
    orphans = any(tag[0] == "I" and label != tag[1] for (_, label), tag in pairs)
    parting = all(label == tag[1] for (_, label), tag in pairs if tag[0] == "B")
    opening = all(following == ("I", tag[1]) for tag, following in pairs if tag[0] == "B")
    return "iob1" if orphans and (parting or opening) else "iob2"


def spans_of(
    rows: Sequence[Row], scheme: Scheme, remarks: Counter[str], fail: Callable[[int, str], ReadError]
) -> list[tuple[int, int, str]]:
    """Return start, end and label of the entities of a sentence, whose tokens are joined by one blank.

    Raises `fail(line, message)` if a tag cannot follow the previous one. `remarks` counts I- tags that IOB1 reads as
    beginnings.
    """
    spans: list[tuple[int, int, str]] = []
    offset, before, unfinished = 0, "", False  # label of the previous token ("" after O); whether an E- must follow
    for at, token, prefix, label in rows:
        end, continues = offset + len(token), label == before and (unfinished or scheme != "iobes")
        if scheme != "iobes" and prefix in ("E", "S"):
            raise fail(at, f"{prefix}- is no tag of {scheme}")
        if unfinished and not (prefix in ("I", "E") and continues):
            raise fail(at, f"the {_shown(before)} before has no E-{_shown(before)}")
        if prefix in ("I", "E") and continues:
            spans[-1] = (spans[-1][0], end, label)
        elif prefix in ("B", "S") or (prefix == "I" and scheme == "iob1"):
            spans.append((offset, end, label))
            remarks.update([_ORPHANS] * (prefix == "I"))
        elif prefix != "O":
            hint = '; `scheme = "iob1"` lets it begin one' if scheme == "iob2" else ""
            raise fail(at, f"{prefix}-{_shown(label)} continues no {_shown(label)}{hint}")
        unfinished = scheme == "iobes" and prefix in ("B", "I")
        offset, before = end + 1, label
    if unfinished:
        raise fail(rows[-1][0], f"the {_shown(before)} has no E-{_shown(before)} where the sentence ends")
    return spans


def _shown(label: str) -> str:
    """Return a label for a message; "..." if it is long or has blanks, because it may be text of a damaged file."""
    return label if re.fullmatch(r"\S{1,40}", label) else "..."
