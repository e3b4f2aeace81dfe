"""Rules of annotation, done without an LM: from the candidates to what stands where each rule has been followed.

A rule is data (`ner_programs.guidelines.Rule`): `verify = { name = "rules", rules = [{ kind = "never", words = ["NAD"] }] }`.
Boundaries come first, then what is joined or split and abbreviations, then never, then always. All offsets are character
offsets, end exclusive.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ner_programs.alignment.align import align
from ner_programs.errors import ComponentError
from ner_programs.guidelines import Rule, meaning
from ner_programs.stages.verify import Placed, Verification, Verifier, apply
from ner_programs.types import Entity, Label, Verdict
from ner_programs.waiting import Module, Wait

TOLD = 0.9
"""The score of a span that a rule made or changed."""
_SHORT = 5  # strings of at most so many characters without a small letter are matched in their own case
_WORDS_AFTER = 4  # a phrase after a preposition has at most so many words
_LINK = r"(?:(?:and|or|to|-|–)\s+|[/,]\s*)*"  # no two ways to read the same: nothing to backtrack over
_PHRASE_END = re.compile(
    r"(?!(?:and|or|but|is|was|are|were|has|had|have|which|that|who|with|in|on|at|of|for|from|by|to|after|before|during|"
    r"since|when|while|as)\b)[^\W_][\w'-]*",
    re.IGNORECASE,
)
_BLANK = re.compile(r"[^\S\n]+")
_PARENTHESIS = re.compile(r"\s*\(\s*(?=[^()]{0,12}[A-Z])([A-Za-z0-9][\w./+-]{1,9}(?: ?[\w+-]{1,4})?)\s*\)")


@dataclass(frozen=True, slots=True)
class Span:
    """What is marked."""

    start: int
    end: int
    label: str
    score: float | None = None

    def moved(self, start: int, end: int) -> Span:
        """Return the span at another place; where that is the same or none, itself."""
        if (start, end) == (self.start, self.end) or start >= end:
            return self
        return replace(self, start=start, end=end, score=max(self.score or 0.0, TOLD))


class RulesVerifier(Module):
    """Follows rules over the candidates, or over what the verifier `of` leaves of them."""

    def __init__(self, rules: Sequence[Rule], of: Verifier | None) -> None:
        super().__init__()
        self.rules, self.of = tuple(rules), of

    async def steps(
        self, wait: Wait, text: str, knowledge: str, candidates: Sequence[Entity], exclude: Sequence[str] = ()
    ) -> Verification:
        """Decide about the candidates of `text`."""
        said = await wait.call(self.of, text, knowledge, candidates, exclude) if self.of else Verification()
        return self._followed(text, candidates, said)

    def _followed(self, text: str, candidates: Sequence[Entity], said: Verification) -> Verification:
        standing = align(text, apply(candidates, said.verdicts)) if said.verdicts else candidates
        spans = obey(text, [Span(e.start, e.end, e.label, e.score) for e in standing], self.rules)
        before = {Span(e.start, e.end, e.label, e.score) for e in candidates}
        gone = [
            Verdict("reject", n)
            for n, e in enumerate(candidates, 1)
            if Span(e.start, e.end, e.label, e.score) not in spans
        ]
        come = [Placed("add", 0, s.label, text[s.start : s.end], s.score, s.start) for s in spans if s not in before]
        return replace(said, verdicts=(*gone, *come))


def obey(text: str, spans: Sequence[Span], rules: Sequence[Rule]) -> list[Span]:
    """Return the spans of `text` as `rules` want them: sorted, without overlap, none empty."""
    found = list(spans)
    for rule, kept in _in_order(tuple(rules)):
        found = _STEPS[rule.kind](text, found, rule, kept)
    return found


@lru_cache(maxsize=64)
def _in_order(rules: tuple[Rule, ...]) -> tuple[tuple[Rule, tuple[Rule, ...]], ...]:
    """Return the rules in the order of `_STEPS`, each with those that keep where it leaves out."""
    order = list(_STEPS)
    ordered = sorted(rules, key=lambda rule: order.index(rule.kind))
    return tuple(
        (r, tuple(k for k in rules if "drop" in r.kind and k.kind == r.kind.replace("drop", "keep"))) for r in ordered
    )


Kept = tuple[Rule, ...]
Step = Callable[[str, list[Span], Rule, Kept], list[Span]]


@lru_cache(maxsize=1024)
def _pattern(rule: Rule, kept: frozenset[str] = frozenset()) -> re.Pattern[str]:
    """Match what a rule is about, longest first, without the words that are `kept` whatever is left out."""
    listed = {*rule.words, *(w for w in meaning((), rule.classes))}
    left = sorted((w for w in listed if w.casefold() not in kept), key=lambda w: (-len(w), w))
    words = "|".join(map(_literal, left)) or r"(?!)"
    word = rf"(?<![\w-])(?:{words})(?![\w-])"
    return re.compile(
        {
            "drop_start": rf"(?:{word}(?:,?\s+|(?<!\d)/(?=\w)){_LINK})+", "keep_start": rf"(?:{word}\s+)+\Z",
            "drop_end": rf"(?:,?\s+{_LINK}{word})+\Z", "keep_end": rf"(?:\s+{word})+",
            "drop_after": rf"\s+{word}(?=\s)", "keep_after": rf"\s+{word}(?=\s)",
        }.get(rule.kind, rf"\s*(?!\B\w)(?:{words})(?<!\w\B)\s*"),  # a sign may stand against words: "nausea/vomiting"
        re.IGNORECASE,
    )  # fmt: skip


def _literal(word: str) -> str:
    return r"\d+(?:[.,]\d+)*" if word == "0-9" else r"\s+".join(map(re.escape, word.split()))


def _edge(change: Callable[[str, Span, tuple[int, int], re.Pattern[str]], tuple[int, int]]) -> Step:
    """Make a step of what moves one span, given the text, the span, its free room (start, end) and what the rule matches."""

    def step(text: str, spans: list[Span], rule: Rule, keepers: Kept) -> list[Span]:
        found: list[Span] = []
        for i, span in enumerate(spans):
            room = (found[-1].end if found else 0, spans[i + 1].start if i + 1 < len(spans) else len(text))
            if rule.label in ("", span.label):
                kept = meaning([w for r in keepers if r.label in ("", span.label) for w in r.words], ())
                span = span.moved(*change(text, span, room, _pattern(rule, kept)))
            found.append(span)
        return found

    return step


def _drop_start(text: str, span: Span, room: object, words: re.Pattern[str]) -> tuple[int, int]:
    hit = words.match(text, span.start, span.end)
    return (hit.end() if hit and hit.end() < span.end else span.start), span.end


def _drop_end(text: str, span: Span, room: object, words: re.Pattern[str]) -> tuple[int, int]:
    hit = words.search(text[: span.end], span.start)
    return span.start, hit.start() if hit and hit.start() > span.start else span.end


def _keep_start(text: str, span: Span, room: tuple[int, int], words: re.Pattern[str]) -> tuple[int, int]:
    hit = words.search(text[: span.start], max(room[0], span.start - 80))
    return (hit.start() if hit else span.start), span.end


def _keep_end(text: str, span: Span, room: tuple[int, int], words: re.Pattern[str]) -> tuple[int, int]:
    hit = words.match(text, span.end)
    return span.start, hit.end() if hit and hit.end() <= room[1] else span.end


def _drop_after(text: str, span: Span, room: object, words: re.Pattern[str]) -> tuple[int, int]:
    hit = words.search(text, span.start, span.end)
    return span.start, hit.start() if hit else span.end


def _keep_after(text: str, span: Span, room: tuple[int, int], words: re.Pattern[str]) -> tuple[int, int]:
    hit = words.match(text, span.end)
    end = span.end
    at = hit.end() if hit else len(text)
    for _ in range(_WORDS_AFTER):
        blank = _BLANK.match(text, at)
        word = _PHRASE_END.match(text, blank.end()) if blank else None
        if word is None or word.end() > room[1]:
            break
        end = at = word.end()
    return span.start, end


def _join(text: str, spans: list[Span], rule: Rule, kept: Kept) -> list[Span]:
    """Join neighbours of one label with nothing between them but a joining word."""
    between, found = _pattern(rule), list[Span]()
    for span in spans:
        last = found[-1] if found else None
        alike = last is not None and last.label == span.label and rule.label in ("", span.label)
        if last is not None and alike and between.fullmatch(text, last.end, span.start):
            found[-1] = last.moved(last.start, span.end)
        else:
            found.append(span)
    return found


def _split(text: str, spans: list[Span], rule: Rule, kept: Kept) -> list[Span]:
    """Cut spans at joining words that have something on both sides."""
    found: list[Span] = []
    for span in spans:
        start = span.start
        for hit in _pattern(rule).finditer(text, span.start, span.end) if rule.label in ("", span.label) else ():
            if start < hit.start() and hit.end() < span.end:
                found.append(span.moved(start, hit.start()))
                start = hit.end()
        found.append(span.moved(start, span.end))
    return found


def _short(text: str, spans: list[Span], rule: Rule, kept: Kept) -> list[Span]:
    """An abbreviation in parentheses after a mention: apart, inside it, or left out."""
    found: list[Span] = []
    inside = 0  # where the last parenthesis that a rule decided about ends
    for span in spans:
        if span.start < inside:
            continue
        if rule.label not in ("", span.label):
            found.append(span)
            continue
        hit = _PARENTHESIS.match(text, span.end)
        tail = next((m for m in _PARENTHESIS.finditer(text, span.start, span.end) if m.end() == span.end), None)
        if tail is not None and tail.start() > span.start:
            hit, span = tail, span.moved(span.start, tail.start()) if rule.kind != "short_inside" else span
        if hit is None:
            found.append(span)
            continue
        inside = hit.end()
        found.append(span.moved(span.start, hit.end()) if rule.kind == "short_inside" else span)
        if rule.kind == "short_apart":
            found.append(Span(*hit.span(1), span.label, max(span.score or 0.0, TOLD)))
    return found


def _never(text: str, spans: list[Span], rule: Rule, kept: Kept) -> list[Span]:
    """Drop spans that are a listed string as a whole; what only holds one stays."""
    listed = _listed(rule.words)
    return [s for s in spans if rule.label not in ("", s.label) or not listed.fullmatch(text, s.start, s.end)]


def _always(text: str, spans: list[Span], rule: Rule, kept: Kept) -> list[Span]:
    """Mark every whole-word occurrence; a longer span that holds one stays, what else overlaps it goes."""
    found = list(spans)
    for hit in _listed(rule.words).finditer(text):
        start, end = hit.span()
        touching = [s for s in found if s.start < end and start < s.end]
        if any(s.start <= start and end <= s.end and (s.end - s.start > end - start or s.label == rule.label)
               for s in touching):  # fmt: skip
            continue
        found = [s for s in found if s not in touching] + [Span(start, end, rule.label, TOLD)]
    return sorted(found, key=lambda s: s.start)


@lru_cache(maxsize=512)
def _listed(words: tuple[str, ...]) -> re.Pattern[str]:
    """Match any of the strings as whole words, longest first; short ones without a small letter in their own case."""
    exact = [w for w in words if len(w) <= _SHORT and w == w.upper() and w != w.lower()]
    parts = [(w, _literal(w) if w in exact else f"(?i:{_literal(w)})") for w in words]
    return re.compile(rf"(?<!\w)(?:{'|'.join(p for _, p in sorted(parts, key=lambda p: -len(p[0])))})(?!\w)")


_STEPS: dict[str, Step] = {
    "keep_start": _edge(_keep_start), "keep_end": _edge(_keep_end), "keep_after": _edge(_keep_after),
    "drop_after": _edge(_drop_after), "drop_start": _edge(_drop_start), "drop_end": _edge(_drop_end), "join": _join,
    "split": _split, "short_apart": _short, "short_inside": _short, "short_out": _short, "never": _never, "always": _always,
}  # fmt: skip
"""What is done for each kind of rule, in this order."""


def build(
    *, labels: Sequence[Label], inner: Callable[[dict[str, Any]], Verifier], rules: tuple[Rule, ...],
    of: dict[str, Any] | None = None,
) -> RulesVerifier:  # fmt: skip
    """Build it; with `of` another verifier is asked first. Raises ComponentError for a label that the program has not."""
    known = [label.name for label in labels]
    if unknown := [rule.label for rule in rules if rule.label and rule.label not in known]:
        raise ComponentError(f"rules: there is no label {unknown[0]!r}; there are: {', '.join(known)}")
    return RulesVerifier(rules, inner(of) if of else None)
