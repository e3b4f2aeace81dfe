"""The prompt layout of nerc, and its parser.

A message is a list of named sections: a header line `### name`, then the content. The first section may be unnamed. A content
line that looks like a header is escaped with a backslash, so that no note can forge a section; `parse` removes the backslash.
Invariant: `parse(render(sections)) == sections`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ner_programs.types import Label

if TYPE_CHECKING:
    from kb import Knowledge

Section = tuple[str, str]

_HEADER = re.compile(r"### ([a-z_]+)\Z")
_LINE_ENDS = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"  # all characters that a model may treat as a line end
_LOOKALIKE = re.compile(rf"(?:^|(?<=[{_LINE_ENDS}]))(\\*### )")
_ESCAPED = re.compile(rf"(?:^|(?<=[{_LINE_ENDS}]))\\(\\*### )")
_STRING = r'"(?:[^"\\]|\\.)*"'
# A surface, then optionally a type or label, then optionally other parts.
_LINE = re.compile(rf"- (?:({_STRING})(?=: |;|\Z)|(.*?)(?=: |;|\Z))(?:: ({_STRING})?([^;]*))?(;.*)?")
_PART = re.compile(rf"(= )?({_STRING}(?=;|\Z)|[^;]+)(?:; ?|\Z)")
_DENIAL = re.compile(r", (?:not an? \S.*|none of the labels)\Z")


def render(sections: Iterable[Section]) -> str:
    """Write sections (name, content) as one message; only the first may be unnamed ("")."""
    return "\n".join(
        (f"### {name}\n" if name else "") + _LOOKALIKE.sub(r"\\\1", content) for name, content in sections
    )  # fmt: skip


def parse(message: str) -> list[Section]:
    """Parse a message into its sections. Text before the first header is a section named ""."""
    sections: list[tuple[str, list[str]]] = []
    for line in message.split("\n"):
        if header := _HEADER.match(line):
            sections.append((header[1], []))
        elif not sections:
            sections.append(("", [line]))
        else:
            sections[-1][1].append(line)
    return [(name, _ESCAPED.sub(r"\1", "\n".join(lines))) for name, lines in sections]


def render_labels(labels: Sequence[Label]) -> str:
    """Write one `- name: definition` line for each label."""
    return "\n".join(": ".join(filter(None, [f"- {la.name}", _one_line(la.definition)])) for la in labels)


def parse_labels(content: str) -> tuple[Label, ...]:
    """Parse the lines of `render_labels`; lines of another form are ignored."""
    lines = [line[2:].partition(": ") for line in content.split("\n") if line.startswith("- ")]
    return tuple(Label(name.strip(), definition.strip()) for name, _, definition in lines if name.strip())


@dataclass(frozen=True, slots=True)
class KnowledgeLine:
    """The content of a knowledge line: `surface`, its `label` ("" if not given), or that it has no label (`denied`).

    `name` is the preferred name of the concept, if it differs from the surface. `facts` are all other parts.
    """

    surface: str
    label: str = ""
    denied: bool = False
    name: str = ""
    facts: tuple[str, ...] = ()


def render_knowledge(items: Sequence[Knowledge], types: Mapping[str, str], size: int = 1500) -> str:
    """Write one line per item, with the label first: `- asa: treatment; = aspirin; is an analgesic`.

    `types` maps casefolded semantic types to labels. A type that is not in it is written unchanged. A type that is mapped to
    "" has none of the labels, and its line states that ("- oak: tree, not a bird" if there is one label, else "- oak: tree,
    none of the labels"). Stops before the lines exceed `size` characters. Parts that would be ambiguous are quoted.
    """
    lines: list[str] = []
    labels = set(types.values()) - {""}
    denial = f", not {_with_article(labels.pop())}" if len(labels) == 1 else ", none of the labels"
    for item in items:
        surface, name = _one_line(item.surface or item.concept.name), _one_line(item.concept.name)
        if not surface:
            continue
        kind = _one_line(item.concept.type)
        label = types.get(kind.casefold())
        said = label or _quoted(kind, _DENIAL.search(kind)) + ("" if label is None else denial)
        parts = [f"= {_quoted(name)}"] if name and name.casefold() != surface.casefold() else []
        parts += [_quoted(fact, fact.startswith("= ")) for fact in map(_one_line, item.path) if fact]
        line = "; ".join([f"- {_quoted(surface, ': ' in surface)}" + (f": {said}" if said else ""), *parts])
        size -= len(line) + 1
        if size < 0:
            break
        lines.append(line)
    return "\n".join(lines)


def parse_knowledge(lines: str, labels: Sequence[str]) -> list[KnowledgeLine]:
    """Parse the lines of `render_knowledge`. A type that is not one of `labels` gives no label.

    Consecutive blanks count as one, and a line break is a blank. Lines of another form are ignored.
    """
    return [_line(match, labels) for line in lines.split("\n") if (match := _LINE.fullmatch(line))]


def _line(match: re.Match[str], labels: Sequence[str]) -> KnowledgeLine:
    quoted, plain, odd, said, rest = match.groups()  # a quoted type (`odd`) is not a label
    label = said if odd is None and said in labels else ""
    name, facts = "", list[str]()
    for part in _PART.finditer((rest or "").removeprefix(";").lstrip(" ")):
        mark, text = part[1], _unquoted(part[2])
        if mark:
            name = text
        elif text:
            facts.append(text)
    surface = plain if quoted is None else _unquoted(quoted)
    return KnowledgeLine(surface, label, bool(_DENIAL.search(said or "")), name, tuple(facts))


def _quoted(text: str, misread: object = False) -> str:
    return json.dumps(text, ensure_ascii=False) if misread or ";" in text or text.startswith('"') else text


def _unquoted(text: str) -> str:
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            pass
    return text


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
