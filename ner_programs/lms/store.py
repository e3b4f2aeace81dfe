"""Caches the answers to requests, so that a killed run can be resumed without paying twice."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from dspy._vendor.lm15.serde import response_from_dict, response_to_dict
from dspy.lm15 import RefusalPart, Response, TextPart


class AnswerStore:
    """A sqlite file of answers by key, safe for threads and processes. Without a path it is in memory."""

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # sqlite's side files get the same mode
            path.chmod(0o600)
        self.lasting = path is not None
        self._lock = threading.Lock()
        self._brief = LastAnswers()
        self._db = sqlite3.connect(path or ":memory:", timeout=60, check_same_thread=False, isolation_level=None)
        # WAL survives a killed process. Only a power failure could lose the last answers.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID"
        )

    def get(self, key: str) -> Response | None:
        """Return the answer to the request `key`, or None."""
        with self._lock:
            row = self._db.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return response_from_dict(json.loads(row[0])) if row else self._brief.get(key)

    def put(self, key: str, answer: Response) -> None:
        """Keep an answer; the first one for a key stays. An empty one is not written to the file: another run asks again."""
        if _says_nothing(answer):
            return self._brief.put(key, answer)
        # ASCII: an answer can contain a lone surrogate, which sqlite rejects
        written = json.dumps(response_to_dict(answer))
        with self._lock:
            self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (key, written))

    def __len__(self) -> int:
        with self._lock:
            return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


class LastAnswers:
    """The `most` recently used answers, in memory; with None, all. `dropped` is called with the key of each that is removed."""

    def __init__(self, most: int | None = 1024) -> None:
        self.most, self.lasting = most, False
        self.dropped: Callable[[str], None] = lambda key: None
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, Response] = OrderedDict()

    def get(self, key: str) -> Response | None:
        """Return the answer to the request `key`, or None."""
        with self._lock:
            if key not in self._answers:
                return None
            self._answers.move_to_end(key)
            return self._answers[key]

    def put(self, key: str, answer: Response) -> None:
        """Keep an answer; the first one for a key stays."""
        with self._lock:
            self._answers.setdefault(key, answer)
            while self.most is not None and len(self._answers) > self.most:
                self.dropped(self._answers.popitem(last=False)[0])

    def __len__(self) -> int:
        return len(self._answers)

    def close(self) -> None:
        """Remove all answers."""
        self._answers.clear()


def _says_nothing(answer: Response) -> bool:
    """Return whether a reply is empty, which counts as a call that failed."""
    parts = answer.message.parts
    said = any(isinstance(p, RefusalPart) or (isinstance(p, TextPart) and p.text.strip()) for p in parts)
    return not said and answer.finish_reason != "length"
