"""What a file probably is, for the message about one that a reader cannot read; nothing of it is quoted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_core import from_json

_HEAD = 1 << 16  # bytes looked at
_SIGNS = {
    "webanno": r"\A#FORMAT=WebAnno TSV",
    "i2b2": r'^(c|EVENT|TIMEX3)="[^\n]*" \d+:\d+ \d+:\d+\|\||<ClinicalNarrativeTemporalAnnotation',
    "pubtator": r"^[^|\s]+\|t\|",
    "bioc": r"<collection\b",
    "brat": r"^T\d+\t\S+ \d+ \d+[ \d;]*\t",
    "conll": r"^\S+[ \t]([^\n]*[ \t])?(O|[BIESLU]-\S+)\r?$",
}
_TOOLS = {"label_studio": "Label Studio", "conll": "CoNLL", "webanno": "WebAnno TSV 3", "hf": "a Hugging Face dataset"}


def guess(path: Path) -> str:
    """Return the reader that a file, or the first one of a folder, is probably for; nothing where that cannot be told."""
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.is_file() and not f.name.startswith("."))
        return next((name for file in files[:2] if (name := guess(file))), "")
    with path.open("rb") as stream:
        head = stream.read(_HEAD).decode("utf-8", "replace").removeprefix("\ufeff")
    if head.lstrip()[:1] in ("{", "["):
        return _json(head.strip())
    return next((name for name, sign in _SIGNS.items() if re.search(sign, head, re.MULTILINE)), "")


def hint(path: Path, reader: str) -> str:
    """Return what to set where a file looks like one of another reader, to end a message with."""
    name = guess(path) if path.exists() else ""
    called = _TOOLS.get(name, name)
    return f'; it looks like {called}: set name = "{name}" in [corpus]' if name not in ("", reader) else ""


def _json(head: str) -> str:
    if head.startswith("["):
        tasks = re.search(r'"(annotations|completions)"\s*:', head) and re.search(r'"data"\s*:', head)
        return "label_studio" if tasks else "hf"
    for line in head.splitlines()[:20]:
        try:
            row: Any = from_json(line)
        except ValueError:
            continue
        if isinstance(row, dict) and (name := _row(row)):
            return name
    return ""


def _row(row: Mapping[str, Any]) -> str:
    """Return the reader of a JSON line by its keys."""
    if "_input_hash" in row or {"spans", "answer"} <= row.keys():
        return "prodigy"
    triples = row.get("label") or row.get("labels")
    if isinstance(triples, list) and isinstance(triples[0], list):
        return "doccano"
    if {"tokens", "passages"} & row.keys():
        return "hf"
    return "jsonl" if {"text"} <= row.keys() and {"entities", "spans"} & row.keys() else ""
