"""How the offline engine obeys guideline lines: from the spans it would answer, by the rules, to those that it answers.

All offsets are character offsets, end exclusive. An explicit rule wins over what the demonstrations taught: boundaries
first, then what is joined or split and abbreviations, then never, then always.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from ner_programs.guidelines import CLASSES, Guidelines, Rule
from ner_programs.lms._crf import Hint, Span

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


def obey(text: str, spans: Sequence[Span], guidelines: Guidelines, hints: Sequence[Hint] = ()) -> list[Span]:
    """Return the spans of `text` as `guidelines` want them: sorted, without overlap, none empty.

    `hints` are what the prompt's knowledge names in the text: the only other spans that "longest" and "shortest" know of.
    """
    found = list(spans)
    for rule, keepers in _in_order(guidelines.rules):
        found = _STEPS[rule.kind](text, found, rule, hints, keepers)
    return found


@lru_cache(maxsize=64)
def _in_order(rules: tuple[Rule, ...]) -> tuple[tuple[Rule, tuple[Rule, ...]], ...]:
    """Return the rules in the order of `_STEPS`, each with those that keep where it leaves out."""
    order = list(_STEPS)
    ordered = sorted(rules, key=lambda rule: order.index(rule.kind))
    return tuple(
        (r, tuple(k for k in rules if "drop" in r.kind and k.kind == r.kind.replace("drop", "keep"))) for r in ordered
    )


def _kept(keepers: tuple[Rule, ...], label: str) -> frozenset[str]:
    """Return the quoted words that are kept in mentions of `label`, whatever is left out: a keeper wins."""
    return (
        frozenset(w.casefold() for r in keepers if r.label in ("", label) for w in r.words) if keepers else frozenset()
    )


@lru_cache(maxsize=512)
def _words(rule: Rule, kept: frozenset[str] = frozenset()) -> str:
    """Return the pattern of any word of a rule, longest first."""
    listed = [*rule.words, *(w for name in rule.classes for w in CLASSES[name] if w not in rule.words)]
    listed = [w for w in listed if w.casefold() not in kept]
    return "|".join(_literal(w) for w in sorted(listed, key=len, reverse=True)) or r"(?!)"


def _literal(word: str) -> str:
    return r"\d+(?:[.,]\d+)*" if word == "0-9" else r"\s+".join(map(re.escape, word.split()))


@lru_cache(maxsize=1024)
def _pattern(kind: str, words: str) -> re.Pattern[str]:
    word = rf"(?<![\w-])(?:{words})(?![\w-])"
    return re.compile(
        {
            "drop_start": rf"(?:{word}(?:,?\s+|(?<!\d)/(?=\w)){_LINK})+", "keep_start": rf"(?:{word}\s+)+\Z",
            "drop_end": rf"(?:,?\s+{_LINK}{word})+\Z", "keep_end": rf"(?:\s+{word})+",
            "drop_after": rf"\s+{word}(?=\s)", "keep_after": rf"\s+{word}(?=\s)",
            "join": rf"\s*(?!\B\w)(?:{words})(?<!\w\B)\s*",  # a sign may stand against words: "nausea/vomiting"
        }[kind],
        re.IGNORECASE,
    )  # fmt: skip


Step = Callable[[str, list[Span], Rule, Sequence[Hint], tuple[Rule, ...]], list[Span]]


def _each(change: Callable[..., tuple[int, int]]) -> Step:
    """Make a step of what changes one span: given the text, the span, its free room (start, end), the rule and the rest."""

    def step(text: str, spans: list[Span], rule: Rule, hints: Sequence[Hint], keepers: tuple[Rule, ...]) -> list[Span]:
        found: list[Span] = []
        for i, span in enumerate(spans):
            room = (found[-1].end if found else 0, spans[i + 1].start if i + 1 < len(spans) else len(text))
            if rule.label in ("", span.label):
                span = _moved(span, *change(text, span, room, rule, hints, _kept(keepers, span.label)))
            found.append(span)
        return found

    return step


def _moved(span: Span, start: int, end: int) -> Span:
    if (start, end) == (span.start, span.end) or start >= end:
        return span
    return replace(span, start=start, end=end, score=max(span.score, TOLD))


def _drop_start(
    text: str, span: Span, room: object, rule: Rule, hints: object, kept: frozenset[str]
) -> tuple[int, int]:
    hit = _pattern("drop_start", _words(rule, kept)).match(text, span.start, span.end)
    return (hit.end() if hit and hit.end() < span.end else span.start), span.end


def _drop_end(text: str, span: Span, room: object, rule: Rule, hints: object, kept: frozenset[str]) -> tuple[int, int]:
    hit = _pattern("drop_end", _words(rule, kept)).search(text[: span.end], span.start)
    return span.start, hit.start() if hit and hit.start() > span.start else span.end


def _keep_start(text: str, span: Span, room: tuple[int, int], rule: Rule, *_: object) -> tuple[int, int]:
    hit = _pattern("keep_start", _words(rule)).search(text[: span.start], max(room[0], span.start - 80))
    return (hit.start() if hit else span.start), span.end


def _keep_end(text: str, span: Span, room: tuple[int, int], rule: Rule, *_: object) -> tuple[int, int]:
    hit = _pattern("keep_end", _words(rule)).match(text, span.end)
    return span.start, hit.end() if hit and hit.end() <= room[1] else span.end


def _drop_after(
    text: str, span: Span, room: object, rule: Rule, hints: object, kept: frozenset[str]
) -> tuple[int, int]:
    hit = _pattern("drop_after", _words(rule, kept)).search(text, span.start, span.end)
    return span.start, hit.start() if hit else span.end


def _keep_after(text: str, span: Span, room: tuple[int, int], rule: Rule, *_: object) -> tuple[int, int]:
    hit = _pattern("keep_after", _words(rule)).match(text, span.end)
    end = span.end
    at = hit.end() if hit else len(text)
    for _n in range(_WORDS_AFTER):
        blank = _BLANK.match(text, at)
        word = _PHRASE_END.match(text, blank.end()) if blank else None
        if word is None or word.end() > room[1]:
            break
        end = at = word.end()
    return span.start, end


def _nested(
    text: str, span: Span, room: tuple[int, int], rule: Rule, hints: Sequence[Hint], *_: object
) -> tuple[int, int]:
    """Take the longest (shortest) hint of the same label that holds (lies in) the span."""
    there = [(h.start, h.end) for h in hints if h.label == span.label and not h.denied]
    if rule.kind == "longest":
        there = [s for s in there if room[0] <= s[0] <= span.start and span.end <= s[1] <= room[1]]
        return max(there, key=lambda s: s[1] - s[0], default=(span.start, span.end))
    there = [s for s in there if span.start <= s[0] and s[1] <= span.end]
    return min(there, key=lambda s: s[1] - s[0], default=(span.start, span.end))


def _join(text: str, spans: list[Span], rule: Rule, *_: object) -> list[Span]:
    """Join neighbours of one label with nothing between them but a joining word."""
    between, found = _pattern("join", _words(rule)), list[Span]()
    for span in spans:
        last = found[-1] if found else None
        alike = last is not None and last.label == span.label and rule.label in ("", span.label)
        if last is not None and alike and between.fullmatch(text, last.end, span.start):
            found[-1] = _moved(last, last.start, span.end)
        else:
            found.append(span)
    return found


def _split(text: str, spans: list[Span], rule: Rule, *_: object) -> list[Span]:
    """Cut spans at joining words that have something on both sides."""
    found: list[Span] = []
    for span in spans:
        start = span.start
        if rule.label in ("", span.label):
            for hit in _pattern("join", _words(rule)).finditer(text, span.start, span.end):
                if start < hit.start() and hit.end() < span.end:
                    found.append(_moved(span, start, hit.start()))
                    start = hit.end()
        found.append(_moved(span, start, span.end))
    return found


def _short(text: str, spans: list[Span], rule: Rule, *_: object) -> list[Span]:
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
            hit, span = tail, _moved(span, span.start, tail.start()) if rule.kind != "short_inside" else span
        if hit is None:
            found.append(span)
            continue
        inside = hit.end()
        if rule.kind == "short_inside":
            span = _moved(span, span.start, hit.end())
        found.append(span)
        if rule.kind == "short_apart":
            found.append(Span(*hit.span(1), span.label, max(span.score, TOLD)))
    return found


def _never(text: str, spans: list[Span], rule: Rule, *_: object) -> list[Span]:
    """Drop spans that are a listed string as a whole; what only holds one stays."""
    listed = _listed(rule.words)
    return [s for s in spans if rule.label not in ("", s.label) or not listed.fullmatch(text, s.start, s.end)]


def _always(text: str, spans: list[Span], rule: Rule, *_: object) -> list[Span]:
    """Mark every whole-word occurrence; a longer span that holds one stays, what else overlaps it goes."""
    found = list(spans)
    for hit in _listed(rule.words).finditer(text):
        start, end = hit.span()
        touching = [s for s in found if s.start < end and start < s.end]
        if any(s.start <= start and end <= s.end and (s.start, s.end) != (start, end) for s in touching):
            continue
        if touching == [s for s in touching if (s.start, s.end, s.label) == (start, end, rule.label)] != []:
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
    "longest": _each(_nested), "shortest": _each(_nested), "keep_start": _each(_keep_start), "keep_end": _each(_keep_end),
    "keep_after": _each(_keep_after), "drop_after": _each(_drop_after), "drop_start": _each(_drop_start),
    "drop_end": _each(_drop_end), "join": _join, "split": _split, "short_apart": _short, "short_inside": _short,
    "short_out": _short, "never": _never, "always": _always,
}  # fmt: skip
"""What is done for each kind of rule, in this order."""
