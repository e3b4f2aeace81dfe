"""From the sources of a spec to a knowledge base, built once and kept in `mlruns/kb/`, one folder a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import FileLock

from experiments._errors import SpecError
from kb import KnowledgeBase, open_kb, write_kb
from ner_programs.components import resolve


def knowledge_base(sources: Sequence[Mapping[str, Any]], data: Path, home: Path) -> tuple[KnowledgeBase, Path]:
    """Return the knowledge base made of `sources`, and the folder it lies in.

    A source's path is taken as it stands, else below the data directory (and its `ontologies` folder), else as a file
    of the embedded sample (`ward.obo`). The same sources are not read twice. Raises SpecError for a path that is nowhere.
    """
    located = [_located(dict(source), data) for source in sources]
    store = home / "kb"
    store.mkdir(parents=True, exist_ok=True)
    known = store / f"{_key(located)}.source"
    with FileLock(store / ".lock"):
        if known.is_file() and (folder := store / known.read_text().strip()).is_dir():
            return open_kb(folder), folder
        kb = KnowledgeBase.of(chain.from_iterable(resolve("kb.sources", source) for source in located))
        folder = store / kb.fingerprint
        if not folder.is_dir():
            write_kb(kb, folder)
        known.write_text(f"{kb.fingerprint}\n")
    return kb, folder


def _located(source: dict[str, Any], data: Path) -> dict[str, Any]:
    path = source.get("path")
    if not isinstance(path, str):
        return source
    sample = Path(__file__).parent / "corpora" / "_wardnotes"
    places = [Path(path), data / path, data / "ontologies" / path, sample / path]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise SpecError(f"kb.sources: there is no {path}, neither as it stands nor in the data directory {data}")
    return {**source, "path": str(found.absolute())}


def _key(sources: Sequence[Mapping[str, Any]]) -> str:
    """Return a hash of the sources' options and of their files' content."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(
            json.dumps({k: v for k, v in source.items() if k != "path"}, sort_keys=True, default=str).encode()
        )
        if "path" in source:
            with open(source["path"], "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
