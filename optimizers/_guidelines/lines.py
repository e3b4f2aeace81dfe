"""Candidate guideline lines, from the gold of train and from the program's cross-fitted errors there.

- "always" lines list strings that train labels (almost) wherever they occur.
- "never" lines list strings that the program predicts and train never labels.
- Boundary lines list words that mentions (almost) always include or exclude at an edge.
- Conventions about abbreviations, lists and word classes come from `induction`.

One document is weak evidence for a string. Strings of one document are listed only if leave-one-out on train shows that
their kind (one word, several words) can be trusted. Rules that correct the errors of an existing system, found by counting on
train, are transformation-based learning (Brill 1995).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from ner_programs.guidelines import Kind, Rule, meaning
from ner_programs.types import Document, Entity
from optimizers._guidelines.induction import contradict, conventions, covered, without

CONSISTENT = 0.8
"""Minimum share of a string's occurrences that are labelled, for an "always" line."""
TRUSTED = 0.6
"""Minimum leave-one-out share of labelled occurrences, for strings that only one document labels."""
LISTED = 100
"""Words in a line, at most."""
_CLEAR, _GROUPS = (
    0.95,
    4,
)  # an edge word: minimum share of mentions that treat it the same way, and minimum number of documents
_SHORT = 5  # a listed string this short and in capitals is matched with its case (docs/rules.md)
_LONGEST = 60  # characters of a listed string, at most
_NEAR = 60  # distance from a predicted mention, in characters, within which a rule that is not a list can apply
_TOKEN = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"[^\W\d_][\w'-]*")
_BEFORE, _BEHIND = re.compile(r"([^\W\d_][\w'-]*)\s+\Z"), re.compile(r"\s+([^\W\d_][\w'-]*)")
_LISTS: tuple[Kind, ...] = ("always", "never")
_EdgeWords = defaultdict[tuple[str, str], Counter[str]]


@dataclass(frozen=True, slots=True)
class Line:
    """A candidate rule, and the family of lines (with the same evidence) that it is tested with."""

    rule: Rule
    family: str


@dataclass(slots=True)
class Uses:
    """How train uses a string: counts by document (group) of labelled uses, with their labels and forms, and of unlabelled."""

    marked: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    otherwise: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """The share of its uses that have its most frequent label."""
        seen = self.labels.total() + self.otherwise.total()
        return max(self.labels.values(), default=0) / seen if seen else 0.0

    def elsewhere(self) -> float | None:
        """Return the leave-one-out share: for each document that labels it, the share labelled elsewhere; then the mean."""
        shares = []
        for group, own in self.marked.items():
            right, wrong = self.marked.total() - own, self.otherwise.total() - self.otherwise[group]
            if right + wrong:
                shares.append(right / (right + wrong))
        return sum(shares) / len(shares) if shares else None


def candidates(
    train: Sequence[Document], answered: Mapping[str, Sequence[Entity]], known: Sequence[Rule] = (), *, words: int = 1500
) -> list[Line]:  # fmt: skip
    """Return the lines that `train` supports, without what `known` rules cover or contradict.

    `answered` maps document ids to the program's cross-fitted entities, for some of the documents. All lists together have at
    most `words` strings. Strings that more documents label come first.
    """
    wrong = {fold(e.text) for d in train for e in set(answered.get(d.id, ())) - set(d.entities)}
    found = uses(train, wrong)
    lines = [Line(rule, f"convention {n}") for n, rule in enumerate(conventions(train))]
    lines += [Line(rule, rule.kind) for rule in _edges(train, answered)]
    lines += _never(found, wrong)
    lines += _always(found, words)
    kept: list[Line] = []
    for line in lines:
        rule = without(line.rule, known)
        there = [*known, *(k.rule for k in kept)]
        if rule and not covered(rule, there) and not any(contradict(rule, other) for other in there):
            kept.append(Line(rule, line.family))
    return kept


def fold(string: str) -> str:
    """Return the form in which lists compare a string: case-folded unless short and in capitals, white space collapsed."""
    plain = " ".join(string.split())
    return plain if len(plain) <= _SHORT and plain == plain.upper() != plain.lower() else plain.casefold()


def uses(documents: Sequence[Document], more: Iterable[str] = ()) -> dict[str, Uses]:
    """Count how `documents` use each string that one of them labels, and each of `more` (folded), as whole words."""
    wanted = {fold(e.text) for d in documents for e in d.entities} | set(more)
    widths: defaultdict[str, set[int]] = defaultdict(set)
    for string in wanted:
        tokens = _TOKEN.findall(string)
        if tokens:
            widths[tokens[0].casefold()].add(len(tokens))
    found: defaultdict[str, Uses] = defaultdict(Uses)
    for d in documents:
        gold = {(e.start, e.end): e.label for e in d.entities}
        for start, end in _places(d.text, widths):
            if (string := fold(d.text[start:end])) not in wanted:
                continue
            use = found[string]
            if label := gold.get((start, end)):
                use.marked[d.group] += 1
                use.labels[label] += 1
                use.forms[" ".join(d.text[start:end].split())] += 1
            elif not any(s <= start and end <= e for s, e in gold):  # not a counterexample inside a longer mention
                use.otherwise[d.group] += 1
    return dict(found)


def _places(text: str, widths: Mapping[str, set[int]]) -> Iterator[tuple[int, int]]:
    """Yield the character offsets of word sequences with the first word and the length of a wanted string."""
    tokens = [(m.start(), m.end(), m[0].casefold()) for m in _TOKEN.finditer(text)]
    for n, (start, _, first) in enumerate(tokens):
        for width in widths.get(first, ()):
            if n + width <= len(tokens):
                yield start, tokens[n + width - 1][1]


def _always(found: Mapping[str, Uses], most: int) -> Iterator[Line]:
    """Yield lists of strings that train labels consistently: first those of several documents, then trusted kinds."""
    trusted: defaultdict[bool, list[float]] = defaultdict(list)
    for string, use in found.items():
        if (share := use.elsewhere()) is not None:
            trusted[" " in string].append(share)
    families: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    ranked = sorted(found.items(), key=lambda item: (-len(item[1].marked), len(_TOKEN.findall(item[0])), item[0]))
    for string, use in ranked:
        kind_shares = trusted[" " in string]
        if len(string) < 2 or use.share < CONSISTENT or not listable(string):
            continue
        if len(use.marked) == 1 and sum(kind_shares) < TRUSTED * len(kind_shares):
            continue
        several = "several words" if " " in string else "one word"
        family = "always, of several documents" if len(use.marked) > 1 else f"always, of one document, {several}"
        families[family, use.labels.most_common(1)[0][0]].append(use.forms.most_common(1)[0][0])
        most -= 1
        if most <= 0:
            break
    for (family, label), strings in families.items():
        yield from (Line(Rule("always", chunk, label), family) for chunk in _chunks(strings))


def _never(found: Mapping[str, Uses], wrong: Iterable[str]) -> Iterator[Line]:
    """Yield lists of strings that the program predicts and train never labels. Strings of one document have their own lists."""
    families: defaultdict[str, list[str]] = defaultdict(list)
    for string in sorted(wrong):
        use = found.get(string)
        if use and not use.labels and len(string) > 1 and listable(string):
            several = len(use.otherwise) > 1
            families[f"never, of {'several documents' if several else 'one document'}"].append(string)
    for family, strings in families.items():
        yield from (Line(Rule("never", chunk), family) for chunk in _chunks(strings))


def _edges(train: Sequence[Document], answered: Mapping[str, Sequence[Entity]]) -> Iterator[Rule]:
    """Yield lists of words that mentions (almost) always include at an edge, and of words that answers wrongly included."""
    inside, outside = _edge_words(train)
    wrong: set[tuple[str, str]] = set()
    for d in train:
        for e in set(answered.get(d.id, ())) - set(d.entities):
            words = e.text.lower().split()
            if len(words) > 1 and _touched(e, d.entities):
                wrong |= {("start", words[0]), ("end", words[-1])}
    for side in ("start", "end"):
        kept = [w for s, w in sorted(inside) if s == side and _clear(inside[s, w], outside[s, w])]
        left = [w for s, w in sorted(wrong) if s == side and _clear(outside[s, w], inside[s, w])]
        for kind, listed in ((f"keep_{side}", kept), (f"drop_{side}", left)):
            for chunk in _chunks(listed):
                yield Rule(kind, chunk)  # type: ignore[arg-type]


def _edge_words(train: Sequence[Document]) -> tuple[_EdgeWords, _EdgeWords]:
    """Count, by side and word, how often the mentions of each document include the word at an edge, and how often not."""
    inside, outside = (defaultdict[tuple[str, str], Counter[str]](Counter) for _ in range(2))
    for d in train:
        for e in d.entities:
            words = e.text.lower().split()
            for side, taken in (("start", words[:-1]), ("end", words[1:])):
                for word in filter(_WORD.fullmatch, taken):
                    inside[side, word][d.group] += 1
            for side, hit in (("start", _BEFORE.search(d.text, 0, e.start)), ("end", _BEHIND.match(d.text, e.end))):
                if hit:
                    outside[side, hit[1].lower()][d.group] += 1
    return inside, outside


def _clear(so: Counter[str], otherwise: Counter[str]) -> bool:
    return len(so) >= _GROUPS and so.total() >= _CLEAR * (so.total() + otherwise.total())


def _chunks(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + LISTED]) for i in range(0, len(words), LISTED)]


def listable(string: str) -> bool:
    """Return whether a line can quote a string."""
    try:
        Rule("never", (string,))
    except ValueError:
        return False
    return len(string) <= _LONGEST and any(map(str.isalnum, string))


def _touched(entity: Entity, others: Iterable[Entity]) -> bool:
    return any(entity.start < o.end and o.start < entity.end for o in others)


# Where a line matters


def matters(rule: Rule, text: str, entities: Iterable[Entity]) -> bool:
    """Return whether a rule can change an answer: a list if the text has one of its strings, others if a mention is near."""
    if rule.kind in _LISTS:
        return bool(_pattern(rule).search(text))
    return any(_pattern(rule).search(text, max(e.start - _NEAR, 0), e.end + _NEAR) for e in entities)


def explains(rule: Rule, text: str, before: Sequence[Entity], after: Sequence[Entity]) -> bool:
    """Return whether a rule explains a change: the entities `before` that went, and the entities `after` that replace them.

    A list explains it if one of its strings occurs in them. A boundary rule explains it if one of its words is in the text
    that an edge gained or lost.
    """
    if rule.kind in _LISTS:
        return any(_pattern(rule).search(text, e.start, e.end) for e in (after if rule.kind == "always" else before))
    pairs = [(b, a) for b in before for a in after if b.start < a.end and a.start < b.end]
    if rule.kind.startswith(("keep", "drop")):
        wide, narrow = (1, 0) if rule.kind.startswith("keep") else (0, 1)
        start = rule.kind.endswith("start")
        edges = [(p[wide].start, p[narrow].start) if start else (p[narrow].end, p[wide].end) for p in pairs]
        return any(_pattern(rule).search(text, max(a - 1, 0), b + 1) for a, b in edges if a < b)
    first, last = min(e.start for e in (*before, *after)), max(e.end for e in (*before, *after))
    return len(before) != len(after) and bool(_pattern(rule).search(text, first, last + _NEAR))


@lru_cache(maxsize=512)
def _pattern(rule: Rule) -> re.Pattern[str]:
    """Match the words of a rule and of its classes as whole words; for a rule about abbreviations, a parenthesis."""
    if rule.kind.startswith("short_"):
        return re.compile(r"\(")
    words = sorted({*rule.words, *meaning((), rule.classes)}, key=lambda w: (-len(w), w))
    return re.compile(rf"(?<!\w)(?:{'|'.join(_word_pattern(w, rule.kind in _LISTS) for w in words)})(?!\w)")


def _word_pattern(word: str, listed: bool) -> str:
    if word == "0-9":
        return r"\d+"
    words = r"\s+".join(map(re.escape, word.split()))
    return words if listed and fold(word) == word != word.lower() else f"(?i:{words})"
