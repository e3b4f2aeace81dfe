"""The stand-in: an in-context CRF as a backend. It is not a language model.

It answers extraction prompts in every format, from their demonstrations and knowledge lines. It refuses all other prompts: it
cannot read or write an instruction. It runs in this process or in `processes` worker processes. Threads do not make it faster,
because the CRF library holds the interpreter lock.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval
from dspy.lm15 import Message, Request, Response, TextPart, TokenLogprob, Usage
from dspy.utils.exceptions import LMUnsupportedFeatureError

from ner_programs.lms._answer import Refused
from ner_programs.lms._incontext import answer
from ner_programs.lms._worker import Workers
from ner_programs.lms.price import Price

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Crf:
    """Answers from the prompt alone. Its model name contains a hash of the answering code."""

    supports_schema = False
    logprobs = True
    local = True
    writes = False
    form = frozenset[str]()
    pace = (0.003, 1.2e-5)
    """Seconds per call, and per token of its prompt, on two cores."""

    def __init__(self, processes: int) -> None:
        self.model, self.identity = f"crf/in-context-crf-{code_hash()}", ""
        self.price = Price(0.0, 0.0)
        self.concurrency = 2 * max(processes, 1)
        self._workers = Workers(processes) if processes else None

    def complete(self, request: Request) -> Response:
        """Answer one request; LMUnsupportedFeatureError if it is not an extraction prompt."""
        system, turns = _text(request.system), [m.text or "" for m in request.messages]
        reply = (self._workers.answer if self._workers else answer)(system, turns)
        if isinstance(reply, Refused):
            raise LMUnsupportedFeatureError(reply.reason, model=self.model)
        tokens_in, tokens_out = (len(system) + sum(map(len, turns))) // 4, len(reply.text) // 4
        return Response(
            id=None, model=request.model, message=Message.assistant([TextPart(reply.text)]), finish_reason="stop",
            usage=Usage(input_tokens=tokens_in, output_tokens=tokens_out, total_tokens=tokens_in + tokens_out),
            logprobs=tuple(TokenLogprob(token, logprob) for token, logprob in reply.logprobs) or None,
        )  # fmt: skip

    def close(self) -> None:
        """End the worker processes, if there are any."""
        if self._workers:
            self._workers.close()


def _text(system: str | Sequence[Any] | None) -> str:
    return system if isinstance(system, str) else "".join(getattr(part, "text", "") for part in system or ())


def code_files() -> list[Path]:
    """Return every file of nerc on which an answer depends."""
    package = Path(__file__).parent.parent
    parts = {
        ".": ("__init__", "components", "errors", "types"),
        "lms": ("__init__", "_answer", "_incontext"),
        "prompts": ("__init__", "decisions", "likelihood", "prompt"),
        "tagger": ("__init__", "consistency", "copies", "crf", "features"),
    }
    files = [package / folder / f"{name}.py" for folder, names in parts.items() for name in names]
    knowledge = [package.parent / "kb" / f"{name}.py" for name in ("__init__", "errors")]
    return sorted([*files, *knowledge, *package.glob("alignment/*.py"), *package.glob("formats/*.py")])


@cache
def code_hash() -> str:
    """Return a hash of the answering code and the CRF library's version, so that other code's cached answers are not used.

    Comments, docstrings and layout do not change it.
    """
    code = [version("python-crfsuite"), *(instructions(file.read_text(encoding="utf-8")) for file in code_files())]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:8]


def instructions(source: str) -> str:
    """Return the syntax tree of a file without docstrings, as text."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def build(*, processes: Annotated[int, Interval(ge=0, le=1000)] = 0) -> Crf:
    """Build the stand-in. With 0 processes, it answers in this one."""
    return Crf(processes)
