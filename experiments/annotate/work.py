"""The work folder of an annotation, beside its output: what lets one that was killed go on.

`OUT.work/` holds a manifest (of which job it is), the finished documents as JSON lines, in order, and the LM's answers. A job
goes on with the documents that lack an answer, and with no other: the lines of the rest are copied. So while it does, the lines
of the last time stand in `before.jsonl`. The folder is for its owner alone, and is removed when every document has its answers.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path

from experiments.errors import SpecError
from kb.files import draft_of
from ner_programs.prompts.answers import Answers
from ner_programs.types import Document

NOW, BEFORE = "documents.jsonl", "before.jsonl"


class Work:
    """A work folder that is open; `done` documents have all their answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines, failed = _taken_up(folder)
        self.done = lines - failed
        self._before = (folder / BEFORE).open("rb") if failed else None
        self._at = 0 if failed else lines  # the number of the next line
        self._asked = deque[int]()
        self._stream = self.finished.open("ab")

    @classmethod
    def open(cls, out: Path, job: dict[str, str]) -> Work:
        """Open the work folder of `out`, new or as a job left it; `job` says by name what decides the annotations.

        Raises SpecError where the folder is of another job.
        """
        folder = _folder(out)
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _is_of(folder, job):
            with draft_of(folder / "manifest.json", 0o600) as draft:
                draft.write_text(json.dumps(job, indent=1), "utf-8")
        return cls(folder)

    @property
    def finished(self) -> Path:
        """The file of finished documents, JSON lines."""
        return self.folder / NOW

    @property
    def answers(self) -> Path:
        """The file of the LM's answers."""
        return self.folder / "answers.db"

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
        self.close()
        (self.folder / BEFORE).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files."""
        self._stream.close()
        if self._before is not None:
            self._before.close()

    def remove(self) -> None:
        """Remove the folder: the annotation is complete."""
        self.close()
        shutil.rmtree(self.folder)

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
    if out is not None and _is_of(_folder(out), job):
        lines = _lines(_folder(out))
    return (document for _, document in _missing(documents, lines))


def failed(line: bytes) -> bool:
    """Return whether an answer about a finished document failed."""
    return b'"answers"' in line and Answers(**json.loads(line).get("answers", {})).failed > 0


def _missing(documents: Iterable[Document], lines: Iterator[bytes]) -> Iterator[tuple[int, Document]]:
    for number, document in enumerate(documents):
        line = next(lines, None)
        if line is None or failed(line):
            yield number, document


def _folder(out: Path) -> Path:
    return out.with_name(f"{out.name}.work")


def _is_of(folder: Path, job: dict[str, str]) -> bool:
    """Return whether a folder is of a job; False where there is none yet. Raises SpecError where it is of another job."""
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return False
    if differ := _differ(manifest, job):
        raise SpecError(
            f"{folder}: an unfinished annotation of another job ({differ} differ); finish it with its own command, or "
            "remove the folder"
        )
    return True


def _differ(manifest: Path, job: dict[str, str]) -> str:
    """Return what the manifest of a folder has other than `job`, as text; "" if nothing."""
    try:
        old = json.loads(manifest.read_bytes())
    except ValueError:
        return "all things"
    return ", ".join(name for name in job if not isinstance(old, dict) or old.get(name) != job[name])


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
        lines, bad, size = lines + 1, bad + failed(line), size + len(line)
    os.truncate(now, size)
    if bad:
        now.rename(before)
        now.touch(0o600)
    return lines, bad
