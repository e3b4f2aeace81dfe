"""Trials as MLflow runs nested in their run: the changes of each, its scores, and its gain over the first trial."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from experiments.runs.models import tag_of
from experiments.runs.paging import every_run
from experiments.spec import Program
from ner_programs.privacy import Privacy
from optimizers.trial import Trial

LONGEST = 120
Log = Callable[[str, Mapping[str, float], Mapping[str, str]], None]
"""Writes metrics and params of a run, given its id, in one request."""


class TrialRuns:
    """Writes the trials of one run. Trials written before an interruption are not written again."""

    def __init__(self, client: Any, run: Any, log: Log, privacy: Privacy) -> None:
        self._client, self._run, self._log, self._privacy = client, run, log, privacy
        self._written: set[int] = set()
        self._first: tuple[int, float] | None = None
        self._since = int(time.time() * 1000)

    def resume(self) -> None:
        """Find the finished trials, and delete an unfinished one."""
        within = f"tags.mlflow.parentRunId = '{self._run.info.run_id}' AND tags.`nerc.kind` = 'trial'"
        for found in list(every_run(self._client, [self._run.info.experiment_id], within)):
            if found.info.status == "FINISHED":
                self._written.add(int(found.data.tags["nerc.trial"]))
            else:
                self._client.delete_run(found.info.run_id)

    def write(self, trial: Trial, figures: Mapping[str, float]) -> None:
        """Write a finished trial with its metrics, and the settings that may be logged."""
        f1, since, self._since = trial.scored.total.f1, self._since, int(time.time() * 1000)
        if trial.documents and self._first is None:
            self._first = (trial.documents, f1)
        if trial.number in self._written:
            return
        documents, first = self._first or (0, 0.0)
        gain = {"trial_gain": round(f1 - first, 4)} if 0 < documents == trial.documents else {}
        changes, above = shown(trial.changes, self._privacy), self._run.info
        tags = {
            "nerc.kind": "trial", "nerc.trial": str(trial.number), "nerc.of": above.run_name,
            **tag_of(self._privacy), "mlflow.parentRunId": above.run_id,
            "mlflow.source.name": "nerc run", "mlflow.source.type": "LOCAL",
        }  # fmt: skip
        name = f"trial {trial.number}: {in_one_line(changes)}"
        run = self._client.create_run(above.experiment_id, start_time=since, run_name=name, tags=tags)
        self._log(run.info.run_id, {**figures, **gain}, {_setting(k): str(v) for k, v in changes.items()})
        self._client.set_terminated(run.info.run_id)
        self._written.add(trial.number)


def shown(changes: Mapping[str, Any], privacy: Privacy) -> dict[str, Any]:
    """Return the changes of a trial that may be shown: no instruction and no other text, unless texts may be logged."""
    return {k: v for k, v in changes.items() if privacy.may_log or not (k.endswith("instruction") or _is_text(v))}


def _is_text(value: Any) -> bool:
    """Return whether a value is or holds more than a name: several words, or non-ASCII letters (scripts without blanks)."""
    if isinstance(value, Mapping):
        return any(map(_is_text, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_is_text, value))
    return isinstance(value, str) and (len(value.split()) > 1 or not value.isascii())


def in_one_line(changes: Mapping[str, Any]) -> str:
    """Return changes in one short line."""
    line = " ".join(", ".join(f"{key} = {value}" for key, value in changes.items()).split()) or "as it is"
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _setting(key: str) -> str:
    """Return the param name of a change. A setting of the program has the same name as in the run's own params."""
    return f"program.{key}" if key.partition(".")[0] in Program.model_fields else f"trial.{key}"
