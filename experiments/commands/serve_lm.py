"""What `nerc serve-lm` does."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from typing import Any

from experiments.commands.console import err, print_json
from experiments.serving.faults import read_plan


@dataclass(frozen=True)
class Address:
    """Where to serve; port 0 is any free one."""

    host: str
    port: int


def serve_lm(
    address: Address, processes: int | None, faults: Sequence[str], seed: int, latency_ms: float, *, json: bool
) -> None:
    """Serve the offline engine until it is interrupted or told to end, then say how many requests became what."""
    plan = read_plan(faults, seed)
    with redirect_stdout(sys.stderr):
        from experiments.serving.engine import answers_of
        from experiments.serving.server import Server
        from experiments.session import backend_of, shared_backend
        from experiments.spec import Model
        from ner_programs.privacy import is_loopback

        backend: Any = shared_backend(Model()) if processes is None else backend_of(Model(), processes=processes)
        if not is_loopback(address.host):
            err.print(
                f"warning: {address.host} is not loopback: whoever reaches it may ask, without a key or encryption"
            )
        server = Server(
            answers_of(backend), backend.model.removeprefix("offline/"), plan=plan, latency=latency_ms / 1000,
            host=address.host, port=address.port,
        )  # fmt: skip
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell lets what it starts in the background ignore the first
            signal.signal(number, signal.default_int_handler)
        try:
            with server, suppress(KeyboardInterrupt):
                err.print(_how(server.base, server.model), soft_wrap=True, markup=False)
                server.closing.wait()
        finally:
            backend.close()
    summary = {
        "requests": sum(server.tally.values()),
        "distinct": len(server.attempts),
        "became": dict(server.tally.most_common()),
    }
    became = ", ".join(f"{what} {count}" for what, count in server.tally.most_common())
    err.print(f"{summary['requests']} requests, {summary['distinct']} distinct: {became or 'none'}", soft_wrap=True)
    if json:
        print_json(summary)


def _how(base: str, model: str) -> str:
    return f"""{base} answers as {model}: an in-context CRF, not a language model; ctrl-C ends it
from nerc:  nerc run SPEC.toml --lm hosted_vllm/{model} --set lm.api_base={base}
elsewhere:  client = openai.OpenAI(base_url="{base}", api_key="none")
            client.chat.completions.create(model="{model}", messages=[...])"""
