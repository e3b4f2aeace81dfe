"""The work folder of a run: what lets a run that was killed be found again and go on.

`mlruns/work/<run id>/` holds `work.json` (what is being run, whether it is finished), the ledger of LM calls, and a lock
that a living process holds.
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
    """One run under way, held by a lock."""

    folder: Path
    fingerprint: str

    @classmethod
    @contextmanager
    def open(cls, home: Path, fingerprint: str) -> Iterator[Work]:
        """Take up the interrupted run with this fingerprint that no living process holds, or begin a new one."""
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
                if not _interrupted(state, fingerprint):  # finished since it was looked at
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
        """The file that every LM call is written to."""
        return self.folder / "ledger.jsonl"

    def note(self, **details: Any) -> None:
        """Add to what the folder says of its run, in one step."""
        state = self.folder / "work.json"
        with draft_of(state) as draft:
            draft.write_text(json.dumps({**_read(state), "fingerprint": self.fingerprint, **details}) + "\n")

    def bundle(self, home: Path, spec: RunSpec) -> Path:
        """Return where the bundle of this run goes."""
        return home / "bundles" / f"{spec.name}-{_read(self.folder / 'work.json')['run_id'][:8]}"

    def _taken_up(self, home: Path, corpus: Corpus) -> RunRecorder | None:
        """Return the recorder of the MLflow run; None where there is none yet, or somebody has deleted it."""
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
        """Begin or take up the MLflow run; it ends FINISHED, FAILED by an error (its `reason`), or KILLED by an interrupt."""
        recorder = self._taken_up(home, corpus)
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
    said = _read(state)
    return said.get("fingerprint") == fingerprint and not said.get("finished")


def _read(file: Path) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return said
