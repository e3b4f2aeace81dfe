"""Recorded answers: a cassette is a file of JSON lines, one answer for each request, made by `record`.

A cassette holds the answers of one model. Requests are known by a hash; their text is not in the file, the answers are.
"""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspy._vendor.lm15.serde import request_to_dict, response_from_dict, response_to_dict
from dspy.lm15 import Request, Response
from dspy.utils.exceptions import LMConfigurationError

from ner_programs._errors import LMSetupError
from ner_programs.lms.price import Price

if TYPE_CHECKING:
    from ner_programs.lms.metered import Backend


class Replay:
    """Answers from a cassette; a request that is not in it is an error, not a guess."""

    supports_schema = False
    price: Price | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        recorded, self._answers = _read(path)
        self.model, self.identity = f"replay/{recorded}", hashlib.sha256(path.read_bytes()).hexdigest()[:16]

    def complete(self, request: Request) -> Response:
        """Return the recorded answer."""
        answer = self._answers.get(_key(request))
        if answer is None:
            raise LMConfigurationError(f"{self.path} holds no answer to this request; record it again", model=self.model)
        return response_from_dict(answer)


class Recorder:
    """A backend that writes every answer of another backend to a cassette as it comes."""

    def __init__(self, backend: Backend, path: Path) -> None:
        self.model, self.identity = backend.model, backend.identity
        self.supports_schema, self.price = False, backend.price  # a replay cannot know whether a schema was asked for
        self._backend, self._lock = backend, threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            recorded, answers = _read(path)
            if recorded != backend.model:
                raise LMSetupError(f"{path} holds answers of {recorded}; record {backend.model} to another file")
            self._known = set(answers)
        else:
            self._known = set()
            path.write_text(json.dumps({"cassette": 1, "model": backend.model}) + "\n", encoding="utf-8")
            path.chmod(0o600)
        self._path = path

    def complete(self, request: Request) -> Response:
        """Answer, and record the answer."""
        response = self._backend.complete(request)
        key = _key(request)
        line = json.dumps({"key": key, "answer": response_to_dict(response)}, ensure_ascii=False)
        with self._lock:
            if key not in self._known:
                self._known.add(key)
                with self._path.open("a", encoding="utf-8") as lines:
                    lines.write(line + "\n")
        return response


def _key(request: Request) -> str:
    """Return a hash of everything in a request but the model's name."""
    parts = {k: v for k, v in request_to_dict(request).items() if k != "model"}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def _read(path: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        # What follows the last line end was cut off when the recording was killed.
        head, *rows = [json.loads(line) for line in lines[:-1]]
        return str(head["model"]), {row["key"]: row["answer"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LMSetupError(f"{path}: not a cassette of recorded answers: {error}") from error


def build(*, path: Path) -> Replay:
    """Open a cassette."""
    return Replay(path)
