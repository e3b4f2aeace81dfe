"""A JSON list, one object a mention, in the order of the text: `[{"text": "...", "label": "..."}]`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ner_programs._likelihood import Place
from ner_programs.formats._base import Found, Labels, Reading, in_order
from ner_programs.types import Label, Mention

_DECODER = json.JSONDecoder(strict=False)


class JsonList:
    """One object for each mention; read object by object, so that a truncated list loses only its last one."""

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
        """Read every object that names a text and a known label, wherever it stands in the answer."""
        found: list[Found] = []
        unreadable = seen = 0
        objects = list(_objects(answer))
        for item, (start, end) in objects:
            text, said = item.get("text"), item.get("label")
            label = self.labels.recognise(said) if isinstance(said, str) else None
            if isinstance(text, str) and text.strip() and label:
                place = _place(answer, item, max(start, seen), end)
                seen = place[0] + 1
                found.append((Mention(text, label), place))
            else:
                unreadable += 1
        if not objects and "[]" not in "".join(answer.split()):
            unreadable += 1
        return Reading.of(found, unreadable)

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


def _objects(answer: str) -> Iterator[tuple[dict[str, Any], Place]]:
    """Yield the innermost JSON objects of an answer that may be fenced, echoed, wrapped or cut off, and where the outermost
    around each stands.
    """
    at = 0
    while (at := answer.find("{", at)) >= 0:
        try:
            value, end = _DECODER.raw_decode(answer, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        yield from ((leaf, (at, end)) for leaf in _leaves(value))
        at = end


def _place(answer: str, item: dict[str, Any], start: int, end: int) -> Place:
    """Return where in `answer[start:end]` the object `item` is written first; all of it if that cannot be told."""
    at = start - 1
    while (at := answer.find("{", at + 1, end)) >= 0:
        try:
            value, stop = _DECODER.raw_decode(answer, at)
        except (ValueError, RecursionError):
            continue
        if all(value.get(key) == item[key] for key in ("text", "label")):
            return at, stop
    return start, end


def _leaves(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]  # no recursion: a model may nest as deep as it likes
    while waiting:
        value = waiting.pop()
        inner = list(value.values()) if isinstance(value, dict) else value
        nested = [v for v in inner if isinstance(v, list | dict)]
        if isinstance(value, dict) and ("text" in value or not nested) and value.keys() - {"mentions"}:
            yield value
        waiting += reversed(nested)


def build(*, labels: Sequence[Label]) -> JsonList:
    """Build the format for `labels`."""
    return JsonList(labels)
