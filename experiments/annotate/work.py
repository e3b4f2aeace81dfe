"""The work folder of an annotation, beside its output: what lets one that was killed go on.

`OUT.work/` holds a manifest (of which job it is), the finished documents as JSON lines, in order, and the LM's answers. A job
goes on behind the last document that has all its answers: later ones cost no call where their answers are kept. The folder is
for its owner alone, and is removed when every document has its answers.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from experiments.errors import SpecError
from kb.files import draft_of

FAILED = ("unanswered", "refused")


class Work:
    """A work folder that is open; `done` documents are finished."""

    def __init__(self, folder: Path, done: int) -> None:
        self.folder, self.done = folder, done
        self._stream = self.finished.open("a", encoding="utf-8")

    @classmethod
    def open(cls, out: Path, job: dict[str, str]) -> Work:
        """Open the work folder of `out`, new or as a job left it; `job` says by name what decides the annotations.

        Raises SpecError where the folder is of another job.
        """
        folder = out.with_name(f"{out.name}.work")
        folder.mkdir(mode=0o700, exist_ok=True)
        manifest = folder / "manifest.json"
        if not manifest.exists():
            with draft_of(manifest, 0o600) as draft:
                draft.write_text(json.dumps(job, indent=1), "utf-8")
        elif differ := _differ(manifest, job):
            raise SpecError(
                f"{folder}: an unfinished annotation of another job ({differ} differ); finish it with its own command, or "
                "remove the folder"
            )
        finished = folder / "documents.jsonl"
        finished.touch(0o600)
        return cls(folder, _whole(finished))

    @property
    def finished(self) -> Path:
        """The file of finished documents, JSON lines."""
        return self.folder / "documents.jsonl"

    @property
    def answers(self) -> Path:
        """The file of the LM's answers."""
        return self.folder / "answers.db"

    def add(self, line: str) -> None:
        """Write a finished document, with its line end."""
        self._stream.write(line)
        self._stream.flush()

    def close(self) -> None:
        """Close the file of finished documents."""
        self._stream.close()

    def remove(self) -> None:
        """Remove the folder: the annotation is complete."""
        self.close()
        shutil.rmtree(self.folder)


def failed(row: dict[str, Any]) -> int:
    """Return how many answers about a finished document failed."""
    return sum(row.get("answers", {}).get(how, 0) for how in FAILED)


def _differ(manifest: Path, job: dict[str, str]) -> str:
    """Return what the manifest of a folder has other than `job`, as text; "" if nothing."""
    try:
        old = json.loads(manifest.read_bytes())
    except ValueError:
        return "all things"
    return ", ".join(name for name in job if not isinstance(old, dict) or old.get(name) != job[name])


def _whole(finished: Path) -> int:
    """Cut a file of documents behind the last of those that begin it and have all their answers; return how many these are."""
    number = at = 0
    with finished.open("rb") as stream:
        for line in stream:
            if not line.endswith(b"\n") or failed(json.loads(line)):
                break
            number, at = number + 1, at + len(line)
    os.truncate(finished, at)
    return number
