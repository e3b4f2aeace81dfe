"""Digests: the fingerprint of a knowledge base, and the checksums that detect damaged files."""

from __future__ import annotations

import hashlib
import json
from mmap import mmap

from kb.names.filter import Filter
from kb.store.pack import Pack


def fingerprint(pack: Pack, keep: Filter, block: str | None = None) -> str:
    """Return the fingerprint of a knowledge base, 16 hexadecimal digits; `block` is the digest of its block, if known."""
    return sealed({
        "block": block or digest(pack.block), "sections": sections(pack), "filter": filter_options(keep),
    })  # fmt: skip


def sections(pack: Pack) -> list[list[object]]:
    """Return name, kind, begin and size of every section, for JSON."""
    return [[name, kind, begin, size] for name, (begin, size, kind) in pack.places.items()]


def filter_options(keep: Filter) -> dict[str, object]:
    """Return the options of a filter, for JSON."""
    return {"own_case": keep.own_case, "shortest": keep.shortest, "stop": sorted(keep.stop)}


def sealed(data: object) -> str:
    """Return a digest of plain data, 16 hexadecimal digits."""
    return digest(json.dumps(data, sort_keys=True).encode())[:16]


def digest(content: bytes | mmap) -> str:
    """Return the SHA-256 digest in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
