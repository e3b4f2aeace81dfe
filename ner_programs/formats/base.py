"""What a format is: a way to write the mentions of a text as an answer, and to read an answer back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from ner_programs.prompts.likelihood import Place
from ner_programs.types import Mention

Said = TypeVar("Said")
Found = tuple[Mention, Place]


class Reading(list[Said], Generic[Said]):
    """What could be read from an answer (mentions, or verdicts); `unreadable` counts the pieces that could not.

    `places` says for each where it is written: offsets into the answer, surface and label between them where the form has
    both in one place. A form that does not say has none, and its entities no score. `echo` is the text that the answer
    repeats; None of a form that repeats none.
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
        """Build a reading from pairs of what was read and where it is written."""
        return cls((said for said, _ in found), unreadable, (place for _, place in found), echo)

    def items(self, as_fields: Callable[[Said], dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what was read as plain data, with the `place` of each where it is known."""
        places = [{"place": place} for place in self.places] or [{} for _ in self]
        return [as_fields(said) | place for said, place in zip(self, places, strict=True)]


@runtime_checkable
class Format(Protocol):
    """How mentions are written: pure text in, pure text out.

    The law: `align(text, read(write(text, mentions)))` are the entities that `mentions` came from; list formats keep it
    only up to which occurrence of a surface was meant. `read` never raises: what it cannot read it counts.
    """

    def describe(self) -> str:
        """Return the part of the prompt that says how to answer."""

    def write(self, text: str, mentions: Sequence[Mention]) -> str:
        """Write the answer for `text`; inline formats need `Mention.start` and keep only non-overlapping mentions."""

    def read(self, answer: str) -> Reading[Mention]:
        """Read an answer, tolerantly; labels are returned as the spec spells them."""

    def schema(self) -> dict[str, Any] | None:
        """Return a JSON schema of the answer for providers that can enforce one, else None."""

    def grammar(self, text: str) -> str | None:
        """Return a GBNF grammar of the answers about `text` for backends that can enforce one, else None.

        It accepts `write(text, mentions)` for flat mentions whose edges are edges of words, and every answer that it
        accepts can be read and aligned.
        """


def without_fence(answer: str) -> tuple[str, int]:
    """Return the content of a Markdown code fence around the whole answer, or the answer itself, and where it begins."""
    stripped, at = answer.strip(), len(answer) - len(answer.lstrip())
    if not stripped.startswith("```"):
        return answer, 0
    opening, newline, body = stripped.partition("\n")
    if not newline:
        return stripped.strip("`"), at + len(stripped) - len(stripped.lstrip("`"))
    at += len(opening) + 1
    return (body.removesuffix("```").removesuffix("\n") if body.endswith("```") else body), at


def fence(text: str) -> tuple[str, str]:
    """Return what stands around an echo of `text`, so that `without_fence` gives it back: a fence if it begins like one."""
    return ("```\n", "\n```") if text.lstrip().startswith("```") else ("", "")


def in_order(mentions: Sequence[Mention]) -> list[Mention]:
    """Return mentions in the order of the text; as they are where one does not know its place (a list that was answered)."""
    if any(m.start is None for m in mentions):
        return list(mentions)
    return sorted(mentions, key=lambda m: (m.start, len(m.text)))


def inline_spans(text: str, mentions: Sequence[Mention]) -> list[tuple[int, int, str]]:
    """Return the spans (start, end, label) of `mentions` in `text`, sorted, overlaps dropped, longest first kept."""
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
    """Return the mention that a marked `surface` at offset `start` is, without blanks at its edges; none if it is blank."""
    bare = surface.strip()
    return [(Mention(bare, label, start + surface.index(bare)), place)] if bare else []
