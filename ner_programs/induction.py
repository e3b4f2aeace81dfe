"""Guideline lines that follow from texts with their right mentions: what these have in common, and what was answered wrong.

A line is induced only where no text shown, or hardly any, speaks against it. It holds for those texts; whether it holds
for others is what the optimizer that asked for it measures.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ner_programs.guidelines import CLASSES, Kind, Rule
from ner_programs.types import Entity

Marked = tuple[Entity, ...]

_LISTED = 12  # words in a line, at most
_HARDLY = 50  # one exception among so many is taken for a slip of the annotator
_TRIED = 100  # strings that are looked for in every text, at most
_LENGTH = 60  # characters of a word that is listed
_SHORT = re.compile(r"\s?\(\s?([^\W\d_](?=[^()]*[A-Z])[^()\s]{1,9})\s?\)")
_WORD_BEFORE, _WORD_BEHIND = re.compile(r"([^\W\d_][\w'-]*)\s+\Z"), re.compile(r"\s+([^\W\d_][\w'-]*)")
_JOINS = re.compile(r"\s*(?:(?<=\s)(and|or)(?=\s)|(/))\s*")
_CLASS_OF = {word: name for name, listed in CLASSES.items() for word in listed}
_Seen = Counter[tuple[Kind, str]]
_OPPOSITE: tuple[frozenset[Kind], ...] = (
    frozenset({"always", "never"}), frozenset({"drop_start", "keep_start"}), frozenset({"drop_end", "keep_end"}),
    frozenset({"drop_after", "keep_after"}), frozenset({"short_apart", "short_inside", "short_out"}),
    frozenset({"join", "split"}), frozenset({"shortest", "longest"}),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """A text with its right entities and with those that a program answered; `said` is None where none are shown."""

    text: str
    gold: Marked
    said: Marked | None = None


def induce(shown: Sequence[Shown]) -> list[Rule]:
    """Return the lines that `shown` supports and (hardly) nothing in it speaks against, mended faults first."""
    found: list[Rule] = []
    for rule in [*_faults(shown), *_always(shown), *conventions(shown)]:
        if not said_already(rule, found) and not any(contradict(rule, other) for other in found):
            found.append(rule)
    return found


def means(rule: Rule) -> frozenset[str]:
    """Return the words that a rule is about, those of its classes among them."""
    return frozenset(w.casefold() for w in (*rule.words, *(w for name in rule.classes for w in CLASSES[name])))


def contradict(a: Rule, b: Rule) -> bool:
    """Say whether two rules ask for opposite things: of the same words, or of the same choice."""
    if a.kind == b.kind:
        return a.kind == "always" and a.label != b.label and bool(means(a) & means(b))
    if not any({a.kind, b.kind} <= kinds for kinds in _OPPOSITE):
        return False
    return bool(means(a) & means(b)) or not (means(a) or means(b))


def said_already(rule: Rule, known: Iterable[Rule]) -> bool:
    """Say whether `known` rules of the same kind cover `rule`."""
    same = [k for k in known if k.kind == rule.kind and k.label in ("", rule.label)]
    return bool(same) and means(rule) <= frozenset().union(*map(means, same))


def without(rule: Rule, known: Iterable[Rule]) -> Rule | None:
    """Return a rule without the words about which `known` rules say the same or the opposite; None if nothing is left."""
    if not rule.words:
        return rule
    near = [k for k in known if any({k.kind, rule.kind} <= kinds for kinds in _OPPOSITE)]
    taken = frozenset().union(*map(means, near))
    left = [w for w in rule.words if w.casefold() not in taken]
    return replace(rule, words=tuple(left)) if left or rule.classes else None


def _rule(kind: Kind, words: Iterable[str] = (), label: str = "", classes: Sequence[str] = ()) -> Rule | None:
    """Make a rule of the words that a line can say; None where there are none."""
    kept = []
    for word in words:
        try:
            Rule("never", (word,))
        except ValueError:
            continue
        if len(word) <= _LENGTH and any(map(str.isalnum, word)):
            kept.append(word)
    try:
        return Rule(kind, tuple(kept[:_LISTED]), label, tuple(classes))
    except ValueError:
        return None


def _spans(marked: Marked) -> set[tuple[int, int]]:
    return {(e.start, e.end) for e in marked}


def _unmarked(word: str, shown: Sequence[Shown]) -> bool:
    """Say whether a text has `word` outside every right mention."""
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
    for one in shown:
        for hit in pattern.finditer(one.text):
            if all(hit.end() <= e.start or e.end <= hit.start() for e in one.gold):
                return True
    return False


def _faults(shown: Sequence[Shown]) -> Iterator[Rule]:
    """Mend what was answered: strings that are no mentions, mentions missed, words too many or too few at an edge."""
    golden = {e.text.casefold() for one in shown for e in one.gold}
    wrong: Counter[str] = Counter()
    missed: defaultdict[str, Counter[str]] = defaultdict(Counter)
    edges: defaultdict[Kind, Counter[str]] = defaultdict(Counter)
    for one in shown:
        gold, said = _spans(one.gold), _spans(one.said or ())
        for e in one.said or ():
            beside = [g for g in one.gold if g.start < e.end and e.start < g.end]
            if not beside and e.text.casefold() not in golden:
                wrong[e.text] += 1
            elif len(beside) == 1 and (e.start, e.end) not in gold:
                for kind, word in _edge(one.text, (e.start, e.end), (beside[0].start, beside[0].end)):
                    edges[kind][word] += 1
        for g in one.gold if one.said is not None else ():
            if (g.start, g.end) not in said and all(e <= g.start or g.end <= s for s, e in said) and len(g.text) > 2:
                missed[g.label][g.text] += 1
    yield from filter(None, [_rule("never", [w for w, _ in wrong.most_common()])] if wrong else [])
    for label, words in sorted(missed.items()):
        sure = [w for w, _ in words.most_common() if not _unmarked(w, shown)]
        yield from filter(None, [_rule("always", sure, label)])
    for kind, words in sorted(edges.items()):
        opposite: Kind = kind.replace("drop", "keep") if "drop" in kind else kind.replace("keep", "drop")  # type: ignore[assignment]
        yield from filter(None, [_rule(kind, [w for w, n in words.most_common() if n > edges[opposite][w]])])


def _edge(text: str, said: tuple[int, int], gold: tuple[int, int]) -> Iterator[tuple[Kind, str]]:
    """Yield the words by which an answer is longer or shorter than the mention it meant, where these are one or two."""
    for at, kinds in ((0, ("drop_start", "keep_start")), (1, ("drop_end", "keep_end"))):
        start, end = sorted((said[at], gold[at]))
        words = text[start:end].split()
        longer = said[at] < gold[at] if at == 0 else said[at] > gold[at]
        if 0 < len(words) <= 2 and "".join(words).isalpha():
            for word in words:
                yield kinds[0 if longer else 1], word.lower()  # type: ignore[misc]


def _always(shown: Sequence[Shown]) -> Iterator[Rule]:
    """List what two texts or more mark, under one label, and none leaves unmarked."""
    texts: defaultdict[str, set[str]] = defaultdict(set)
    forms: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for one in shown:
        for e in one.gold:
            texts[e.text.casefold()].add(one.text)
            forms[e.text.casefold()][e.label, e.text] += 1
    words: defaultdict[str, list[str]] = defaultdict(list)
    often = [key for key in texts if len(texts[key]) > 1 and len({label for label, _ in forms[key]}) == 1]
    for key in sorted(often, key=lambda key: (-len(texts[key]), key))[:_TRIED]:
        (label, word), _ = forms[key].most_common(1)[0]
        if len(word) > 2 and not _unmarked(word, shown):
            words[label].append(word)
    for label, sure in sorted(words.items()):
        yield from filter(None, [_rule("always", sure, label)])


def conventions(shown: Sequence[Shown]) -> Iterator[Rule]:
    """Yield what all right mentions do at their edges, with abbreviations in parentheses and with lists."""
    seen: _Seen = Counter()
    for one in shown:
        spans = _spans(one.gold)
        for e in one.gold:
            seen.update(_edges(one.text, e.start, e.end))
            seen.update((kind, "") for kind in _short(one.text, e.start, e.end, spans))
        seen.update(_joined(one.text, one.gold))
    edges: list[tuple[Kind, Kind]] = [("drop_start", "keep_start"), ("drop_end", "keep_end")]
    for kinds in edges:
        for name in CLASSES:
            yield from filter(None, [_rule(kind, classes=[name]) for kind in _clear(seen, kinds, name)])
    if clear := _clear(seen, ("drop_after", "keep_after"), "prepositions"):
        yield from filter(None, [_rule(clear[0], classes=["prepositions"])])
    else:
        yield from _listed(seen, ("drop_after", "keep_after"), CLASSES["prepositions"])
    yield from map(Rule, _clear(seen, ("short_apart", "short_inside", "short_out"), ""))
    yield from _listed(seen, ("join", "split"), ("and", "or", "/"))


def _clear(seen: _Seen, kinds: Sequence[Kind], name: str) -> list[Kind]:
    """Return the one kind that was seen, if it was seen twice at least and the others never, or hardly ever."""
    most = max(kinds, key=lambda kind: seen[kind, name])
    others = sum(seen[kind, name] for kind in kinds if kind != most)
    return [most] if seen[most, name] > 1 and others * _HARDLY <= seen[most, name] else []


def _listed(seen: _Seen, kinds: Sequence[Kind], words: Sequence[str]) -> Iterator[Rule]:
    clear = [(kind, word) for word in words for kind in _clear(seen, kinds, word)]
    for kind in kinds:
        if of_kind := tuple(word for k, word in clear if k == kind):
            yield Rule(kind, of_kind[:_LISTED])


def _edges(text: str, start: int, end: int) -> Iterator[tuple[Kind, str]]:
    """Yield the classes of the words at the edges of a mention, inside and outside; of prepositions the words as well."""
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
    """Return a word as the classes list it; one in capitals ("A", "IN") is a name."""
    return word if word.isupper() else word.casefold()


def _short(text: str, start: int, end: int, spans: set[tuple[int, int]]) -> Iterator[Kind]:
    inside = list(_SHORT.finditer(text, start, end))
    behind = _SHORT.match(text, end)
    if inside and inside[-1].end() == end:
        yield "short_inside"
    elif behind:
        yield "short_apart" if behind.span(1) in spans else "short_out"


def _joined(text: str, gold: Marked) -> Iterator[tuple[Kind, str]]:
    """Yield how words that join names are treated: inside a mention, or between two of one label."""
    for e in gold:
        for hit in _JOINS.finditer(e.text):
            yield "join", hit[1] or hit[2]
    for a, b in pairwise(gold):
        between = _JOINS.fullmatch(text, a.end, b.start)
        if between and a.label == b.label:
            yield "split", between[1] or between[2]
