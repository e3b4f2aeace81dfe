"""The stand-in: an in-context CRF behind DSPy's engine interface. It is not a language model.

It answers extraction from the demonstrations and knowledge lines of a prompt, in every format, and refuses all else: it reads
no instruction and writes none. It runs inside the process, or in `processes` of its own: the CRF library holds the
interpreter lock, threads gain nothing.
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
    """Answers from the prompt alone; its model name carries a hash of the code that answers."""

    supports_schema = False
    logprobs = True
    local = True
    writes = False
    form = frozenset[str]()
    pace = (0.003, 1.2e-5)
    """Seconds that a call, and a token of its prompt, take on two cores."""

    def __init__(self, processes: int) -> None:
        self.model, self.identity = f"crf/in-context-crf-{code_hash()}", ""
        self.price = Price(0.0, 0.0)
        self.concurrency = 2 * max(processes, 1)
        self._workers = Workers(processes) if processes else None

    def complete(self, request: Request) -> Response:
        """Answer one request; raises LMUnsupportedFeatureError where it asks for something else than mentions."""
        system, turns = _text(request.system), [m.text or "" for m in request.messages]
        said = (self._workers.answer if self._workers else answer)(system, turns)
        if isinstance(said, Refused):
            raise LMUnsupportedFeatureError(said.reason, model=self.model)
        tokens_in, tokens_out = (len(system) + sum(map(len, turns))) // 4, len(said.text) // 4
        return Response(
            id=None, model=request.model, message=Message.assistant([TextPart(said.text)]), finish_reason="stop",
            usage=Usage(input_tokens=tokens_in, output_tokens=tokens_out, total_tokens=tokens_in + tokens_out),
            logprobs=tuple(TokenLogprob(token, logprob) for token, logprob in said.logprobs) or None,
        )  # fmt: skip

    def close(self) -> None:
        """End the processes, if there are any."""
        if self._workers:
            self._workers.close()


def _text(system: str | Sequence[Any] | None) -> str:
    return system if isinstance(system, str) else "".join(getattr(part, "text", "") for part in system or ())


def code_files() -> list[Path]:
    """Return every file of nerc that an answer depends on."""
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
    """Return a hash of the code that answers, the CRF library's version with it: no answer is taken from another's cache.

    Comments, docstrings and layout are no part of it.
    """
    code = [version("python-crfsuite"), *(instructions(file.read_text(encoding="utf-8")) for file in code_files())]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:8]


def instructions(source: str) -> str:
    """Return what a file does, without what it only says: its syntax tree, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def build(*, processes: Annotated[int, Interval(ge=0, le=1000)] = 0) -> Crf:
    """Build the stand-in; 0 processes answers inside this one."""
    return Crf(processes)
