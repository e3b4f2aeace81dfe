"""The work folder of a run, from which a killed run resumes.

`mlruns/work/<run id>/` has `work.json` (the run's fingerprint and whether it is finished), the ledger of LM calls, and a lock
that the running process holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from filelock import FileLock, Timeout

from experiments.corpora.corpus import Corpus
from experiments.errors import TrackingError, reason
from experiments.runs.recorder import RunRecorder, run_name
from experiments.spec import RunSpec
from kb.files import draft_of
from ner_programs.program import NERProgram

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Work:
    """One unfinished run, protected by a lock."""

    folder: Path
    fingerprint: str

    @classmethod
    @contextmanager
    def open(cls, home: Path, fingerprint: str) -> Iterator[Work]:
        """Resume an interrupted run with this fingerprint that no other process holds, or start a new one."""
        root = home / "work"
        root.mkdir(parents=True, exist_ok=True)
        for state in sorted(root.glob("*/work.json")):
            if not _interrupted(state, fingerprint):
                continue
            lock = FileLock(state.parent / ".lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            with _held(lock.release):
                if not _interrupted(state, fingerprint):  # finished in the meantime
                    continue
                yield cls(state.parent, fingerprint)
            return
        folder = root / uuid4().hex[:12]
        folder.mkdir()
        with FileLock(folder / ".lock"):
            work = cls(folder, fingerprint)
            work.note(finished=False)
            yield work

    @property
    def ledger(self) -> Path:
        """The file that records every LM call."""
        return self.folder / "ledger.jsonl"

    def note(self, **details: Any) -> None:
        """Add to `work.json`, atomically."""
        state = self.folder / "work.json"
        with draft_of(state) as draft:
            draft.write_text(json.dumps({**_read(state), "fingerprint": self.fingerprint, **details}) + "\n")

    def bundle(self, home: Path, spec: RunSpec) -> Path:
        """Return the folder for the bundle of this run."""
        return home / "bundles" / f"{spec.name}-{_read(self.folder / 'work.json')['run_id'][:8]}"

    def _resumed(self, home: Path, corpus: Corpus) -> RunRecorder | None:
        """Return the recorder of the MLflow run; None if there is none yet or it was deleted."""
        run_id = _read(self.folder / "work.json").get("run_id")
        try:
            return None if run_id is None else RunRecorder.resume(home, corpus, run_id)
        except TrackingError:
            return None

    @contextmanager
    def tracked(
        self, home: Path, spec: RunSpec, corpus: Corpus, program: NERProgram, name: str | None = None,
        parent: str | None = None,
    ) -> Iterator[RunRecorder]:  # fmt: skip
        """Start or resume the MLflow run. It ends FINISHED, FAILED by an error (its `reason`), or KILLED by an interrupt."""
        recorder = self._resumed(home, corpus)
        if recorder is None:
            recorder = RunRecorder.start(home, spec, corpus, program, name or run_name(spec), parent)
            if parent is not None:
                recorder.tracker.tag("fingerprint", self.fingerprint)
        self.note(run_id=recorder.run_id)
        try:
            yield recorder
        except Exception as error:
            recorder.tracker.tag("reason", reason(error))
            recorder.tracker.end("FAILED")
            raise
        except BaseException:
            recorder.tracker.end("KILLED")
            raise
        recorder.tracker.end()
        self.note(finished=True)


@contextmanager
def _held(release: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    finally:
        release()


def _interrupted(state: Path, fingerprint: str) -> bool:
    work = _read(state)
    return work.get("fingerprint") == fingerprint and not work.get("finished")


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content
