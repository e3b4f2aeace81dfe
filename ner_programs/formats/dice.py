"""DICE: one clause for each label, with its definition and the mentions (paper, section on DICE prompts).

`Entity type is problem. <definition> Entity is knee pain [SEP] fever. Entity type is test. ... Entity is <entity>. `
In a mention, a backslash escapes strings that would read as part of a clause, so that reading is exact on any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ner_programs.formats import grammar
from ner_programs.formats.base import Found, Reading, in_order, without_fence
from ner_programs.formats.labels import Labels
from ner_programs.types import Label, Mention

_NONE = "<entity>"
_CLAUSE = re.compile(r"(?<!\\)Entity type is\s+", re.IGNORECASE)
_ENTITY_IS = re.compile(r"(?<!\\)Entity is\s*", re.IGNORECASE)
_SEPARATOR = re.compile(r"\s*(?<!\\)\[SEP\]\s*", re.IGNORECASE)
_SPECIAL = re.compile(r"\\|\n|Entity(?= )|\[SEP\]|<entity>", re.IGNORECASE)
_EDGES = re.compile(r"^(?=\s)|(?<=\s)\Z")
_WORD = re.compile(rf"\[SEP\]|<entity>|{grammar.WORD.pattern}", re.IGNORECASE)
# The beginning of a truncated clause.
_CUT = re.compile(
    r"(?<=\.)\s+E(?:n(?:t(?:i(?:t(?:y(?: (?:t(?:y(?:p(?:e(?: (?:is?)?)?)?)?)?)?)?)?)?)?)?)?\Z", re.IGNORECASE
)
# What models write if they find nothing. A mention that reads so is written with a backslash after it.
_NONES = re.compile(
    r"\W*(?:none|n/?a|nil|null|nothing|not applicable|no (?:mentions?|entit(?:y|ies)))\W*", re.IGNORECASE
)
_ESCAPE = re.compile(r"\\(n|.|\Z)", re.DOTALL)


class Dice:
    """One clause for each label. Mentions are listed once for each occurrence, in the order of the text."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self.labels = Labels(labels)

    def describe(self) -> str:
        """Ask for the clauses, in the fixed order of the labels."""
        clauses = "".join(self._clause(label, ["mention [SEP] mention"]) for label in self.labels.labels)
        return (
            f"Answer with one clause for each label, in this form: {clauses.strip()}\n"
            f"Copy each mention exactly as it stands, in the order of the text; without a mention write Entity is {_NONE}."
        )

    def write(self, text: str, mentions: Sequence[Mention]) -> str:
        """Write a clause for every label, with `<entity>` if it has no mention."""
        rows = in_order(mentions)
        return "".join(
            self._clause(la, [_escape(m.text) for m in rows if m.label == la.name]) for la in self.labels.labels
        )

    def read(self, answer: str) -> Reading[Mention]:
        """Read clauses in any order. Text without a clause, and clauses with an unknown label, count as unreadable."""
        body, shift = without_fence(answer)
        begins = [clause.end() for clause in _CLAUSE.finditer(body)]
        ends = [clause.start() for clause in _CLAUSE.finditer(body)][1:]
        found: list[Found] = []
        unreadable = 0 if begins else 1
        for begin, end in zip(begins, [*ends, len(body)], strict=False):
            clause = body[begin:end]
            label = self._label(clause)
            entity_is = _ENTITY_IS.search(clause, self._skip_definition(clause, label))
            if label is None or entity_is is None:
                unreadable += 1
                continue
            line = clause[entity_is.end() :].partition("\n")[0]  # further lines are chatter
            listed, first = _CUT.sub("", line.strip()).removesuffix("."), len(line) - len(line.lstrip())
            for written, at in _listed(listed, shift + begin + entity_is.end() + first):
                if written.strip() != _NONE and not _is_none(written) and _unescape(written).strip():
                    found.append((Mention(_unescape(written), label.name), (at, at + len(written))))
        return Reading.of(found, unreadable)

    def _clause(self, label: Label, surfaces: list[str]) -> str:
        return f"{self._opening(label)}{' [SEP] '.join(surfaces) or _NONE}. "

    @staticmethod
    def _opening(label: Label) -> str:
        return f"Entity type is {label.name}. {_definition(label)}Entity is "

    def _label(self, clause: str) -> Label | None:
        by_name = sorted(self.labels.labels, key=lambda la: -len(la.name))
        exact = next((la for la in by_name if clause.startswith(f"{la.name}.")), None)
        said = self.labels.recognise(clause.partition(".")[0])
        return exact or next((la for la in by_name if la.name == said), None)

    def grammar(self, text: str) -> str:
        """Return the grammar of answers about `text`: a clause for every label, whose mentions are word sequences in order."""
        rules = grammar.listed(text, _piece, '""', " [SEP] ", word=_WORD, also=_like_none(text))
        clauses = [f'{grammar.literal(self._opening(la))} mentions ". "' for la in self.labels.labels]
        mentions = f"mentions ::= {grammar.literal(_NONE)}{' | b0' if rules else ''}"
        return "\n".join([f"root ::= {' '.join(clauses)}", mentions, *rules])

    @staticmethod
    def _skip_definition(clause: str, label: Label | None) -> int:
        """Return where to search for "Entity is": after the label's definition if the answer repeats it."""
        name, definition = (label.name, _definition(label)) if label else ("", "")
        named = len(name) if clause.startswith(name) else 0
        at = clause.find(definition, named) if definition else -1
        return at + len(definition) if at >= 0 else named

    def schema(self) -> None:
        """Return None: the answer is text."""


def _listed(line: str, start: int) -> Iterator[tuple[str, int]]:
    """Yield the items between the separators of a line that begins at offset `start`, with their offsets."""
    at = 0
    for separator in _SEPARATOR.finditer(line):
        yield line[at : separator.start()], start + at
        at = separator.end()
    yield line[at:], start + at


def _definition(label: Label) -> str:
    text = " ".join(label.definition.split()).rstrip(".")
    return f"{_CLAUSE.sub('Entity type: ', text)}. " if text else ""


def _is_none(written: str) -> bool:
    return not written.endswith("\\") and bool(_NONES.fullmatch(written))


def _like_none(text: str) -> list[tuple[int, int, str]]:
    """Return short word sequences of a text that read as "nothing found", with their escaped form."""
    words = [word.span() for word in _WORD.finditer(text)]
    runs = [
        (i, j, text[start : words[j - 1][1]])
        for i, (start, _) in enumerate(words)
        for j in range(i + 1, min(i + 6, len(words)) + 1)
    ]
    return [(i, j, _escape(run)) for i, j, run in runs if _is_none(_piece(run))]


def _escape(mention: str) -> str:
    written = _EDGES.sub(r"\\", _piece(mention))
    return f"{written}\\" if _is_none(written) else written


def _piece(text: str) -> str:
    return _SPECIAL.sub(lambda m: "\\n" if m[0] == "\n" else f"\\{m[0]}", text)


def _unescape(written: str) -> str:
    return _ESCAPE.sub(lambda m: "\n" if m[1] == "n" else m[1], written)


def build(*, labels: Sequence[Label]) -> Dice:
    """Build the format for `labels`."""
    return Dice(labels)
