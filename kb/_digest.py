"""Digests: the fingerprint of a knowledge base, and what tells a whole file from a damaged one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from kb._pack import Pack
from kb.names import Filter

# The other sections (names, ways from strings to numbers, relations backwards) follow from these and the filter.
CONTENT = (
    "ids.text", "ids.starts", "titles.text", "titles.starts", "types.text", "types.starts", "type", "details.text",
    "details.starts", "kinds.text", "kinds.starts", "out.starts", "out.kind", "out.end",
)  # fmt: skip
WHOLE = 1 << 25  # bytes: a file up to this size is read throughout when it is opened, which takes less than 0.1 s
_BLOCK, _BLOCKS = 1 << 12, 1 << 8  # of a larger one so many blocks, evenly spread, the first and the last among them


def fingerprint(pack: Pack, keep: Filter) -> str:
    """16 hexadecimal digits over everything that changes what a knowledge base answers."""
    return sealed({"content": [digest(pack.section(name)) for name in CONTENT], "filter": filter_options(keep)})


def filter_options(keep: Filter) -> dict[str, object]:
    """The options of a filter as JSON can hold them."""
    return {"own_case": keep.own_case, "shortest": keep.shortest, "stop": sorted(keep.stop)}


def sealed(data: object) -> str:
    """16 hexadecimal digits over plain data."""
    return digest(json.dumps(data, sort_keys=True).encode())[:16]


def digest(content: bytes | memoryview) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def probe(read: Callable[[int, int], bytes], size: int) -> str:
    """A digest of what `read(begin, end)` gives: of all up to `WHOLE` bytes, else of blocks that show most damage."""
    if size <= WHOLE:
        return digest(read(0, size))
    begins = (number * (size - _BLOCK) // (_BLOCKS - 1) for number in range(_BLOCKS))
    return digest(b"".join(read(begin, begin + _BLOCK) for begin in begins))
