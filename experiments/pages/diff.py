"""What one text takes out of another and puts in, as HTML."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from html import escape

from markupsafe import Markup


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
