"""Guideline lines: what an annotation guideline says in one line of plain English, and what it says to the program.

An instruction may hold such lines (docs/guidelines.md lists them). An LM reads them as English; the offline engine parses
them and obeys; whatever writes instructions renders them here. The law: `parse(render(rule), labels).rules == (rule,)`.
Parsing takes ordinary paraphrases and is shy: a line with a word or a condition that it does not know is no rule, and is
counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, get_args

from ner_programs import _guideline_words
from ner_programs import _plain_english as english
from ner_programs._guideline_grammar import kinds

Kind = Literal[
    "always", "never", "drop_start", "drop_end", "drop_after", "keep_start", "keep_end", "keep_after", "short_apart",
    "short_inside", "short_out", "join", "split", "shortest", "longest",
]  # fmt: skip
CLASSES = MappingProxyType(_guideline_words.CLASSES)
"""What a line may name instead of single words ("articles"), and the words that it then means."""

_BOUNDARY = ("drop_start", "drop_end", "drop_after", "keep_start", "keep_end", "keep_after")
_TAKEN = {"drop_after": ("prepositions",), "keep_after": ("prepositions",)}
_LISTS = ("always", "never", "join", "split")  # of quoted words only
_SENTENCES = {
    "always": "Always mark {items} as {one}.",
    "never": "Never mark {items}.",
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
    "shortest": "Mark the shortest of nested names.",
    "longest": "Mark the longest of nested names.",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One convention. `words` are strings of the text, `classes` names of `CLASSES`, `label` the one it is about ("": all).

    Words and classes are kept sorted, each once, and no word that a class holds; blanks in a word count as one. Raises
    ValueError for what no line can say: an unknown kind or class, a word that is empty or holds every sort of quotation mark,
    no words where the kind needs some or words where it takes none, "always" without a label.
    """

    kind: Kind
    words: tuple[str, ...] = ()
    label: str = ""
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        meant = {word for name in self.classes for word in CLASSES.get(name, ())}
        words = {" ".join(word.split()) for word in self.words}
        object.__setattr__(self, "words", tuple(sorted(w for w in words if w.casefold() not in meant)))
        object.__setattr__(self, "classes", tuple(sorted(set(self.classes))))
        object.__setattr__(self, "label", " ".join(self.label.split()))
        if self.kind not in get_args(Kind):
            raise ValueError(f"there is no kind of rule {self.kind!r}; there are: {', '.join(get_args(Kind))}")
        if unknown := [name for name in self.classes if name not in CLASSES]:
            raise ValueError(f"there is no class of words {unknown[0]!r}; there are: {', '.join(CLASSES)}")
        if not all(map(english.quotable, self.words)):
            raise ValueError("a word of a rule is not empty and leaves one sort of quotation marks unused")
        if self.kind == "always" and not self.label:
            raise ValueError("what is always marked needs a label")
        if bool(self.words or self.classes) != (self.kind in _BOUNDARY + _LISTS) or (
            set(self.classes) - set(_TAKEN.get(self.kind, CLASSES if self.kind in _BOUNDARY else ()))
        ):
            raise ValueError(f"a rule of kind {self.kind!r} does not go with these words and classes")


@dataclass(frozen=True, slots=True)
class Guidelines:
    """The rules of an instruction, how many of its lines say them (`read`), and how many ask for something else (`unread`)."""

    rules: tuple[Rule, ...] = ()
    read: int = 0
    unread: int = 0

    def __bool__(self) -> bool:
        return bool(self.rules)


@lru_cache(maxsize=256)
def parse(instruction: str, labels: tuple[str, ...] = ()) -> Guidelines:
    """Read the guideline lines of an instruction; `labels` are the names of the prompt's labels.

    A line may go on in the next one (as in a Markdown list). It is read when its last sentences are rules and those before
    them, if any, ask for something else; else it is unread if it holds a word that guidelines ask with (mark, keep, leave
    out, ...), and passed over if it does not.
    """
    rules: list[Rule] = []
    read = unread = 0
    for line, trusted in english.lines(instruction):
        found = _rules(line, labels) if trusted else []
        if found:
            rules += found
            read += 1
        elif english.asks(line):
            unread += 1
    return Guidelines(tuple(dict.fromkeys(rules)), read, unread)


def render(rule: Rule) -> str:
    """Write a rule as its canonical line, without a line break at the end."""
    named = _label(rule.label) if rule.label else ""
    one = named or "mention"
    article = "an" if one.strip('"`“')[:1].lower() in tuple("aeiou") else "a"
    said = _SENTENCES[rule.kind].format(items=_list(rule), one=one, a=f"{article} {one}")
    if named and rule.kind in ("never", "shortest", "longest"):
        said = f"{said[:-1]} as {named}."
    return said


def _list(rule: Rule) -> str:
    items = [*rule.classes, *map(english.quoted, rule.words)]
    joined = "or" if rule.kind in ("never", "join", "split", "drop_after", "keep_after") else "and"
    return f" {joined} ".join(filter(None, [", ".join(items[:-1]), items[-1]])) if items else ""


def _label(label: str) -> str:
    """Quote a label that could be taken for a word of the line."""
    return label if english.is_strange(label) else english.quoted(label)


def _rules(line: str, labels: Sequence[str]) -> list[Rule]:
    """Return the rules of a line: of its last sentences, if those before them stand by themselves, else none."""
    rules: list[Rule] = []
    for sentence in english.sentences(line):
        found = next(filter(None, (list(_readings(s, labels)) for s in english.understood(sentence, labels))), None)
        if found:
            rules += found
        elif rules or not english.begins_with_asking(sentence):
            return []
    return rules


def _readings(said: english.Said, labels: Sequence[str]) -> Iterator[Rule]:
    """Yield the rules that one reading of a sentence says: none, one, or one for the start and one for the end."""
    label = said.label or (labels[0] if len(labels) == 1 else "")
    for kind in kinds(said):
        try:
            yield Rule(kind, said.words, label if kind == "always" else said.label, said.classes)  # type: ignore[arg-type]
        except ValueError:
            return
