"""The decisions of an answer that copies its text and marks mentions in it: to open a mark, to close it, which label.

Everything else in such an answer is forced. What an LM reports of each token and its alternatives says how likely it is to open
a mark at a word rather than go on, and to close one behind a word rather than go on. Input-dependent grammars: Geng et al.
(2023), see `formats/grammar.py`.
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

    `opens` and `closes` are what the tokens that open and close a mark may begin with; `mention` matches a whole mark, with
    groups `surface` and `label`.
    """

    opens: tuple[str, ...]
    closes: tuple[str, ...]
    mention: re.Pattern[str]


class Token(NamedTuple):
    """A token of an answer (bytes of UTF-8, for it may hold a part of a character), its natural log-probability, and others.

    `others` are alternatives in its place with theirs.
    """

    piece: bytes
    logprob: float
    others: tuple[tuple[str, float], ...] = ()


def tokens_in(logprobs: Any) -> list[Token]:
    """Return the tokens that an API reports; none where they are not what they should be."""
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
    """Return what a token writes: some servers name it as their vocabulary does."""
    return bytes(token.bytes) if token.bytes is not None else token.token.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Decision:
    """A choice at offset `at` of the answer; `odds` are the log-odds of a mark against going on (of a label: against others).

    `marked` says whether the answer opens or closes a mark there.
    """

    at: int
    kind: Literal["open", "close", "label"]
    marked: bool
    odds: float

    def likelihood(self, opening: float, closing: float) -> float:
        """Return the probability of what was decided, with marks favoured by so many nats."""
        odds = self.odds + {"open": opening, "close": closing, "label": 0.0}[self.kind]
        return 1 / (1 + exp(min(-odds if self.marked else odds, 700)))


def decisions(answer: str, tokens: Sequence[Token], marks: Marks, labels: Sequence[str]) -> list[Decision]:
    """Return the decisions of an answer in its order; none where the tokens do not make it up, or have no alternatives.

    A choice that the tokens leave no alternative to (a mark that must end with the text) is none. Where an alternative is not
    among those reported, the least likely that is bounds it.
    """
    found = [*marks.mention.finditer(answer)]
    made: dict[int, Decision] = {}
    for at, token in _placed(answer, tokens):
        mark = next((m for m in found if m.start() <= at < m.end()), None)
        for decision in _decided(answer, at, token, mark, marks, labels):
            if decision.marked or at not in made:  # a blank may be a token of its own, before a word or a mark
                made[at] = decision
    return list(made.values())


def _decided(
    answer: str, at: int, token: Token, mark: re.Match[str] | None, marks: Marks, labels: Sequence[str]
) -> Iterator[Decision]:
    """Yield the decision that one token makes, if it makes one; `at` is where it begins, its blanks apart."""
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
    """Yield tokens that have alternatives, with the offset (characters) of the first thing in each that is no blank."""
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
    """Tell whether a word may begin or end before offset `at`."""
    return at == 0 or not (answer[at - 1].isalnum() and answer[at].isalnum())


def _plain(rest: str, marks: Marks) -> str:
    """Return how what follows a mark would go on inside it: its first words without marks."""
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
