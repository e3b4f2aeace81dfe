"""Annotation rules as data, and their English sentences.

An LM gets the sentence (`render`); the verifier `rules` applies the rule without an LM. No code parses a rule from prose.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

Kind = Literal[
    "always", "never", "drop_start", "drop_end", "drop_after", "keep_start", "keep_end", "keep_after", "short_apart",
    "short_inside", "short_out", "join", "split",
]  # fmt: skip
CLASSES = MappingProxyType[str, tuple[str, ...]]({
    "articles": ("a", "an", "the"),
    "demonstratives": ("this", "that", "these", "those"),
    "possessives": ("my", "your", "his", "her", "its", "our", "their", "patient's", "patients'"),
    "numbers": (
        "0-9", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "several", "multiple",
    ),
    "words of certainty": (
        "apparent", "confirmed", "definite", "known", "likely", "possible", "potential", "presumed", "probable",
        "questionable", "suspected", "unlikely",
    ),
    "words of severity": (
        "extreme", "mild", "moderate", "profound", "serious", "severe", "significant", "slight", "mildly", "moderately",
        "severely", "slightly",
    ),
    "words of side": ("bilateral", "both", "left", "left-sided", "right", "right-sided", "unilateral"),
    "words of time": (
        "current", "early", "former", "intermittent", "late", "long-standing", "longstanding", "new", "new-onset", "old",
        "ongoing", "past", "persistent", "previous", "prior", "recent", "recurrent",
    ),
    "prepositions": (
        "after", "at", "before", "by", "due to", "during", "for", "from", "in", "of", "on", "over", "secondary to",
        "to", "under", "with", "within", "without",
    ),
})  # fmt: skip
"""Word classes that a rule may name instead of single words; "0-9" is any number in digits."""

_AFTER = ("drop_after", "keep_after")
_BOUNDARY = ("drop_start", "drop_end", "keep_start", "keep_end", *_AFTER)
_LISTS = ("always", "never", "join", "split")  # of words only
_SENTENCES = {
    "always": "Always mark {items} as {one}.",
    "never": "Never mark {items}{as_label}.",
    "drop_start": "Leave out {items} at the start of {a}.",
    "drop_end": "Leave out {items} at the end of {a}.",
    "drop_after": "Leave out what follows {items} inside {a}.",
    "keep_start": "Keep {items} at the start of {a}.",
    "keep_end": "Keep {items} at the end of {a}.",
    "keep_after": "Keep what follows {items} inside {a}.",
    "short_apart": "Mark an abbreviation in parentheses as {a} of its own.",
    "short_inside": "Mark an abbreviation in parentheses as part of the {one} before it.",
    "short_out": "Leave out an abbreviation in parentheses after {a}.",
    "join": "Mark names joined by {items} as one {one}.",
    "split": "Mark each of the names joined by {items} as {a} of its own.",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One convention. `words` are strings of the text, `classes` are keys of `CLASSES`, `label` is its label ("": all labels).

    Words and classes are sorted and unique, without words that a class already has; white space in a word is collapsed. Raises
    ValueError for an invalid rule: an unknown kind or class, an empty word, missing or superfluous words for its kind, "always"
    without a label.
    """

    kind: Kind
    words: tuple[str, ...] = ()
    label: str = ""
    classes: tuple[str, ...] = ()
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        words = {" ".join(word.split()) for word in self.words}
        meant = meaning((), self.classes)
        object.__setattr__(self, "words", tuple(sorted(w for w in words if w.casefold() not in meant)))
        object.__setattr__(self, "classes", tuple(sorted(set(self.classes))))
        object.__setattr__(self, "label", " ".join(self.label.split()))
        if self.kind not in get_args(Kind):
            raise ValueError(f"there is no kind of rule {self.kind!r}; there are: {', '.join(get_args(Kind))}")
        if unknown := [name for name in self.classes if name not in CLASSES]:
            raise ValueError(f"there is no class of words {unknown[0]!r}; there are: {', '.join(CLASSES)}")
        if not all(self.words):
            raise ValueError("a word of a rule is not empty")
        if self.kind == "always" and not self.label:
            raise ValueError("what is always marked needs a label")
        allowed = ("prepositions",) if self.kind in _AFTER else tuple(CLASSES) if self.kind in _BOUNDARY else ()
        if bool(self.words or self.classes) != (self.kind in _BOUNDARY + _LISTS) or set(self.classes) - set(allowed):
            raise ValueError(f"a rule of kind {self.kind!r} does not go with these words and classes")

    @property
    def meant(self) -> frozenset[str]:
        """Its words and those of its classes, case-folded."""
        return meaning(self.words, self.classes)


def meaning(words: Sequence[str], classes: Sequence[str]) -> frozenset[str]:
    """Return `words` and the words of `classes`, case-folded."""
    return frozenset(w.casefold() for w in (*words, *(w for name in classes for w in CLASSES.get(name, ()))))


def plain(rule: Rule) -> dict[str, Any]:
    """Return a rule as plain data for a spec, without empty fields."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(rule).items() if v}


def render(rule: Rule) -> str:
    """Return a rule as a sentence, without a line break at the end."""
    one = rule.label or "mention"
    items = [*rule.classes, *(json.dumps(word, ensure_ascii=False) for word in rule.words)]
    joined = "or" if rule.kind in ("never", "join", "split", *_AFTER) else "and"
    return _SENTENCES[rule.kind].format(
        items=f" {joined} ".join(filter(None, [", ".join(items[:-1]), *items[-1:]])),
        one=one, a=f"{'an' if one[:1].lower() in tuple('aeiou') else 'a'} {one}",
        as_label=f" as {rule.label}" if rule.label else "",
    )  # fmt: skip
