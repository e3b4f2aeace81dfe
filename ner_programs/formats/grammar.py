"""Grammars that an answer about one text must obey: it can copy the text and mark mentions in it, and nothing else.

The idea is input-dependent grammar-constrained decoding (Geng et al. 2023, "Grammar-Constrained Decoding for Structured NLP
Tasks without Finetuning"). Grammars are written in GBNF, which llama.cpp, vLLM and others take. A mention begins and ends at
the edge of a word, number or sign.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

Writer = Callable[[str], str]
"""How a format writes a piece of the text."""

WORD = re.compile(r"\w+|[^\w\s]")
_SPECIAL = re.compile(r'[\x00-\x1f\x7f-\x9f"\\\u2028\u2029]')


def literal(text: str) -> str:
    """Return GBNF for exactly `text`.

    >>> literal('a "b"')
    '"a \\\\x22b\\\\x22"'
    """
    return f'"{_SPECIAL.sub(_escaped, text)}"'


def one_of(choices: Iterable[str]) -> str:
    """Return GBNF for any one of some strings."""
    return f"({' | '.join(map(literal, choices))})"


def marked(text: str, fence: tuple[str, str], opening: Sequence[str], closing: Sequence[str], write: Writer) -> str:
    """Return the grammar of `text` with non-overlapping mentions marked: one of `opening` before, one of `closing` behind each.

    The whole stands between the two strings of `fence`.

    `write` must treat every character alike, wherever it stands. Rules `o<i>` and `m<i>` are what may follow outside and
    inside a mention once i words were copied, so the grammar has two rules a word.
    """
    gaps, words = _cut(text, WORD, write)
    root = f"root ::= {literal(fence[0] + gaps[0])} o0 {literal(fence[1])}"
    rules = [root, f"open ::= {one_of(opening)}", f"close ::= {one_of(closing)}"]
    for i, word in enumerate(words):
        rules.append(f"o{i} ::= {literal(word)} a{i + 1} | open {literal(word)} m{i + 1}")
    for i, gap in enumerate(gaps[1:], 1):
        last = i == len(words)
        rules.append(f"a{i} ::= {literal(gap)}" + ("" if last else f" o{i}"))
        rules.append(f"m{i} ::= close a{i}" + ("" if last else f" | {literal(gap + words[i])} m{i + 1}"))
    if not words:
        rules.append('o0 ::= ""')
    return "\n".join(rules)


def listed(
    text: str, write: Writer, close: str, between: str, *, word: re.Pattern[str] = WORD,
    also: Iterable[tuple[int, int, str]] = (),
) -> list[str]:  # fmt: skip
    """Return rules of which `b0` is a list of runs of words of `text`, in its order, none overlapping another.

    Behind each stands `close` (GBNF), between two `between`; `also` are runs that may be written another way: first word, word
    behind the last, and how. There is no `b0` where `text` has no words. Rules `b<i>`, `s<i>` and `e<i>` are what may follow
    before a mention, inside it and behind it once i words were passed, so a list ends, and there are three rules a word.
    `write` may look at the blanks behind a word, but no farther.
    """
    gaps, words = _cut(text, word, str)
    others = list(also)
    rules = [f"close ::= {close}"] if words else []
    for i, this in enumerate(words):
        last = i + 1 == len(words)
        begun = [f"s{i}", *(f"{literal(said)} e{end}" for first, end, said in others if first == i)]
        rules.append(f"b{i} ::= {' | '.join([*begun, *([] if last else [f'b{i + 1}'])])}")
        more = "" if last else f" | {literal(write(this + gaps[i + 1]))} s{i + 1}"
        rules.append(f"s{i} ::= {literal(write(this))} e{i + 1}{more}")
        rules.append(f"e{i + 1} ::= close" + ("" if last else f" ({literal(between)} b{i + 1})?"))
    return rules


def _cut(text: str, word: re.Pattern[str], write: Writer) -> tuple[list[str], list[str]]:
    """Return what lies between the words of `text`, one more than there are words, and the words."""
    return [write(gap) for gap in _gaps(text, word)], [write(w) for w in word.findall(text)]


def _gaps(text: str, word: re.Pattern[str]) -> Iterator[str]:
    at = 0
    for match in word.finditer(text):
        yield text[at : match.start()]
        at = match.end()
    yield text[at:]


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}"
