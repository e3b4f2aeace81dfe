"""Probabilities of parts of an answer, from the log-probabilities of its tokens; and the inverse.

A place is a pair of offsets into the answer (characters, end exclusive). Every `Entity.score` is computed here, for LMs that
report log-probabilities and for the in-context CRF, which writes its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import exp, log

Place = tuple[int, int]
Token = tuple[str, float]
"""A piece of an answer and its natural log-probability."""

_LEAST = 1e-300


def likelihoods(answer: str, tokens: Iterable[tuple[bytes, float]], places: Sequence[Place]) -> list[float | None]:
    """Return for each place the probability (0..1) of all tokens that overlap it.

    Tokens are UTF-8 bytes, because a token may be part of a character. Tokens before the answer (reasoning) and after it are
    ignored. The result is None for an empty place, and for all places if the tokens do not spell the answer.
    """
    pieces = list(tokens)
    whole = _bytes(answer)
    first = b"".join(piece for piece, _ in pieces).rfind(whole) if pieces else -1
    if first < 0:
        return [None] * len(places)
    ends = [end - first for end in accumulate(len(piece) for piece, _ in pieces)]
    marks = list(zip([-first, *ends], ends, (logprob for _, logprob in pieces), strict=False))
    found: list[float | None] = []
    for start, end in places:
        a, b = len(_bytes(answer[:start])), len(_bytes(answer[:end]))
        found.append(min(exp(sum(p for x, y, p in marks if x < b and a < y)), 1.0) if a < b else None)
    return found


def tokens_of(answer: str, scored: Iterable[tuple[Place, float]]) -> tuple[Token, ...]:
    """Return `answer` as tokens from which `likelihoods` recovers the probability of each scored place.

    A place that overlaps an earlier one is skipped.
    """
    tokens: list[Token] = []
    at = 0
    for (start, end), score in sorted(scored):
        if start < at:
            continue
        tokens += [(answer[at:start], 0.0), (answer[start:end], log(max(score, _LEAST)))]
        at = end
    return tuple(token for token in (*tokens, (answer[at:], 0.0)) if token[0])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
