"""The text repeated as HTML, with `<span class="label">` around each mention (the format of Chen et al. 2023).

`&`, `<` and `>` of the text are written as HTML entities, which models know well. Reading decodes them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from ner_programs.formats import grammar
from ner_programs.formats.base import Found, Reading, fence, inline_spans, mention_in, without_fence
from ner_programs.formats.labels import Labels
from ner_programs.prompts.decisions import Marks
from ner_programs.types import Label, Mention

_TAG = re.compile(r"""<(/?)([A-Za-z_][\w .+/&()-]{0,60}?)(?:\s+class\s*=\s*["']?([^"'<>]*)["']?)?\s*>""")


class Tagged:
    """The text with HTML spans. The offset in the echoed text is the position hint for alignment."""

    marks = Marks(
        (" <", "<"), ("</",), re.compile(r'<span class="(?P<label>[^"<>]+)">(?P<surface>[^<>]+)</span>')
    )  # fmt: skip

    def __init__(self, labels: Sequence[Label]) -> None:
        self.labels = Labels(labels)

    def describe(self) -> str:
        """Ask for the text with spans."""
        return (
            'Repeat the text exactly and write each mention as <span class="label">mention</span>. '
            f"Labels: {', '.join(self.labels.names)}. Write &, < and > that belong to the text as &amp; &lt; &gt;."
        )

    def write(self, text: str, mentions: Sequence[Mention]) -> str:
        """Write `text` with its mentions in spans."""
        before, behind = fence(text)
        parts, at = [before], 0
        for start, end, label in inline_spans(text, mentions):
            parts += [_escape(text[at:start]), f'<span class="{_escape(label)}">', _escape(text[start:end]), "</span>"]
            at = end
        return "".join([*parts, _escape(text[at:]), behind])

    def grammar(self, text: str) -> str:
        """Return the grammar of answers about `text`: a copy, with spans that open before and close after words."""
        opening = [f'<span class="{_escape(name)}">' for name in self.labels.names]
        return grammar.marked(text, fence(text), opening, ["</span>"], _escape)

    def read(self, answer: str) -> Reading[Mention]:
        """Read the spans (also `<label>...</label>`). An unknown class counts as unreadable; other angle brackets are text."""
        answer, shift = without_fence(answer)
        echo: list[str] = []
        length, unreadable, at = 0, 0, 0
        opened: list[tuple[int, int, int, str | None]] = []  # index in `echo`, offsets in echoed text and answer, label
        found: list[Found] = []
        for tag in _TAG.finditer(answer):
            closing, name, said = tag[1], tag[2], tag[3]
            known = name.lower() == "span" or self.labels.recognise(name)
            if not known:
                continue
            piece = _unescape(answer[at : tag.start()])
            echo.append(piece)
            length += len(piece)
            at = tag.end()
            if not closing:
                opened.append((len(echo), length, tag.start(), self.labels.recognise(_unescape(said or name))))
            elif opened:
                place, start, first, label = opened.pop()
                written = (shift + first, shift + at)
                unreadable += label is None
                found += mention_in("".join(echo[place:]), label, start, written) if label else []
        return Reading.of(found, unreadable + len(opened), "".join([*echo, _unescape(answer[at:])]))

    def schema(self) -> None:
        """Return None: the answer is text."""


def _escape(text: str) -> str:
    return html.escape(text, quote=False)


def _unescape(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a character reference with thousands of digits
        return text


def build(*, labels: Sequence[Label]) -> Tagged:
    """Build the format for `labels`."""
    return Tagged(labels)
