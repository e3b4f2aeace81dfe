"""A JSON list with one object for each mention, in the order of the text: `[{"text": "...", "label": "..."}]`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ner_programs.formats import grammar
from ner_programs.formats._json import Piece, decoded, pieces
from ner_programs.formats.base import Found, Reading, in_order
from ner_programs.formats.labels import Labels
from ner_programs.prompts.likelihood import Place
from ner_programs.types import Label, Mention

_NOTHING = re.compile(
    r"\W*(?:none|nothing|no (?:[\w-]+ ){0,4}?(?:mentions?|entit(?:y|ies)|labels?|terms?|results?|matches)\b|"
    r"there (?:are|is|were) no(?:ne)?\b)",
    re.IGNORECASE,
)


class JsonList:
    """One object for each mention. It is read object by object, so that a truncated list loses only its last object."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self.labels = Labels(labels)

    def describe(self) -> str:
        """Ask for the list, with every occurrence in the order of the text."""
        return (
            'Answer with a JSON list of objects {"text": "...", "label": "..."}, one for each mention, in the order of the '
            f"text. Copy each text exactly as it stands. Labels: {', '.join(self.labels.names)}. No mention: []"
        )

    def write(self, text: str, mentions: Sequence[Mention]) -> str:
        """Write the mentions in the order of the text."""
        return json.dumps([{"text": m.text, "label": m.label} for m in in_order(mentions)], ensure_ascii=False)

    def read(self, answer: str) -> Reading[Mention]:
        """Read every object with a text and a known label, at any position, in any wrapping and with any keys."""
        found: list[Found] = []
        unreadable = seen = 0
        said = pieces(answer, self.labels)
        for piece in said or ():
            if piece.surface is None or piece.label is None:
                unreadable += 1
                continue
            place = _place(answer, piece, seen)
            seen = place[0] + 1
            found.append((Mention(piece.surface, piece.label), place))
        if said is None and not _NOTHING.match(answer):
            unreadable += 1
        return Reading.of(found, unreadable)

    def grammar(self, text: str) -> str:
        """Return the grammar of answers about `text`: a list of its word sequences, in order."""
        label = grammar.one_of(json.dumps(name, ensure_ascii=False) for name in self.labels.names)
        begin, then = '{"text": "', grammar.literal('", "label": ')
        close = f'{then} {label} "}}"'
        rules = grammar.listed(text, lambda piece: json.dumps(piece, ensure_ascii=False)[1:-1], close, f", {begin}")
        some = f" ({grammar.literal(begin)} b0)?" if rules else ""
        return "\n".join([f'root ::= "["{some} "]"', *rules])

    def schema(self) -> dict[str, Any]:
        """Return the schema of {"mentions": [...]}: providers want an object at the top."""
        item = {
            "type": "object",
            "properties": {"text": {"type": "string"}, "label": {"type": "string", "enum": list(self.labels.names)}},
            "required": ["text", "label"],
            "additionalProperties": False,
        }
        return {
            "type": "object",
            "properties": {"mentions": {"type": "array", "items": item}},
            "required": ["mentions"],
            "additionalProperties": False,
        }


def _place(answer: str, piece: Piece, seen: int) -> Place:
    """Return the place of a piece in `answer`, not before `seen`: its object, else its surface, else the span around it."""
    start, end = piece.place
    at = max(start, seen) - 1
    while piece.item is not None and (at := answer.find("{", at + 1, end)) >= 0:
        if (whole := decoded(answer, at)) and whole[0] == piece.item:
            return at, whole[1]
    at = answer.find(piece.surface or "", max(start, seen), end)
    return (at, at + len(piece.surface or "")) if at >= 0 else (min(start, len(answer)), min(end, len(answer)))


def build(*, labels: Sequence[Label]) -> JsonList:
    """Build the format for `labels`."""
    return JsonList(labels)
