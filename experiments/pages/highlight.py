"""A text with its entities marked, as HTML: nested ones get the mark of the shortest that covers them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape
from itertools import pairwise

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Mark:
    """The span `start`..`end` (characters, end exclusive), the class it is drawn in, and the label written after it."""

    start: int
    end: int
    kind: str
    label: str


def highlighted(text: str, marks: Iterable[Mark]) -> Markup:
    """Return `text` as HTML with its marks."""
    inside = [m for m in marks if 0 <= m.start < m.end <= len(text)]
    cuts = sorted({0, len(text), *(m.start for m in inside), *(m.end for m in inside)})
    pieces = []
    for start, end in pairwise(cuts):
        covering = [m for m in inside if m.start <= start and end <= m.end]
        piece = escape(text[start:end])
        if covering:
            mark = min(covering, key=lambda m: m.end - m.start)
            ended = "".join(f"<sub>{escape(m.label)}</sub>" for m in covering if m.end == end and m.label)
            piece = f'<mark class="{escape(mark.kind)}">{piece}{ended}</mark>'
        pieces.append(piece)
    return Markup("".join(pieces))


def changed(before: str, after: str) -> Markup | None:
    """Return what `after` takes out of `before` and puts in, word by word, as HTML; None where they are the same."""
    if before == after:
        return None
    a, b = (re.findall(r"\s+|[^\s]+", side) for side in (before, after))
    pieces = []
    for what, i, j, k, n in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        gone, come = escape("".join(a[i:j])), escape("".join(b[k:n]))
        if what == "equal":
            pieces.append(come)
            continue
        pieces += [f"<del>{gone}</del>"] * bool(gone) + [f"<ins>{come}</ins>"] * bool(come)
    return Markup("".join(pieces))


def changed_lines(before: str, after: str, around: int = 2) -> Markup | None:
    """Return the same with only so many lines `around` each change; "⋯" stands for what is left out."""
    if before == after:
        return None
    a, b = (side.splitlines() for side in (before, after))
    blocks = []
    for group in SequenceMatcher(None, a, b, autojunk=False).get_grouped_opcodes(around):
        first, last = group[0], group[-1]
        above = "⋯\n" if first[3] > 0 else ""
        old, new = "\n".join(a[first[1] : last[2]]), "\n".join(b[first[3] : last[4]])
        blocks.append(Markup(above) + (changed(old, new) or escape(new)))
        end = last[4]
    if not blocks:  # they differ in line ends alone
        return changed(before, after)
    return Markup("\n").join(blocks) + Markup("\n⋯" if end < len(b) else "")
