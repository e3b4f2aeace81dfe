"""Reads the decisions of an inline-marked answer from its log-probabilities: opening a mark, closing it, choosing its label.

Such an answer copies the text, so all its other tokens are forced. The log-probabilities of a token and its alternatives give
the odds that the LM opens a mark at a word, or closes one after a word, instead of continuing. Input-dependent grammars: Geng
et al. (2023), see `formats/grammar.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, inf, log
from typing import Any, Literal, NamedTuple

_LEAST = -50.0


class Marks(NamedTuple):
    """How an inline format marks a mention.

    `opens` and `closes` are the possible beginnings of tokens that open and close a mark. `mention` matches a whole mark, with
    the groups `surface` and `label`.
    """

    opens: tuple[str, ...]
    closes: tuple[str, ...]
    mention: re.Pattern[str]


class Token(NamedTuple):
    """A token of an answer (UTF-8 bytes, because it may be part of a character) with its natural log-probability.

    `others` are the alternative tokens at its place, with their log-probabilities.
    """

    piece: bytes
    logprob: float
    others: tuple[tuple[str, float], ...] = ()


def tokens_in(logprobs: Any) -> list[Token]:
    """Return the tokens that an API reports; an empty list if they are malformed."""
    try:
        return [
            Token(
                _bytes(t),
                float(t.logprob),
                tuple((_bytes(o).decode("utf-8", "replace"), float(o.logprob)) for o in t.top_logprobs or ()),
            )
            for t in logprobs.content or ()
        ]
    except (AttributeError, TypeError, ValueError):
        return []


def _bytes(token: Any) -> bytes:
    """Return the bytes of a token. Some servers report only its string in their vocabulary."""
    return bytes(token.bytes) if token.bytes is not None else token.token.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision at offset `at` of the answer. `odds` are the log-odds of a mark (of a label: of this label against others).

    `marked` is whether the answer opens or closes a mark there.
    """

    at: int
    kind: Literal["open", "close", "label"]
    marked: bool
    odds: float

    def likelihood(self, opening: float, closing: float) -> float:
        """Return the probability of the decision made, with `opening` and `closing` (nats) added to the log-odds of marks."""
        odds = self.odds + {"open": opening, "close": closing, "label": 0.0}[self.kind]
        return 1 / (1 + exp(min(-odds if self.marked else odds, 700)))


def decisions(answer: str, tokens: Sequence[Token], marks: Marks, labels: Sequence[str]) -> list[Decision]:
    """Return the decisions of an answer, in order; an empty list if the tokens do not spell it or have no alternatives.

    A forced token (a mark that must end with the text) is not a decision. If the alternative is not reported, the least
    probable reported one is its bound.
    """
    found = [*marks.mention.finditer(answer)]
    made: dict[int, Decision] = {}
    for at, token in _placed(answer, tokens):
        mark = next((m for m in found if m.start() <= at < m.end()), None)
        for decision in _decided(answer, at, token, mark, marks, labels):
            if decision.marked or at not in made:  # a blank before a word or a mark may be its own token
                made[at] = decision
    return list(made.values())


def _decided(
    answer: str, at: int, token: Token, mark: re.Match[str] | None, marks: Marks, labels: Sequence[str]
) -> Iterator[Decision]:
    """Yield the decision of one token, if it is one. `at` is the offset of its first character that is not blank."""
    if mark is None:
        if _edge(answer, at):
            yield Decision(at, "open", False, _beginning(token, marks.opens) - token.logprob)
    elif at == mark.start():
        yield Decision(at, "open", True, token.logprob - _continuing(token, mark["surface"]))
    elif mark.start("surface") < at < mark.end("surface"):
        if _edge(answer, at):
            yield Decision(at, "close", False, _beginning(token, marks.closes) - token.logprob)
    elif not answer[mark.end("surface") : at].strip() and at >= mark.end("surface"):
        if rest := _plain(answer[mark.end() :], marks):
            yield Decision(at, "close", True, token.logprob - _continuing(token, rest))
    elif mark.start("label") == at:
        own = mark["label"]
        rivals = [p for s, p in token.others if s.strip() and not own.startswith(s.strip())
                  and any(name.startswith(s.strip()) for name in labels)]  # fmt: skip
        if rivals:
            yield Decision(at, "label", True, token.logprob - _together(rivals))


def _placed(answer: str, tokens: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """Yield tokens that have alternatives, each with the offset of its first character that is not blank."""
    whole = answer.encode("utf-8", "surrogatepass")
    first = b"".join(t.piece for t in tokens).rfind(whole)
    if first < 0:
        return
    offsets = list(accumulate((len(c.encode("utf-8", "surrogatepass")) for c in answer), initial=0))
    place = {offset: i for i, offset in enumerate(offsets)}
    ends = accumulate((len(t.piece) for t in tokens), initial=-first)
    for begin, token in zip(ends, tokens, strict=False):
        begin += len(token.piece) - len(token.piece.lstrip())
        if token.others and 0 <= begin < len(whole) and begin in place:
            yield place[begin], token


def _edge(answer: str, at: int) -> bool:
    """Return whether offset `at` can be the beginning or the end of a word."""
    return at == 0 or not (answer[at - 1].isalnum() and answer[at].isalnum())


def _plain(rest: str, marks: Marks) -> str:
    """Return the text after a mark as it would continue inside the mark: without the marks of its first mention."""
    rest = rest.lstrip()
    following = marks.mention.match(rest)
    return following["surface"] if following else rest


def _beginning(token: Token, marks: Sequence[str]) -> float:
    return _bounded([p for s, p in token.others if s.startswith(tuple(marks))], token)


def _continuing(token: Token, rest: str) -> float:
    rest = rest.lstrip()
    return _bounded([p for s, p in token.others if s.strip() and rest.startswith(s.strip())], token)


def _bounded(logprobs: Sequence[float], token: Token) -> float:
    return _together(logprobs or [min(p for _, p in token.others)])


def _together(logprobs: Sequence[float]) -> float:
    """Return the log-probability of any of several tokens."""
    return log(max(sum(exp(p) if p > -inf else 0.0 for p in logprobs), exp(_LEAST)))
