"""The work folder of an annotation, beside its output: what lets one that was killed go on.

`OUT.work/` holds a manifest (of which job it is), the finished documents as JSON lines, in order, and the LM's answers. A job
goes on with the documents that lack an answer, and with no other: the lines of the rest are copied. So while it does, the lines
of the last time stand in `before.jsonl`. The folder is for its owner alone, of one command at a time (which holds `.lock`), and
goes when every document has its answers, or was refused them for good. A folder of this name that is not nerc's is left alone.
"""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from experiments.annotate.documents import ended
from experiments.errors import SpecError
from kb.files import draft_of
from ner_programs.types import Document

NOW, BEFORE, WRITTEN, MANIFEST, LOCK = "documents.jsonl", "before.jsonl", "written", "manifest.json", ".lock"
FILES = (
    "failed.jsonl",
    BEFORE,
    NOW,
    "answers.db",
    "answers.db-wal",
    "answers.db-shm",
    "costs.txt",
    WRITTEN,
    MANIFEST,
    LOCK,
)
"""What a work folder has. They are removed in this order: until the manifest goes, it is seen whose they are."""
_DRAFT = re.compile(r"\.manifest\.json\.\d+\.draft")


class Work:
    """A work folder that is open; `done` documents have all answers that they will ever have."""

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self.folder, self._lock = folder, lock
        lines, failed = _taken_up(folder)
        self.done = lines - failed
        self._before = (folder / BEFORE).open("rb") if failed else None
        self._at = 0 if failed else lines  # the number of the next line
        self._asked = deque[int]()
        self._stream = self.finished.open("ab")

    @classmethod
    def open(cls, out: Path, job: dict[str, str]) -> Work:
        """Open the work folder of `out`, new or as a job left it; `job` says by name what decides the annotations.

        Raises SpecError where the folder is of another job, or not nerc's, or another command is at work in it.
        """
        folder = folder_of(out)
        _is_of(folder, job)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        lock = _locked(folder, out)
        try:
            if not _is_of(folder, job):
                with draft_of(folder / MANIFEST, 0o600) as draft:
                    draft.write_text(json.dumps(job, indent=1), "utf-8")
            return cls(folder, lock)
        except BaseException:
            lock.release()
            raise

    @property
    def finished(self) -> Path:
        """The file of finished documents, JSON lines."""
        return self.folder / NOW

    @property
    def answers(self) -> Path:
        """The file of the LM's answers."""
        return self.folder / "answers.db"

    @property
    def costs(self) -> Path:
        """The file of what the LM's answers cost."""
        return self.folder / "costs.txt"

    @property
    def failures(self) -> Path:
        """The file that lists what failed, JSON lines of ids and reasons."""
        return self.folder / "failed.jsonl"

    def missing(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yield those of all documents of the job that lack an answer; `add` takes their lines, in this order."""
        for number, document in self.elsewhere(documents).numbered():
            self._asked.append(number)
            yield document

    def elsewhere(self, documents: Iterable[Document]) -> Missing:
        """Return the same documents for another process, which reads them beside this one."""
        return Missing(documents, self.done, None if self._before is None else (self.folder / BEFORE).absolute())

    def add(self, line: str) -> None:
        """Write a finished document, with its line end, behind those before it that were finished earlier."""
        number = self._asked.popleft()
        self._copy(number - self._at)
        if self._before is not None:
            self._before.readline()  # what failed
        self._stream.write(line.encode("utf-8"))
        self._stream.flush()
        self._at = number + 1

    def finish(self) -> None:
        """Write what was finished earlier behind the last document that was asked about. Nothing is missing now."""
        self._copy(None)
        self._close_lines()
        (self.folder / BEFORE).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files, and let other commands in."""
        self._close_lines()
        self._lock.release()

    def remove(self) -> None:
        """Remove the folder, if it has nobody else's files: the annotation is complete."""
        self._close_lines()
        for name in FILES:
            for draft in self.folder.glob(f".{name}.*.draft"):
                draft.unlink()
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # it is not empty
            self.folder.rmdir()
        self._lock.release()

    def _close_lines(self) -> None:
        self._stream.close()
        if self._before is not None:
            self._before.close()

    def _copy(self, number: int | None) -> None:
        self._stream.writelines(islice(self._before or (), number))


@dataclass(frozen=True, slots=True)
class Missing:
    """The documents of a job that lack an answer, each time they are iterated; `before` has the lines of the last time."""

    documents: Iterable[Document]
    done: int
    before: Path | None

    def __iter__(self) -> Iterator[Document]:
        return (document for _, document in self.numbered())

    def numbered(self) -> Iterator[tuple[int, Document]]:
        """Yield each with its number among all documents."""
        if self.before is None:
            yield from _missing(self.documents, repeat(b"", self.done))
            return
        with self.before.open("rb") as lines:
            yield from _missing(self.documents, lines)


def left(out: Path | None, job: dict[str, str], documents: Iterable[Document]) -> Iterator[Document]:
    """Yield the documents that a job for `out` would ask about. Nothing is written. Raises SpecError as `Work.open` does."""
    lines: Iterator[bytes] = iter(())
    if out is not None and _is_of(folder_of(out), job):
        lines = _lines(folder_of(out))
    return (document for _, document in _missing(documents, lines))


def is_open(line: bytes) -> bool:
    """Return whether a document is to be asked about again, of which a line was written."""
    return b'"answers"' in line and ended(line).open


def _missing(documents: Iterable[Document], lines: Iterator[bytes]) -> Iterator[tuple[int, Document]]:
    for number, document in enumerate(documents):
        line = next(lines, None)
        if line is None or is_open(line):
            yield number, document


def mark_of(out: Path) -> Path:
    """Return the file of a work folder that says what an unfinished annotation has written to `out`, if that is a folder."""
    return folder_of(out) / WRITTEN


def folder_of(out: Path) -> Path:
    """Return the work folder of an output."""
    return out.with_name(f"{out.name}.work")


def _locked(folder: Path, out: Path) -> FileLock:
    """Return the lock of a work folder, which is held then. Raises SpecError where another command holds it."""
    lock = FileLock(folder / LOCK, mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise SpecError(f"{out}: another command is writing it, in {folder}; wait until it has ended") from None
    if not (folder / LOCK).exists():  # the other has just removed it
        lock.release()
        raise SpecError(f"{out}: another command was writing it; the same command can begin now")
    return lock


def _is_of(folder: Path, job: dict[str, str]) -> bool:
    """Return whether a folder is of a job; False where there is none yet, or an empty one.

    Raises SpecError where it is of another job, or not nerc's.
    """
    if not os.path.lexists(folder):
        return False
    old: Any = None
    if folder.is_dir() and not folder.is_symlink():
        if all(name == LOCK or _DRAFT.fullmatch(name) for name in os.listdir(folder)):
            return False
        with suppress(OSError, ValueError):
            old = json.loads((folder / MANIFEST).read_bytes())
    if not isinstance(old, dict) or not job.keys() <= old.keys():
        raise SpecError(
            f"{folder}: no unfinished annotation of nerc's, which needs this name for one; move it elsewhere"
        )
    if differ := ", ".join(name for name in job if old[name] != job[name]):
        raise SpecError(
            f"{folder}: an unfinished annotation of another job ({differ} differ); finish it with its own command, or "
            "remove the folder"
        )
    return True


def _lines(folder: Path) -> Iterator[bytes]:
    """Yield the whole lines of a folder: those written last, then what stood behind them before."""
    number = 0
    for name in (NOW, BEFORE):
        if (folder / name).exists():
            with (folder / name).open("rb") as stream:
                for line in islice(stream, number, None):
                    if line.endswith(b"\n"):
                        number += 1
                        yield line


def _taken_up(folder: Path) -> tuple[int, int]:
    """Make a folder ready to go on; return how many lines it has, and how many of these failed.

    Where some failed all lines are in `before.jsonl` then. Wherever this is interrupted no line is lost.
    """
    now, before = folder / NOW, folder / BEFORE
    if before.exists():
        with draft_of(now, 0o600) as draft, draft.open("wb") as stream:
            stream.writelines(_lines(folder))
        before.unlink()
    now.touch(0o600)
    lines = bad = size = 0
    for line in _lines(folder):
        lines, bad, size = lines + 1, bad + is_open(line), size + len(line)
    os.truncate(now, size)
    if bad:
        now.rename(before)
        now.touch(0o600)
    return lines, bad
