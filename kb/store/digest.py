"""Digests: the fingerprint of a knowledge base, and what tells a whole file from a damaged one."""

from __future__ import annotations

import hashlib
import json
from mmap import mmap

from kb.names.filter import Filter
from kb.store.pack import Pack


def fingerprint(pack: Pack, keep: Filter, block: str | None = None) -> str:
    """16 hexadecimal digits over all that a knowledge base answers from; `block` is the digest of its block, if known."""
    return sealed({
        "block": block or digest(pack.block), "sections": sections(pack), "filter": filter_options(keep),
    })  # fmt: skip


def sections(pack: Pack) -> list[list[object]]:
    """Name, kind, begin and size of every section, as JSON can hold them."""
    return [[name, kind, begin, size] for name, (begin, size, kind) in pack.places.items()]


def filter_options(keep: Filter) -> dict[str, object]:
    """The options of a filter as JSON can hold them."""
    return {"own_case": keep.own_case, "shortest": keep.shortest, "stop": sorted(keep.stop)}


def sealed(data: object) -> str:
    """16 hexadecimal digits over plain data."""
    return digest(json.dumps(data, sort_keys=True).encode())[:16]


def digest(content: bytes | mmap) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
