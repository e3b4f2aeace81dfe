"""TANL: the text repeated with `[ mention | label ]` around each mention (paper, section on TANL prompts).

The paper's code pads the brackets with blanks and does not restore the surrounding blanks. Here the text is copied exactly, and
a backslash escapes a literal bracket, bar or backslash, so that reading is exact.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ner_programs.formats import grammar
from ner_programs.formats.base import Found, Reading, fence, inline_spans, mention_in, without_fence
from ner_programs.formats.labels import Labels
from ner_programs.prompts.decisions import Marks
from ner_programs.types import Label, Mention

_SPECIAL = re.compile(r"[\\\[\]|]")
_TOKEN = re.compile(r"\\([\\\[\]|])|(\[ ?)|( ?\| ?[^\[\]|\\\n]{1,80}?\s?\])|(.)", re.DOTALL)


class Tanl:
    """The text with marked mentions. The offset in the echoed text is the position hint for alignment."""

    marks = Marks(
        (" [", "["), (" |", "|"), re.compile(r"\[ (?P<surface>(?:\\.|[^\\\[\]|])+) \| (?P<label>[^\\\[\]|]+) \]", re.DOTALL)
    )  # fmt: skip

    def __init__(self, labels: Sequence[Label]) -> None:
        self.labels = Labels(labels)

    def describe(self) -> str:
        """Ask for the text with marks."""
        return (
            "Repeat the text exactly and write each mention as [ mention | label ]. "
            f"Labels: {', '.join(self.labels.names)}. "
            "Write a bracket, bar or backslash that belongs to the text as \\[ \\] \\| \\\\."
        )

    def write(self, text: str, mentions: Sequence[Mention]) -> str:
        """Write `text` with its mentions marked."""
        before, behind = fence(text)
        parts, at = [before], 0
        for start, end, label in inline_spans(text, mentions):
            parts += [_escape(text[at:start]), "[ ", _escape(text[start:end]), " | ", label, " ]"]
            at = end
        return "".join([*parts, _escape(text[at:]), behind])

    def grammar(self, text: str) -> str:
        """Return the grammar of answers about `text`: a copy, with marks that open before and close after words."""
        closing = [f" | {name} ]" for name in self.labels.names]
        return grammar.marked(text, fence(text), ["[ "], closing, _escape)

    def read(self, answer: str) -> Reading[Mention]:
        """Read the marks. A bracket that is not a mark is text. A mark with an unknown label counts as unreadable."""
        echo: list[str] = []
        length, unreadable = 0, 0
        opened: list[tuple[int, int, int]] = []  # each open bracket: index in `echo`, offsets in text and answer
        found: list[Found] = []
        body, read = without_fence(answer)
        for escaped, bracket, close, other in _TOKEN.findall(body):
            before = read
            read += 2 if escaped else len(bracket or close or other)
            if bracket:
                opened.append((len(echo), length, before))
            elif close and opened:
                at, start, first = opened.pop()
                surface = "".join(echo[at + 1 :])
                label = self.labels.recognise(close.strip().strip("|]").strip())
                unreadable += label is None
                if label or (
                    echo[at] == "[ " and close.startswith(" |")
                ):  # certainly a mark, so its signs are not text
                    del echo[at:]
                    found += mention_in(surface, label, start, (first, read)) if label else []
                    echo.append(surface)
                    length = start + len(surface)
                    continue
            elif other == "]" and opened:
                opened.pop()
            piece = escaped or bracket or close or other
            echo.append(piece)
            length += len(piece)
        return Reading.of(found, unreadable + bool(opened), "".join(echo))

    def schema(self) -> None:
        """Return None: the answer is text."""


def _escape(text: str) -> str:
    return _SPECIAL.sub(lambda m: f"\\{m[0]}", text)


def build(*, labels: Sequence[Label]) -> Tanl:
    """Build the format for `labels`."""
    return Tanl(labels)
