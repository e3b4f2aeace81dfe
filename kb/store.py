"""A knowledge base as a folder: a header to read and one file to map into memory. No pickle, same bytes for same content.

`kb.json` says what there is and where in `kb.bin` each section lies (`kb/_pack.py`), with digests. Opening checks the header
against itself, the size of `kb.bin`, and a probe of its content: all of it up to 32 MiB, else 256 blocks of 4 KiB spread
over it. `check` reads everything.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO

from kb._digest import digest, filter_options, probe, sealed
from kb._errors import KnowledgeError
from kb._pack import Pack
from kb.graph import KnowledgeBase
from kb.names import Filter

FORMAT = "nerc knowledge base"
VERSION = 2  # of the files here and of the normal forms in them (kb/_tokens.py)
HEADER, DATA = "kb.json", "kb.bin"


def write(kb: KnowledgeBase, folder: str | Path) -> Path:
    """Write `kb` to `folder` and return it; the folder appears whole or not at all, and is left alone if it holds `kb`.

    Another knowledge base that is there is replaced; who has that open keeps it. Raises KnowledgeError if anything else
    is there.
    """
    folder, header = Path(folder), _made(kb)
    if _holds(folder, header):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    temporary.mkdir()
    try:
        (temporary / DATA).write_bytes(kb.pack.block)
        (temporary / HEADER).write_bytes(header)  # last: without it nothing opens
        _put(temporary, folder, header)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def open_kb(folder: str | Path) -> KnowledgeBase:
    """Open what `write` wrote; it is mapped into memory, so that many processes share it and only what is used is read.

    Raises KnowledgeError if the folder is missing, of another version, or damaged as far as a look at it can tell; the
    head of this file says which look, and `check` takes a longer one.
    """
    folder = Path(folder)
    header = _header(folder)
    try:
        options = header["filter"]
        keep = Filter(frozenset(options["stop"]), options["shortest"], options["own_case"])
        with (folder / DATA).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != header["size"]:
                raise KnowledgeError(f"{DATA} has {size} bytes, not {header['size']}")
            if probe(lambda begin, end: _read(file, begin, end), size) != header["probe"]:
                raise KnowledgeError(f"{DATA} is not what was written")
            block = mmap(file.fileno(), 0, access=ACCESS_READ)
        pack = Pack(block, {name: (begin, length, kind) for name, kind, begin, length, _ in header["sections"]})
        return KnowledgeBase.read(pack, keep, header["report"], header["fingerprint"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise KnowledgeError(f"{folder}: damaged knowledge base ({error}); build it again") from None


def _read(file: BinaryIO, begin: int, end: int) -> bytes:
    """Read, not through the map: a look at one page of it maps those around it too, a hundred megabytes in all."""
    file.seek(begin)
    return file.read(end - begin)


def check(folder: str | Path) -> None:
    """Read all of a folder and raise KnowledgeError if any of it is not as it was written; a second per gigabyte or two."""
    pack = open_kb(folder).pack
    for name, *_, written in _header(Path(folder))["sections"]:
        if digest(pack.section(name)) != written:
            raise KnowledgeError(f"{folder}: damaged knowledge base ({name} is not what was written); build it again")


def _holds(folder: Path, header: bytes) -> bool:
    """Whether `folder` is this knowledge base and whole; a KnowledgeError if it is something that may not be replaced."""
    if not folder.exists():
        return False
    if not folder.is_dir() or not ({path.name for path in folder.iterdir()} <= {HEADER, DATA} or _is_ours(folder)):
        raise KnowledgeError(f"{folder}: something other than a knowledge base is there; it was left alone")
    try:
        check(folder)
        return (folder / HEADER).read_bytes() == header
    except (OSError, KnowledgeError):
        return False


def _is_ours(folder: Path) -> bool:
    """Whether a folder has the header of a knowledge base, of whatever version."""
    try:
        return bool(json.loads((folder / HEADER).read_bytes())["format"] == FORMAT)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _put(temporary: Path, folder: Path, header: bytes) -> None:
    """Rename into place. A folder cannot be renamed onto a full one, so that one steps aside first."""
    aside = temporary.with_suffix(".old")
    try:
        os.rename(temporary, folder)
    except OSError:
        if _holds(folder, header):  # another process built the same meanwhile; whoever reads it is not disturbed
            return
        os.rename(folder, aside)
        os.rename(temporary, folder)
    shutil.rmtree(aside, ignore_errors=True)


def _made(kb: KnowledgeBase) -> bytes:
    """The header of a knowledge base. Its seal is over all the rest, its fingerprint over digests that stand in it."""
    pack = kb.pack
    rows = [[name, kind, begin, size, digest(pack.section(name))] for name, (begin, size, kind) in pack.places.items()]
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": kb.fingerprint,
        "filter": filter_options(kb.filter),
        "report": dict(kb.report),
        "size": len(pack.block),
        "probe": probe(lambda begin, end: pack.block[begin:end], len(pack.block)),
        "sections": rows,
    }
    header["seal"] = sealed(header)
    return (json.dumps(header, indent=1, sort_keys=True) + "\n").encode()


def _header(folder: Path) -> Any:
    """The header of a folder, checked against itself."""
    path = folder / HEADER
    if not path.is_file():
        raise KnowledgeError(f"{folder}: no knowledge base is here ({HEADER} is missing)")
    try:
        header = json.loads(path.read_bytes())
        version = header["version"]
    except (OSError, ValueError, LookupError, TypeError):
        raise KnowledgeError(f"{folder}: damaged knowledge base ({HEADER} cannot be read); build it again") from None
    if version != VERSION:
        message = f"{folder}: knowledge base of version {version!r}, this nerc reads {VERSION}; build it again"
        raise KnowledgeError(message)
    if header.get("seal") != sealed({key: value for key, value in header.items() if key != "seal"}):
        raise KnowledgeError(f"{folder}: damaged knowledge base ({HEADER} is not what was written); build it again")
    return header
