"""Renders a text with its entities as HTML, for notebooks, annotated documents and the errors of a run.

Nested entities are nested marks. If two cross, the later one is cut at the edge of the earlier. The pieces of a discontinuous
entity are marked, and the gaps between them have a dotted underline. Details of an entity (concept, score) are its title, which
browsers show as a tooltip. Nothing is loaded from elsewhere, and everything is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING
from zlib import crc32

from ner_programs.attributes.clinical import ATTRIBUTES, clinical

if TYPE_CHECKING:
    from ner_programs.types import Entity

COLOURS = (
    "#2f6fd0", "#c2571a", "#2e8b57", "#8a4fd0", "#c23a6b", "#8a7000", "#128a96", "#a03a2a", "#5d6b82", "#4f8a10",
)  # fmt: skip
STYLE = """
.nerc .text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2; }
.nerc mark { color: inherit; background: color-mix(in srgb, var(--c) 16%, transparent); border-bottom: 2px solid var(--c);
  border-radius: 2px 2px 0 0; padding: 1px 1px 0; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.nerc mark:has(mark) { padding-bottom: 4px; }
.nerc mark:has(mark mark) { padding-bottom: 8px; }
.nerc mark.negated { text-decoration: line-through 1px; background: none; border-bottom-style: double; }
.nerc mark.negated sub { display: inline-block; text-decoration: none; }
.nerc mark.gap { background: none; border-bottom-style: dotted; }
.nerc sub { font-size: .68em; line-height: 1; vertical-align: baseline; padding: 0 .1em 0 .25em; user-select: none;
  color: color-mix(in srgb, var(--c) 72%, currentColor); }
.nerc .labels { margin: .2rem 0 .4rem; font-size: .85em; }
.nerc .labels mark { margin-right: .9em; white-space: nowrap; }
"""
"""The style of the marks, for light and dark pages."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The pieces `(start, end)` of one entity in a text (characters, end exclusive).

    `label` is written after it, `title` is its tooltip. Its colour is `colour`, or that of the CSS class `kind` (its `--c`).
    """

    fragments: tuple[tuple[int, int], ...]
    label: str
    title: str = ""
    kind: str = ""
    colour: str = ""

    @property
    def opening(self) -> str:
        """The opening HTML tag."""
        attributes = {"class": self.kind, "style": f"--c: {self.colour}" if self.colour else "", "title": self.title}
        given = [f'{name}="{escape(value)}"' for name, value in attributes.items() if value]
        return f"<{' '.join(['mark', *given])}>"


@dataclass(frozen=True, slots=True)
class _Piece:
    """An HTML element: a fragment, or a gap between two. The last fragment of a mark has its `label`."""

    start: int
    end: int
    opening: str
    label: str = ""


def highlighted(text: str, marks: Iterable[Mark]) -> str:
    """Return `text` as HTML with its marks. Marks outside the text are left out."""
    pieces = sorted((p for m in marks for p in _pieces(m, len(text))), key=lambda p: (p.start, -p.end))
    cuts = sorted({0, len(text), *(p.start for p in pieces), *(p.end for p in pieces)})
    html: list[str] = []
    open_: list[_Piece] = []
    coming = iter([*pieces, None])
    following = next(coming)
    for here, after in pairwise([*cuts, len(text)]):
        wanted = [p for p in open_ if p.end > here]
        while following is not None and following.start == here:
            wanted.append(following)
            following = next(coming)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], zip(open_, wanted, strict=False)))
        html += [_closing(p, here) for p in reversed(open_[same:])]
        html += [p.opening for p in wanted[same:]]
        html.append(escape(text[here:after]))
        open_ = wanted
    return "".join(html)


def entity_marks(
    entities: Sequence[Entity], names: Mapping[str, str] | None = None, colours: Mapping[str, str] | None = None
) -> list[Mark]:
    """Return the marks of entities; `names` maps concept ids to names, `colours` maps labels to colours.

    Clinical attributes stand after the label, and what is negated is struck through.
    """
    colours = colours or label_colours(e.label for e in entities)
    return [
        Mark(
            e.fragments, ", ".join([e.label, *(a for a in ATTRIBUTES if a in said)]), about(e, names),
            kind="negated" if "negated" in said else "", colour=colours[e.label],
        )
        for e in entities
        for said in [clinical(e.attributes)]
    ]  # fmt: skip


def about(entity: Entity, names: Mapping[str, str] | None = None) -> str:
    """Describe an entity in one line: label, concept (with its name), score, attributes, offsets."""
    concept = entity.concept or ""
    named = f"{concept} {(names or {}).get(concept, '')}".strip()
    score = "" if entity.score is None else f"score {entity.score:.2f}"
    attributes = ", ".join(f"{k}: {v}" for k, v in entity.attributes.items())
    where = ", ".join(f"{start}–{end}" for start, end in entity.fragments)
    return " · ".join(filter(None, (entity.label, named, score, attributes, where)))


def label_colours(labels: Iterable[str]) -> dict[str, str]:
    """Return a colour for each label: by a hash of the label, and without duplicates while there are enough colours."""
    taken: dict[str, int] = {}
    for label in sorted(set(labels)):
        first = crc32(label.encode())
        places = [(first + n) % len(COLOURS) for n in range(len(COLOURS))]
        taken[label] = next((place for place in places if place not in taken.values()), places[0])
    return {label: COLOURS[place] for label, place in taken.items()}


def legend(entities: Iterable[Entity]) -> str:
    """Return the labels in their colours with their numbers of entities, as HTML."""
    counts = Counter(e.label for e in entities)
    colours = label_colours(counts)
    marks = [f'<mark style="--c: {colours[label]}">{escape(label)} {n:,}</mark>' for label, n in sorted(counts.items())]
    return f'<p class="labels">{" ".join(marks) or "no entities"}</p>'


def notebook_html(text: str, entities: Sequence[Entity], remark: str = "") -> str:
    """Return a text with its entities, a legend above and a remark below, as HTML to embed in another page."""
    below = f"<p>{escape(remark)}</p>" if remark else ""
    marked = highlighted(text, entity_marks(entities))
    return f'<div class="nerc"><style>{STYLE}</style>{legend(entities)}<div class="text">{marked}</div>{below}</div>'


def entity_html(entity: Entity) -> str:
    """Return one entity as HTML without its document: its marked surface and its details."""
    (mark,) = entity_marks([entity])
    surface = f"{mark.opening}{escape(entity.text)}<sub>{escape(mark.label)}</sub></mark>"
    return f'<span class="nerc"><style>{STYLE}</style>{surface} <small>{escape(mark.title)}</small></span>'


def _pieces(mark: Mark, length: int) -> Iterator[_Piece]:
    """Yield the fragments of a mark and the gaps between them, in order; nothing if the mark is not inside the text."""
    ends = [0, *(place for fragment in mark.fragments for place in fragment), length]
    if not mark.fragments or ends != sorted(ends) or any(start == end for start, end in mark.fragments):
        return
    gap = Mark((), "", mark.title, f"{mark.kind} gap".strip(), mark.colour).opening
    for (_, end), (start, _) in pairwise(mark.fragments):
        if end < start:
            yield _Piece(end, start, gap)
    *first, last = mark.fragments
    yield from (_Piece(start, end, mark.opening) for start, end in first)
    yield _Piece(*last, mark.opening, mark.label)


def _closing(piece: _Piece, here: int) -> str:
    """Return the closing HTML of a piece at an offset: its label if it ends there, and the tag."""
    label = f"<sub>{escape(piece.label)}</sub>" if piece.label and piece.end == here else ""
    return f"{label}</mark>"
