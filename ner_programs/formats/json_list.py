"""A JSON list, one object a mention, in the order of the text: `[{"text": "...", "label": "..."}]`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ner_programs.formats._base import Labels, Reading
from ner_programs.types import Label, Mention


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
        rows = sorted(mentions, key=lambda m: (m.start or 0, len(m.text)))
        return json.dumps([{"text": m.text, "label": m.label} for m in rows], ensure_ascii=False)

    def read(self, answer: str) -> Reading:
        """Read every object that names a text and a known label, wherever it stands in the answer."""
        found, unreadable = [], 0
        objects = list(_objects(answer))
        for item in objects:
            text, said = item.get("text"), item.get("label")
            label = self.labels.recognise(said) if isinstance(said, str) else None
            if isinstance(text, str) and text.strip() and label:
                found.append(Mention(text, label))
            else:
                unreadable += 1
        if not objects and "[]" not in "".join(answer.split()):
            unreadable += 1
        return Reading(found, unreadable)

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


def _objects(answer: str) -> Iterator[dict[str, Any]]:
    """Yield the innermost JSON objects of an answer that may be fenced, echoed, wrapped or cut off."""
    decoder, at = json.JSONDecoder(strict=False), 0
    while (at := answer.find("{", at)) >= 0:
        try:
            value, at = decoder.raw_decode(answer, at)
        except ValueError:
            at += 1
            continue
        yield from _leaves(value)


def _leaves(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        nested = [v for v in value.values() if isinstance(v, list | dict)]
        if "text" in value or not nested:
            yield from [value] if value.keys() - {"mentions"} else []
        for inner in nested:
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)


def build(*, labels: Sequence[Label]) -> JsonList:
    """Build the format for `labels`."""
    return JsonList(labels)
