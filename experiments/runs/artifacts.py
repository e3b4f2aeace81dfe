"""Reads the artifacts of an MLflow run by name: JSON, JSON lines and text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_NOT_READ = ("bundle/pool.jsonl", "answers/test.jsonl")


def artifacts(client: Any, run_id: str) -> dict[str, Any]:
    """Return the run's artifacts by name, without the pool and the answers on test. JSON lines become lists."""
    folder = Path(client.download_artifacts(run_id, ""))
    found: dict[str, Any] = {}
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in (".json", ".jsonl", ".txt")):
        name = file.relative_to(folder).as_posix()
        if name in _NOT_READ:
            continue
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".jsonl":
            found[name] = json_lines(text)
        else:
            found[name] = json.loads(text) if file.suffix == ".json" else text
    return found


def json_lines(text: str) -> list[Any]:
    """Parse each line. Only "\\n" ends a line: a text may hold other line separators."""
    return [json.loads(line) for line in text.split("\n") if line]
