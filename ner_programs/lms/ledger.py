"""What a run has spent: counted in memory, and written ahead to a file that survives the run being killed."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any


@dataclass(slots=True)
class Spent:
    """Calls (distinct requests), what they cost, and how they went. `cached` calls were answered by an earlier run.

    `kept_in` and `kept_out` are the tokens of those: what they cost that run. `tokens_cached` and `kept_cached` say how many of
    `tokens_in` and `kept_in` the provider had worked on before and read from its cache, as far as it reports that.
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
        """Tokens in and out."""
        return self.tokens_in + self.tokens_out

    def as_dict(self) -> dict[str, float]:
        """Return all figures as plain data."""
        return asdict(self) | {"tokens": self.tokens}


class Ledger:
    """Appends one line before each request is sent and one when it is settled; counts each request once."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._file: IO[str] | None = None
        self._before: list[dict[str, Any]] = []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._before = _read(path)
            self._file = path.open("a", encoding="utf-8")

    def sent(self) -> set[str]:
        """Return the requests that were sent before the file was opened: by the same run, before it was killed."""
        return {row["key"] for row in self._before if row["event"] == "reserved"}

    def write(self, event: str, key: str, **details: Any) -> None:
        """Append one event; on disk (of this machine) when the call returns."""
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
    """Read the events of a ledger; a last line that was cut off is taken away."""
    whole = path.read_bytes() if path.exists() else b""
    kept = whole[: whole.rfind(b"\n") + 1]
    if kept != whole:
        with path.open("rb+") as file:
            file.truncate(len(kept))
    return [json.loads(line) for line in kept.splitlines()]
