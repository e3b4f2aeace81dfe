"""The protocol of formats: a format writes the mentions of a text as an answer, and reads an answer back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from ner_programs.prompts.likelihood import Place
from ner_programs.types import Mention

Said = TypeVar("Said")
Found = tuple[Mention, Place]


class Reading(list[Said], Generic[Said]):
    """The items read from an answer (mentions or verdicts); `unreadable` counts the pieces that could not be read.

    `places` are the spans of the items in the answer: character offsets, around surface and label if the format has both
    together. A format without places gives no scores. `echo` is the text repeated in the answer; None if the format repeats
    none.
    """

    def __init__(
        self,
        found: Iterable[Said] = (),
        unreadable: int = 0,
        places: Iterable[Place] = (),
        echo: str | None = None,
    ) -> None:
        super().__init__(found)
        self.unreadable, self.places, self.echo = unreadable, tuple(places), echo

    @classmethod
    def of(cls, found: Sequence[tuple[Said, Place]], unreadable: int, echo: str | None = None) -> Reading[Said]:
        """Build a reading from pairs of an item and its place."""
        return cls((said for said, _ in found), unreadable, (place for _, place in found), echo)

    def items(self, as_fields: Callable[[Said], dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the items as plain data, with the `place` of each if it is known."""
        places = [{"place": place} for place in self.places] or [{} for _ in self]
        return [as_fields(said) | place for said, place in zip(self, places, strict=True)]


@runtime_checkable
class Format(Protocol):
    """Writes and reads mentions; pure functions of text.

    The law of formats: `align(text, read(write(text, mentions)))` are the entities of `mentions`. For list formats this holds
    up to the choice of the occurrence of a surface. `read` never raises; it counts what it cannot read.
    """

    def describe(self) -> str:
        """Return the part of the prompt that describes the answer."""

    def write(self, text: str, mentions: Sequence[Mention]) -> str:
        """Write the answer for `text`; inline formats need `Mention.start` and keep only non-overlapping mentions."""

    def read(self, answer: str) -> Reading[Mention]:
        """Read an answer tolerantly. Labels are returned in the spelling of the spec."""

    def schema(self) -> dict[str, Any] | None:
        """Return a JSON schema of the answer for providers that can enforce one, else None."""

    def grammar(self, text: str) -> str | None:
        """Return a GBNF grammar of the answers about `text` for backends that can enforce one, else None.

        It accepts `write(text, mentions)` for all flat mentions whose edges are edges of words. Every accepted answer can be
        read and aligned.
        """


def without_fence(answer: str) -> tuple[str, int]:
    """Return the content of a Markdown code fence around the whole answer, else the answer itself, and its offset."""
    stripped, at = answer.strip(), len(answer) - len(answer.lstrip())
    if not stripped.startswith("```"):
        return answer, 0
    opening, newline, body = stripped.partition("\n")
    if not newline:
        return stripped.strip("`"), at + len(stripped) - len(stripped.lstrip("`"))
    at += len(opening) + 1
    return (body.removesuffix("```").removesuffix("\n") if body.endswith("```") else body), at


def fence(text: str) -> tuple[str, str]:
    """Return the strings around an echo of `text`: a fence if the text begins like one, so that `without_fence` restores it."""
    return ("```\n", "\n```") if text.lstrip().startswith("```") else ("", "")


def in_order(mentions: Sequence[Mention]) -> list[Mention]:
    """Return mentions in the order of the text; in the given order if one has no position."""
    if any(m.start is None for m in mentions):
        return list(mentions)
    return sorted(mentions, key=lambda m: (m.start, len(m.text)))


def inline_spans(text: str, mentions: Sequence[Mention]) -> list[tuple[int, int, str]]:
    """Return the spans (start, end, label) of `mentions` in `text`, sorted; of overlapping ones the longest stays."""
    spans: list[tuple[int, int, str]] = []
    taken: set[int] = set()
    for m in sorted(mentions, key=lambda m: -len(m.text)):
        start = m.start if m.start is not None and text.startswith(m.text, m.start) else text.find(m.text)
        place = range(start, start + len(m.text))
        if m.text and start >= 0 and taken.isdisjoint(place):
            taken.update(place)
            spans.append((start, start + len(m.text), m.label))
    return sorted(spans)


def mention_in(surface: str, label: str, start: int, place: Place) -> list[Found]:
    """Return the mention of a marked `surface` at offset `start`, without blanks at its edges; [] if it is blank."""
    bare = surface.strip()
    return [(Mention(bare, label, start + surface.index(bare)), place)] if bare else []
