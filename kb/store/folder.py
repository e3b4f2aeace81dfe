"""Stores a knowledge base in a folder: a JSON header and one memory-mapped file. No pickle; the bytes are deterministic.

The header `kb.json` lists the sections of `kb.bin` (`pack.py`) and its digest. A folder may come from an untrusted origin: the
header is checked against a schema (`schema.py`), and `kb.bin` against its digest and for consistent sections (`sections.py`).
This is done once. Then an empty marker file in the user's cache records the check, and opening takes milliseconds.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb import cache
from kb.errors import KnowledgeError
from kb.files import content, opened
from kb.graph import KnowledgeBase
from kb.names.filter import Filter
from kb.store.digest import digest, filter_options, fingerprint, sealed, sections
from kb.store.pack import Pack

if TYPE_CHECKING:
    from kb.store.schema import Header

FORMAT = "nerc knowledge base"
VERSION = 3  # of the files, of the sections in them, and of the normal forms in those (kb/names/tokens.py)
HEADER, DATA = "kb.json", "kb.bin"
_LONGEST = 1 << 24  # bytes of a header
_SETTLED = 2.0  # seconds: the modification time of a recently changed file is not reliable


def write(kb: KnowledgeBase, folder: str | Path) -> Path:
    """Write `kb` to `folder` atomically, and return the folder. It is unchanged if it already has `kb`.

    Another knowledge base in the folder is replaced; processes that have it open keep it. Raises KnowledgeError if the folder
    has anything else.
    """
    folder, header = Path(folder), _made(kb)
    if _holds(folder, header):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    temporary.mkdir()
    try:
        (temporary / DATA).write_bytes(kb.pack.block)
        (temporary / HEADER).write_bytes(header)  # last: without the header the folder does not open
        _put(temporary, folder, header)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def open_kb(folder: str | Path) -> KnowledgeBase:
    """Open a folder written by `write`. It is memory-mapped: processes share it, and only the used parts are read.

    The first time, all of it is read and checked. Raises KnowledgeError if the folder is missing, of another version, damaged,
    or inconsistent.
    """
    return _opened(Path(folder), anew=False)


def check(folder: str | Path) -> None:
    """Check all of a folder, even if it was checked before. Raises KnowledgeError if anything has changed."""
    _opened(Path(folder), anew=True)


def digest_of(folder: Path) -> str:
    """Return the digest of `kb.bin` from the header. Raises KnowledgeError without a valid header."""
    return _header(folder)[0].sha256


def _opened(folder: Path, *, anew: bool) -> KnowledgeBase:
    header, written = _header(folder)
    keep = Filter(frozenset(header.filter.stop), header.filter.shortest, header.filter.own_case)
    try:
        with opened(folder / DATA, header.size) as file:
            about = os.fstat(file.fileno())
            if about.st_size != header.size:
                raise KnowledgeError(f"{DATA} has {about.st_size} bytes, not {header.size}")
            block = mmap(file.fileno(), 0, access=ACCESS_READ)
        pack = Pack(block, {name: (begin, size, kind) for name, kind, begin, size in header.sections})
        if fingerprint(pack, keep, header.sha256) != header.fingerprint:
            raise KnowledgeError(f"the fingerprint in {HEADER} is not that of its content")
        if anew or not is_known(about, written):
            _verify(pack, header)
            remember(about, written)
        return KnowledgeBase.read(pack, keep, header.report, header.fingerprint)
    except (OSError, ValueError) as error:
        message = str(error) if isinstance(error, KnowledgeError) else f"{DATA}: {error}"
        raise KnowledgeError(f"{folder}: damaged knowledge base ({message}); build it again") from None


def _verify(pack: Pack, header: Header) -> None:
    if digest(pack.block) != header.sha256:
        raise KnowledgeError(f"{DATA} is not what was written")
    from kb.store.sections import (
        check_sections,  # imports numpy, a third of a second that a checked file does not need
    )

    check_sections(pack)


def _holds(folder: Path, header: bytes) -> bool:
    """Return whether `folder` has exactly this knowledge base. Raises KnowledgeError if it must not be replaced."""
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
    """Return whether a folder has the header of a knowledge base, of any version."""
    from kb.store.schema import Head

    try:
        Head.model_validate_json(content(folder / HEADER, _LONGEST))
        return True
    except ValueError:
        return False


def _put(temporary: Path, folder: Path, header: bytes) -> None:
    """Rename into place. A folder cannot replace a non-empty one, so the old one is renamed first."""
    aside = temporary.with_suffix(".old")
    try:
        os.rename(temporary, folder)
    except OSError:
        if _holds(folder, header):  # another process built the same in the meantime; its readers are not disturbed
            return
        os.rename(folder, aside)
        os.rename(temporary, folder)
    shutil.rmtree(aside, ignore_errors=True)


def _made(kb: KnowledgeBase) -> bytes:
    """Return the header of a knowledge base. Its seal covers all the rest."""
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": kb.fingerprint,
        "filter": filter_options(kb.filter),
        "report": dict(kb.report),
        "size": len(kb.pack.block),
        "sha256": digest(kb.pack.block),
        "sections": sections(kb.pack),
    }
    header["seal"] = sealed(header)
    return (json.dumps(header, indent=1, sort_keys=True) + "\n").encode()


def _header(folder: Path) -> tuple[Header, bytes]:
    """Return the header of a folder, checked against the schema and its seal, and its bytes."""
    from kb.files import problem  # imports pydantic, which importing kb does without
    from kb.store.schema import Head, Header

    if not (folder / HEADER).is_file():
        raise KnowledgeError(f"{folder}: no knowledge base is here ({HEADER} is missing)")
    try:
        written = content(folder / HEADER, _LONGEST)
        version = Head.model_validate_json(written).version
        if version != VERSION:
            raise KnowledgeError(
                f"{folder}: knowledge base of version {version}, this nerc reads {VERSION}; build it again"
            )
        header = Header.model_validate_json(written)
    except KnowledgeError:
        raise
    except ValueError as error:
        raise KnowledgeError(f"{folder}: damaged knowledge base ({HEADER}: {problem(error)}); build it again") from None
    if header.seal != sealed(header.model_dump(mode="json", exclude={"seal"})):
        raise KnowledgeError(f"{folder}: damaged knowledge base ({HEADER} is not what was written); build it again")
    return header, written


def is_known(about: os.stat_result, header: bytes) -> bool:
    """Return whether this file was checked before, by header, device, inode, size and time of change."""
    try:
        return _mark(about, header).is_file()
    except OSError:
        return False


def remember(about: os.stat_result, header: bytes) -> None:
    """Record that a file was checked. Without a writable cache it is checked again the next time."""
    if time.time() - about.st_mtime < _SETTLED:
        return
    try:
        mark = _mark(about, header)
        mark.parent.mkdir(mode=0o700, exist_ok=True)
        mark.touch(mode=0o600)
    except OSError:
        pass


def _mark(about: os.stat_result, header: bytes) -> Path:
    known = f"{digest(header)} {about.st_dev} {about.st_ino} {about.st_size} {about.st_mtime_ns}"
    return cache.folder() / "verified" / digest(known.encode())
