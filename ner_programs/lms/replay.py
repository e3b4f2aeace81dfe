"""Replays recorded answers. A cassette is a file of JSON lines, one answer per request, recorded with `lm.record`.

A cassette has the answers of one model. A request is identified by a hash: the file contains the answers, not the prompts.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dspy._vendor.lm15.serde import request_to_dict, response_from_dict, response_to_dict
from dspy.lm15 import Request, Response
from dspy.utils.exceptions import LMConfigurationError

from ner_programs.errors import LMSetupError
from ner_programs.lms.metered import Backend, Sample, max_answer, sample
from ner_programs.lms.price import Price


class Replay:
    """Answers from a cassette. A request that is not in it raises an error."""

    local = True

    def __init__(self, path: Path) -> None:
        self.path = path
        head, self._answers = _read(path)
        self.model, self.identity = f"replay/{head['model']}", hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        self.supports_schema, self.logprobs = bool(head.get("schema")), bool(head.get("logprobs"))
        self.writes, self.form = bool(head.get("writes", True)), frozenset(head.get("form", ()))
        self.max_answer = int(head.get("max_answer", 0))
        self.price = Price(**head["price"]) if head.get("price") else None

    def complete(self, request: Request) -> Response:
        """Return the recorded answer; LMConfigurationError if there is none."""
        answer = self._answers.get(_key(request, sample.get()))
        if answer is None:
            raise LMConfigurationError(
                f"{self.path} holds no answer to this request; record it again", model=self.model
            )
        return response_from_dict(answer)


class Recorder:
    """Appends the answers of a backend to a cassette, new or existing."""

    def __init__(self, backend: Backend, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        if _begun(path):
            head, answers = _read(path)
            if head["model"] != backend.model:
                raise LMSetupError(f"{path} holds answers of {head['model']}; record {backend.model} to another file")
            self._known = set(answers)
        else:
            self._known = set()
            price = asdict(backend.price) if backend.price else None
            head = {"cassette": 1, "model": backend.model, "schema": backend.supports_schema, "price": price}
            head |= {"logprobs": backend.logprobs, "writes": backend.writes}
            head |= {"form": sorted(getattr(backend, "form", ())), "max_answer": max_answer(backend)}
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            path.chmod(0o600)
            path.write_text(json.dumps(head) + "\n", encoding="utf-8")

    def keep(self, request: Request, which: Sample, response: Response) -> None:
        """Record an answer, if its request is not in the cassette yet."""
        key = _key(request, which)
        with self._lock:
            if key not in self._known:
                self._known.add(key)
                with self._path.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps({"key": key, "answer": response_to_dict(response)}) + "\n")


def _key(request: Request, which: Sample) -> str:
    """Return a hash of a request without the model's name, and of which of its answers is meant."""
    parts = [{k: v for k, v in request_to_dict(request).items() if k != "model"}, list(which)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def _begun(path: Path) -> bool:
    """Return whether the file exists and has content. An incomplete last line, left by a killed recording, is removed first."""
    whole = path.read_bytes() if path.exists() else b""
    kept = whole[: whole.rfind(b"\n") + 1]
    if kept == whole or (kept or whole)[:11] == b'{"cassette"'[: len(kept or whole)]:
        if kept != whole:
            os.truncate(path, len(kept))
        return bool(kept)
    return True  # not a cassette: left unchanged, and _read raises the error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        # A killed recording may have left an incomplete line after the last line end.
        head, *rows = [json.loads(line) for line in lines[:-1]]
        return {**head, "model": str(head["model"])}, {row["key"]: row["answer"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LMSetupError(f"{path}: not a cassette of recorded answers: {error}") from error


def build(*, path: Path | None = None) -> Replay:
    """Open a cassette."""
    if path is None:
        raise LMSetupError("replay needs the cassette to answer from: lm.path")
    return Replay(path)
