"""Records what a run has spent: counts in memory, and a write-ahead file that survives if the run is killed."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import IO, Any


@dataclass(slots=True)
class Spent:
    """The number of calls (distinct requests), their cost, and their outcomes. `cached` calls were answered by an earlier run.

    `kept_in` and `kept_out` are the tokens of the cached calls, which the earlier run paid for. `tokens_cached` and
    `kept_cached` are the parts of `tokens_in` and `kept_in` that the provider read from its prompt cache, if it reports them.
    """

    calls: int = 0
    cached: int = 0
    attempts: int = 0
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    kept_in: int = 0
    kept_out: int = 0
    kept_cached: int = 0
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.tokens_in + self.tokens_out

    def __sub__(self, before: Spent) -> Spent:
        return Spent(*(now - then for now, then in zip(astuple(self), astuple(before), strict=True)))

    def as_dict(self) -> dict[str, float]:
        """Return all figures as plain data."""
        return asdict(self) | {"tokens": self.tokens}


class Ledger:
    """Appends one line before each request is sent and one when it is finished. Each request counts once."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._file: IO[str] | None = None
        self._before: list[dict[str, Any]] = []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._before = _read(path)
            self._file = path.open("a", encoding="utf-8")

    def sent(self) -> set[str]:
        """Return the keys of requests that the same run sent before it was killed (before this object opened the file)."""
        return {row["key"] for row in self._before if row["event"] == "reserved"}

    def write(self, event: str, key: str, **details: Any) -> None:
        """Append one event. It is in the file when the call returns, and survives a killed process."""
        if self._file is None:
            return
        line = json.dumps({"event": event, "key": key, **details})
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _read(path: Path) -> list[dict[str, Any]]:
    """Read the events of a ledger. An incomplete last line is removed from the file."""
    whole = path.read_bytes() if path.exists() else b""
    kept = whole[: whole.rfind(b"\n") + 1]
    if kept != whole:
        with path.open("rb+") as file:
            file.truncate(len(kept))
    return [json.loads(line) for line in kept.splitlines()]
