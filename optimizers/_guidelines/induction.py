"""Induces annotation conventions from gold mentions: their edges, abbreviations in parentheses, and coordinated names.

A rule is induced only if almost no example contradicts it. It holds for the texts it comes from; the optimizer measures
whether it holds for others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from ner_programs.guidelines import CLASSES, Kind, Rule
from ner_programs.types import Document, Entity

_LISTED = 12  # words in a rule, at most
_HARDLY = 50  # one exception among this many is taken for an annotation error
_SHORT = re.compile(r"\s?\(\s?([^\W\d_](?=[^()]*[A-Z])[^()\s]{1,9})\s?\)")
_WORD_BEFORE, _WORD_BEHIND = re.compile(r"([^\W\d_][\w'-]*)\s+\Z"), re.compile(r"\s+([^\W\d_][\w'-]*)")
_JOINS = re.compile(r"\s*(?:(?<=\s)(and|or)(?=\s)|(/))\s*")
_CLASS_OF = {word: name for name, listed in CLASSES.items() for word in listed}
_Seen = Counter[tuple[Kind, str]]
_OPPOSITE: tuple[frozenset[Kind], ...] = (
    frozenset({"always", "never"}), frozenset({"drop_start", "keep_start"}), frozenset({"drop_end", "keep_end"}),
    frozenset({"drop_after", "keep_after"}), frozenset({"short_apart", "short_inside", "short_out"}),
    frozenset({"join", "split"}),
)  # fmt: skip


def contradict(a: Rule, b: Rule) -> bool:
    """Return whether two rules contradict each other, about the same words or about the same choice."""
    if a.kind == b.kind:
        return a.kind == "always" and a.label != b.label and bool(a.meant & b.meant)
    if not any({a.kind, b.kind} <= kinds for kinds in _OPPOSITE):
        return False
    return bool(a.meant & b.meant) or not (a.meant or b.meant)


def covered(rule: Rule, known: Iterable[Rule]) -> bool:
    """Return whether `known` rules of the same kind cover `rule`."""
    same = [k for k in known if k.kind == rule.kind and k.label in ("", rule.label)]
    return bool(same) and rule.meant <= frozenset().union(*(k.meant for k in same))


def without(rule: Rule, known: Iterable[Rule]) -> Rule | None:
    """Return `rule` without the words that `known` rules cover or contradict; None if nothing is left."""
    if not rule.words:
        return rule
    near = [k for k in known if any({k.kind, rule.kind} <= kinds for kinds in _OPPOSITE)]
    taken = frozenset().union(*(k.meant for k in near))
    left = [w for w in rule.words if w.casefold() not in taken]
    return replace(rule, words=tuple(left)) if left or rule.classes else None


def conventions(documents: Sequence[Document]) -> Iterator[Rule]:
    """Yield the rules that gold mentions follow at their edges, with abbreviations in parentheses, and in lists."""
    seen: _Seen = Counter()
    for one in documents:
        spans = {(e.start, e.end) for e in one.entities}
        for e in one.entities:
            seen.update(_edges(one.text, e.start, e.end))
            seen.update((kind, "") for kind in _short(one.text, e.start, e.end, spans))
        seen.update(_joined(one.text, one.entities))
    edges: list[tuple[Kind, Kind]] = [("drop_start", "keep_start"), ("drop_end", "keep_end")]
    for kinds in edges:
        for name in CLASSES:
            yield from (Rule(kind, classes=(name,)) for kind in _clear(seen, kinds, name))
    if clear := _clear(seen, ("drop_after", "keep_after"), "prepositions"):
        yield Rule(clear[0], classes=("prepositions",))
    else:
        yield from _listed(seen, ("drop_after", "keep_after"), CLASSES["prepositions"])
    yield from map(Rule, _clear(seen, ("short_apart", "short_inside", "short_out"), ""))
    yield from _listed(seen, ("join", "split"), ("and", "or", "/"))


def _clear(seen: _Seen, kinds: Sequence[Kind], name: str) -> list[Kind]:
    """Return the most frequent kind if it was seen at least twice and the others (almost) never; else nothing."""
    most = max(kinds, key=lambda kind: seen[kind, name])
    others = sum(seen[kind, name] for kind in kinds if kind != most)
    return [most] if seen[most, name] > 1 and others * _HARDLY <= seen[most, name] else []


def _listed(seen: _Seen, kinds: Sequence[Kind], words: Sequence[str]) -> Iterator[Rule]:
    clear = [(kind, word) for word in words for kind in _clear(seen, kinds, word)]
    for kind in kinds:
        if of_kind := tuple(word for k, word in clear if k == kind):
            yield Rule(kind, of_kind[:_LISTED])


def _edges(text: str, start: int, end: int) -> Iterator[tuple[Kind, str]]:
    """Yield the word classes inside and outside the edges of a mention; for prepositions, the words as well."""
    parts = [_fold(part) for part in text[start:end].split()]
    before, behind = _WORD_BEFORE.search(text, 0, start), _WORD_BEHIND.match(text, end)
    found: list[tuple[Kind, str]] = [("keep_start", parts[0]), ("keep_end", parts[-1])] if len(parts) > 1 else []
    found += [("keep_after", part) for part in parts[1:-1]]
    found += [("drop_start", _fold(before[1]))] if before else []
    found += [("drop_end", _fold(behind[1])), ("drop_after", _fold(behind[1]))] if behind else []
    for kind, word in found:
        name = _CLASS_OF.get(word, "")
        if (name == "prepositions") == kind.endswith("after"):
            yield kind, name
            if name == "prepositions":
                yield kind, word


def _fold(word: str) -> str:
    """Return a word as the classes list it. A word in capitals ("A", "IN") is a name and stays as it is."""
    return word if word.isupper() else word.casefold()


def _short(text: str, start: int, end: int, spans: set[tuple[int, int]]) -> Iterator[Kind]:
    inside = list(_SHORT.finditer(text, start, end))
    behind = _SHORT.match(text, end)
    if inside and inside[-1].end() == end:
        yield "short_inside"
    elif behind:
        yield "short_apart" if behind.span(1) in spans else "short_out"


def _joined(text: str, gold: Sequence[Entity]) -> Iterator[tuple[Kind, str]]:
    """Yield, for each conjunction, whether it joins names in one mention or splits two mentions of one label."""
    for e in gold:
        for hit in _JOINS.finditer(e.text):
            yield "join", hit[1] or hit[2]
    for a, b in pairwise(gold):
        between = _JOINS.fullmatch(text, a.end, b.start)
        if between and a.label == b.label:
            yield "split", between[1] or between[2]
