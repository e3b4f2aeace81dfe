"""Worker processes that answer prompts. Each reads one request per line and writes one answer per line, as JSON.

A worker is started as `python -m ner_programs.lms._worker`, not with `multiprocessing`, which would run the caller's script
again in each process.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence

from ner_programs.lms._answer import Answer, Refused


class Workers:
    """A pool of up to `size` processes, started when first needed; safe for threads."""

    def __init__(self, size: int) -> None:
        self._idle: queue.LifoQueue[subprocess.Popen[str] | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)
        self._all: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()
        self._closed = False

    def answer(self, system: str, turns: Sequence[str]) -> Answer | Refused:
        """Answer a prompt in an idle process. A process that has died is replaced, once.

        Raises RuntimeError if a new process dies on the prompt as well, and after `close`.
        """
        process = self._idle.get()
        try:
            for _ in range(2):
                process = process if process is not None and process.poll() is None else self._start()
                answers = _ask(process, system, turns)
                if answers:
                    return answers[0]
                process = None
            raise RuntimeError("a process of the in-context CRF died over a prompt, twice")
        finally:
            self._idle.put(process)

    def _start(self) -> subprocess.Popen[str]:
        path = os.pathsep.join(
            p or os.getcwd() for p in sys.path
        )  # the worker must import the caller's copy of this package
        process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}, start_new_session=True,
        )  # fmt: skip
        with self._lock:
            self._all.append(process)
            if self._closed:
                process.kill()
                raise RuntimeError("the processes of the in-context CRF have been closed")
        return process

    def close(self) -> None:
        """End all processes; none can be started again."""
        with self._lock:
            self._closed = True
            for process in self._all:
                process.kill()
                process.communicate()
            self._all.clear()


def _ask(process: subprocess.Popen[str], system: str, turns: Sequence[str]) -> list[Answer | Refused]:
    """Return a list with the answer of a process; an empty list if it died."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps([system, list(turns)]) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except (OSError, ValueError):  # the process was killed, or its pipes are closed
        return []
    if not line.endswith("\n"):
        return []
    reply = json.loads(line)
    return [Refused(reply) if isinstance(reply, str) else Answer(reply[0], tuple((t, p) for t, p in reply[1]))]


def main() -> None:
    """Answer requests until the caller closes the pipe or dies."""
    from ner_programs.lms._incontext import answer

    for line in sys.stdin:
        system, turns = json.loads(line)
        try:
            reply = answer(system, turns)
        except Exception as error:  # the message may quote a text, and this process writes to the user's terminal
            sys.exit(f"the in-context CRF: {type(error).__name__}")
        sys.stdout.write(
            json.dumps(reply.reason if isinstance(reply, Refused) else [reply.text, reply.logprobs]) + "\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
