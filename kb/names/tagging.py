"""Dictionary tagging: finds names in a text, with the text's own abbreviations expanded."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kb.names.index import NameIndex, NameMatch


def tag(index: NameIndex, text: str, known: Mapping[str, str] | None = None) -> list[NameMatch]:
    """Return the matches of `index.find`, left to right, with the document's short forms read as their long forms.

    `known` maps short forms to long forms (`kb.names.abbreviations`). A short form whose long form is a name is a match
    wherever it is a whole word. If its long form is not a name, it is not a match, even if it is a name itself. Offsets are
    characters of `text`, end exclusive; matches do not overlap.
    """
    found = index.find(text)
    if not known:
        return found
    short = _defined(index, text, known)
    taken = [(match.start, match.end) for match in short if match.concepts]
    free = (
        m for m in found if m.text not in known and not any(m.start < end and start < m.end for start, end in taken)
    )
    return sorted([*free, *(match for match in short if match.concepts)], key=lambda match: match.start)


def _defined(index: NameIndex, text: str, known: Mapping[str, str]) -> list[NameMatch]:
    """Return short forms that are whole words outside longer names, with the concepts (maybe none) of their long forms."""
    longer = [(m.start, m.end) for m in index.find(text)]
    matches: list[NameMatch] = []
    for short, long in known.items():
        if short not in text:
            continue
        whole = [m for m in index.find(long) if (m.start, m.end) == (0, len(long))]
        ids = whole[0].concepts if whole else ()
        for place in re.finditer(rf"(?<!\w){re.escape(short)}(?!\w)", text):
            start, end = place.span()
            if not any(a <= start and end <= b and b - a > end - start for a, b in longer):
                matches.append(NameMatch(start, end, short, ids))
    return matches
