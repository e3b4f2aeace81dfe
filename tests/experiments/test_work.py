"""The folder of a run under way: who may take it up."""

from pathlib import Path
from typing import Any

import pytest

from experiments.runs import work
from experiments.runs.work import Work


def test_an_interrupted_run_is_taken_up_once(tmp_path: Path) -> None:
    with Work.open(tmp_path, "key") as first, Work.open(tmp_path, "key") as beside:
        assert beside.folder != first.folder
        beside.note(finished=True)
    with Work.open(tmp_path, "other") as other:
        assert other.folder != first.folder
    with Work.open(tmp_path, "key") as again:
        assert again.folder == first.folder


def test_a_run_that_ends_while_it_is_looked_at_is_not_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Work.open(tmp_path, "key") as first:
        pass

    class Lock(work.FileLock):
        """Its owner finishes just before it lets go."""

        def acquire(self, *args: Any, **options: Any) -> Any:
            if Path(self.lock_file).parent == first.folder:
                first.note(finished=True)
            return super().acquire(*args, **options)

    monkeypatch.setattr(work, "FileLock", Lock)
    with Work.open(tmp_path, "key") as second:
        assert second.folder != first.folder
