"""How a language model lists strings of a text: the codec of the first pass of retrieval (`seeds = "lm"`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NOTHING = "none"


class Suggestions:
    """One string a line, each after a dash. A line break in a string is a blank; such a string is then found nowhere."""

    def describe(self) -> str:
        """Return the part of the prompt that says how to answer."""
        return f'Write each string on a line of its own, after "- ". Answer {NOTHING} if there is no such string.'

    def schema(self) -> dict[str, Any] | None:
        """Return None: lines have no schema."""
        return None

    def encode(self, fields: Mapping[str, Any]) -> str:
        """Write the answer of a demonstration."""
        return self.write(fields["names"])

    def decode(self, answer: str) -> dict[str, Any]:
        """Read an answer; other lines than those asked for are counted."""
        lines = [line.strip() for line in answer.split("\n")]
        names = [line[2:].strip() for line in lines if line.startswith("- ")]
        odd = sum(not line.startswith("- ") and line not in ("", "-", NOTHING) for line in lines)
        return {"names": list(dict.fromkeys(filter(None, names))), "unreadable": odd}

    def write(self, names: Iterable[str]) -> str:
        """Write strings."""
        return "\n".join(f"- {' '.join(name.split())}" for name in names if name.strip()) or NOTHING
