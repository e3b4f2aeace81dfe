"""A knowledge base as a folder of plain text: no pickle, the same bytes for the same content, checked when opened."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from kb import _canonical
from kb._build import Parts
from kb._errors import KnowledgeError
from kb.concept import Concept, Relation
from kb.graph import KnowledgeBase
from kb.names import Filter, NameIndex

VERSION = 1  # of the files here and of the normal forms in names.jsonl (kb/_tokens.py)
HEADER, CONCEPTS, RELATIONS, NAMES = "kb.json", "concepts.jsonl", "relations.jsonl", "names.jsonl"


def write(kb: KnowledgeBase, folder: str | Path) -> Path:
    """Write `kb` to `folder` and return it; the folder appears whole or not at all, and is left alone if it holds `kb`.

    Another knowledge base that is there is replaced. Raises KnowledgeError if anything else is there.
    """
    folder = Path(folder)
    files = _files(kb)
    if _holds(folder, files):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    temporary.mkdir()
    try:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        _put(temporary, folder, files)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def open_kb(folder: str | Path) -> KnowledgeBase:
    """Open what `write` wrote.

    Raises KnowledgeError if the folder is missing, of another version, or not what its fingerprint says.
    """
    folder = Path(folder)
    header = _header(folder)
    try:
        options = header["filter"]
        keep = Filter(frozenset(options["stop"]), options["shortest"], options["own_case"])
        concepts, relations, names = ((folder / name).read_bytes() for name in (CONCEPTS, RELATIONS, NAMES))
        whole = _canonical.fingerprint(concepts, relations, keep) == header["fingerprint"]
        if not whole or hashlib.sha256(names).hexdigest() != header["names"]:
            raise KnowledgeError("its files are not those it was written with")
        parts = Parts(
            tuple(Concept(i, n, t, tuple(s), d, tuple(x)) for i, n, t, s, d, x in _rows(concepts)),
            tuple(Relation(*row) for row in _rows(relations)),
            header["report"],
        )
        return KnowledgeBase.assembled(parts, _read_names(names, parts.concepts), keep, header["fingerprint"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise KnowledgeError(f"{folder}: damaged knowledge base ({error}); build it again") from None


def _files(kb: KnowledgeBase) -> dict[str, bytes]:
    names = _names_lines(kb)
    header = {
        "format": "nerc knowledge base",
        "version": VERSION,
        "fingerprint": kb.fingerprint,
        "concepts": len(kb),
        "relations": sum(1 for _ in kb.relations()),
        "filter": _canonical.filter_options(kb.filter),
        "names": hashlib.sha256(names).hexdigest(),
        "report": dict(kb.report),
    }
    return {
        CONCEPTS: _canonical.concept_lines(kb.concepts),
        RELATIONS: _canonical.relation_lines(kb.relations()),
        NAMES: names,
        HEADER: (json.dumps(header, indent=1, sort_keys=True) + "\n").encode(),  # last: without it nothing opens
    }


def _holds(folder: Path, files: dict[str, bytes]) -> bool:
    """Whether `folder` is these files already; a KnowledgeError if it is something that may not be replaced."""
    if not folder.exists():
        return False
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - files.keys():
        raise KnowledgeError(f"{folder}: something other than a knowledge base is there; it was left alone")
    return all((folder / name).is_file() and (folder / name).read_bytes() == files[name] for name in files)


def _put(temporary: Path, folder: Path, files: dict[str, bytes]) -> None:
    """Rename into place. A folder cannot be renamed onto a full one, so that one steps aside first."""
    aside = temporary.with_suffix(".old")
    try:
        os.rename(temporary, folder)
    except OSError:
        if _holds(folder, files):  # another process built the same meanwhile; whoever reads it is not disturbed
            return
        os.rename(folder, aside)
        os.rename(temporary, folder)
    shutil.rmtree(aside, ignore_errors=True)


def _header(folder: Path) -> Any:
    path = folder / HEADER
    if not path.is_file():
        raise KnowledgeError(f"{folder}: no knowledge base is here ({HEADER} is missing)")
    try:
        header = json.loads(path.read_bytes())
        version = header["version"]
    except (ValueError, LookupError, TypeError):
        raise KnowledgeError(f"{folder}: damaged knowledge base ({HEADER} cannot be read); build it again") from None
    if version != VERSION:
        message = f"{folder}: knowledge base of version {version!r}, this nerc reads {VERSION}; build it again"
        raise KnowledgeError(message)
    return header


def _rows(lines: bytes) -> Any:
    """All lines at once: three times as fast as line by line."""
    return json.loads("[" + lines.decode("utf-8", "surrogatepass").rstrip("\n").replace("\n", ",") + "]")


def _names_lines(kb: KnowledgeBase) -> bytes:
    """One JSON array a line: normal form; how it is found (null: any case, "": never, else own spelling); numbers."""
    number = {concept.id: place for place, concept in enumerate(kb.concepts)}
    index = kb.names
    rows: list[tuple[str, str | None, tuple[str, ...]]] = [(name, None, ids) for name, ids in index.free.items()]
    rows += [(name, own, ids) for name, spellings in index.own_case.items() for own, ids in spellings.items()]
    rows += [(name, "", ids) for name, ids in index.unsought.items()]
    return _canonical.lines([name, how, *map(number.__getitem__, ids)] for name, how, ids in rows)


def _read_names(lines: bytes, concepts: tuple[Concept, ...]) -> NameIndex:
    alone = [(concept.id,) for concept in concepts]  # most names name one concept: one tuple serves all of its names
    free: dict[str, tuple[str, ...]] = {}
    own_case: dict[str, dict[str, tuple[str, ...]]] = {}
    unsought: dict[str, tuple[str, ...]] = {}
    for name, how, *numbers in _rows(lines):
        ids = alone[numbers[0]] if len(numbers) == 1 else tuple(concepts[number].id for number in numbers)
        if how is None:
            free[name] = ids
        elif how:
            own_case.setdefault(name, {})[how] = ids
        else:
            unsought[name] = ids
    return NameIndex(free, own_case, unsought)
