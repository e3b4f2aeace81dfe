"""The one prompt layout of nerc, and its inverse.

A message is a list of named sections, each a header line `### name` and then the content. The first section may be
unnamed. A content line that looks like a header is written with a backslash before it, so that no text of a note can
forge a section; `parse` takes the backslash away. The law: `parse(render(sections)) == sections`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ner_programs.types import Label

if TYPE_CHECKING:
    from kb import Knowledge

Section = tuple[str, str]

_HEADER = re.compile(r"### ([a-z_]+)\Z")
_LINE_ENDS = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"  # whatever a model may take for the end of a line
_LOOKALIKE = re.compile(rf"(?:^|(?<=[{_LINE_ENDS}]))(\\*### )")
_ESCAPED = re.compile(rf"(?:^|(?<=[{_LINE_ENDS}]))\\(\\*### )")


def render(sections: Iterable[Section]) -> str:
    """Write sections (name, content) as one message; only the first may be unnamed ("")."""
    return "\n".join(
        (f"### {name}\n" if name else "") + _LOOKALIKE.sub(r"\\\1", content) for name, content in sections
    )  # fmt: skip


def parse(message: str) -> list[Section]:
    """Read a message back into its sections; text before the first header is a section named ""."""
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
    """Read the lines that `render_labels` wrote; lines of another form are passed over."""
    lines = [line[2:].partition(": ") for line in content.split("\n") if line.startswith("- ")]
    return tuple(Label(name.strip(), definition.strip()) for name, _, definition in lines if name.strip())


def render_knowledge(items: Sequence[Knowledge], types: Mapping[str, str], size: int = 1500) -> str:
    """Write one line an item, the label first: `- asa: treatment; aspirin; is an analgesic`.

    Stops before the lines exceed `size` characters; `types` maps a casefolded semantic type to a label. A surface that
    holds ": " itself is quoted.
    """
    lines: list[str] = []
    for item in items:
        concept = item.concept
        said = types.get(concept.type.casefold(), concept.type.replace(";", ","))
        name = [concept.name] if item.surface and item.surface.casefold() != concept.name.casefold() else []
        surface = _quoted(_one_line(item.surface or concept.name))
        line = ": ".join(filter(None, [f"- {surface}", _one_line("; ".join(filter(None, [said, *name, *item.path])))]))
        size -= len(line) + 1
        if size < 0:
            break
        lines.append(line)
    return "\n".join(lines)


def parse_knowledge(lines: str, labels: Sequence[str]) -> list[tuple[str, str]]:
    """Return (surface, label) of each line that `render_knowledge` wrote; the label is "" where it is none of `labels`.

    Blanks of a surface count as one: a line break in it is a blank here.
    """
    found = []
    for line in lines.split("\n"):
        if line.startswith("- "):
            surface, said = _surface(line[2:])
            label = said.partition(";")[0]
            found.append((surface, label if label in labels else ""))
    return found


def _quoted(surface: str) -> str:
    return json.dumps(surface, ensure_ascii=False) if ": " in surface or surface.startswith('"') else surface


def _surface(line: str) -> tuple[str, str]:
    """Split a knowledge line into its surface, perhaps quoted, and what is said about it."""
    if line.startswith('"'):
        try:
            surface, end = json.JSONDecoder().raw_decode(line)
        except ValueError:
            pass
        else:
            return surface, line[end:].removeprefix(": ")
    surface, _, said = line.partition(": ")
    return surface, said


def _one_line(text: str) -> str:
    return " ".join(text.split())
