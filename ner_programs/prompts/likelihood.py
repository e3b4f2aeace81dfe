"""How likely the parts of an answer are: what the log-probabilities of its tokens say of a place in it, and the inverse.

A place is a pair of offsets into the answer (characters, end exclusive). This is the one path to `Entity.score`: an LM that
reports log-probabilities and the in-context CRF, which writes its own, go the same way.
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
    """Return for each place the probability of all tokens that write it (0..1), those at its edges too.

    Tokens are bytes of UTF-8, for one may hold a part of a character; what stands before (a model's thoughts) or behind
    the answer among them is passed over. None for all places where the tokens do not make up the answer, and for an empty
    place.
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
    """Return `answer` as tokens of which `likelihoods` makes the probability of each scored place again.

    A place that overlaps one before it is passed over.
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
