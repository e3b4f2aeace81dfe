"""Prices of tokens, and the token counts of requests and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million input tokens and per million output tokens."""

    input: float
    output: float

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Return the cost of one call in US dollars."""
        return (tokens_in * self.input + tokens_out * self.output) / 1e6


def known_price(model: str) -> Price | None:
    """Return the price of an API model from DSPy's table, or None. Opens no connection."""
    from dspy.clients.model_metadata import rate

    info = _about(model)
    paid = [rate(info, f"{side}_cost_per_token") if info else None for side in ("input", "output")]
    return None if paid[0] is None or paid[1] is None else Price(paid[0] * 1e6, paid[1] * 1e6)


def longest_answer(model: str) -> int:
    """Return the maximum number of tokens in an answer of an API model, from DSPy's table; 0 if it is not known."""
    return int(_about(model).get("max_output_tokens") or 0)


def _about(model: str) -> dict[str, Any]:
    from dspy.clients.model_metadata import model_info

    provider, _, name = model.partition("/")
    return model_info(provider, name) or {}


def size(request: Request) -> int:
    """Return the number of bytes of a request's text. Four are about a token; in non-Latin scripts, three are 1-2 tokens."""
    system = request.system
    if system is not None and not isinstance(system, str):
        system = "".join(getattr(part, "text", None) or "" for part in system)
    return len((system or "").encode()) + sum(len((m.text or "").encode()) + 16 for m in request.messages)


def usage(size: int, response: Response) -> tuple[int, int]:
    """Return the number of tokens of a request and of its answer; `size` bytes of its text serve as an estimate."""
    tokens_in = response.usage.input_tokens or size // 4
    return tokens_in, response.usage.output_tokens or len((response.message.text or "").encode()) // 4


def read_from_cache(response: Response) -> int:
    """Return the number of prompt tokens that the provider read from its cache; 0 if it does not report it."""
    return response.usage.cache_read_tokens or 0
