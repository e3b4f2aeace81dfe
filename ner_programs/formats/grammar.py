"""Builds grammars for the answers about one text: an answer can only copy the text and mark mentions in it.

This is input-dependent grammar-constrained decoding (Geng et al. 2023, "Grammar-Constrained Decoding for Structured NLP Tasks
without Finetuning"). Grammars are in GBNF, which llama.cpp, vLLM and others accept. A mention begins and ends at the edge of a
word, number or sign.
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
    """Return the grammar of `text` with non-overlapping mentions, each between one of `opening` and one of `closing`.

    The whole answer is between the two strings of `fence`. `write` must encode a character the same way at every position.
    Rules `o<i>` and `m<i>` are the continuations outside and inside a mention after i copied words, so the grammar has two
    rules for each word.
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
    """Return rules in which `b0` is a list of non-overlapping word sequences of `text`, in order.

    Each sequence is followed by `close` (GBNF), and two are separated by `between`. `also` are sequences with another written
    form: first word, word after the last, and the form. There is no `b0` if `text` has no words. Rules `b<i>`, `s<i>` and
    `e<i>` are the continuations before, inside and after a mention once i words have passed, so a list ends, and there are
    three rules for each word. `write` may depend on the blanks after a word, but on nothing further.
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
    """Return the gaps around the words of `text` (one more than words), and the words."""
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
