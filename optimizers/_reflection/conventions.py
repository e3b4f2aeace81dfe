"""Looks up how the gold of train treats a string elsewhere: how often it is labelled, and which words edges include.

The index is built at the first query, and counts are cached by string. Each query excludes documents (a document, its group,
its kin), so that a statement about a train document never rests on that document.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from ner_programs.demos import Demonstration, plain
from ner_programs.types import Document, learnable

Side = Literal["left", "right"]
WORD = re.compile(r"\w+(?:[-'’]\w+)*")


@dataclass(frozen=True, slots=True)
class Use:
    """How often a string has each label, is inside a longer mention (or overlaps one), and is unlabelled."""

    marked: Mapping[str, int] = field(default_factory=dict)
    inside: int = 0
    unmarked: int = 0

    @property
    def seen(self) -> int:
        """Number of occurrences."""
        return sum(self.marked.values()) + self.inside + self.unmarked


@dataclass(frozen=True, slots=True)
class _Row:
    document: int
    words: list[str]
    spans: dict[tuple[int, int], str]  # first and last word of a mention -> its label


class Conventions:
    """Counts over labelled texts. Words are compared without case."""

    def __init__(self, texts: Iterable[tuple[Collection[str], str, Iterable[tuple[int, int, str]]]]) -> None:
        self._texts = list(texts)
        self._uses: dict[str, Counter[tuple[int, str]]] = {}

    @classmethod
    def of(cls, texts: Iterable[Document | Demonstration]) -> Conventions:
        """Build from train documents or from the program's pool. Raises TypeError for a held-out document."""
        made = []
        for one in texts:
            if isinstance(one, Demonstration):
                made.append(((one.document, one.group), one.text, one.spans))
            else:
                (document,) = learnable([one], "conventions")
                entities = [(e.start, e.end, e.label) for e in document.entities]
                made.append(((document.id, document.group), document.text, entities))
        return cls(made)

    def use(self, string: str, exclude: Collection[str] = (), text: str = "") -> Use:
        """Return how train uses `string`, without the documents and groups in `exclude` and those with the same `text`."""
        words = _words(string)
        key = " ".join(words)
        if key not in self._uses:
            self._uses[key] = self._counted(words) if words else Counter()
        out = self._out(exclude, text)
        marked: Counter[str] = Counter()
        other: Counter[str] = Counter()
        for (document, what), n in self._uses[key].items():
            if document not in out:
                (marked if what[:1] == "=" else other)[what[1:]] += n
        return Use(dict(marked.most_common()), other["inside"], other["unmarked"])

    def edge(self, word: str, side: Side, exclude: Collection[str] = (), text: str = "") -> tuple[int, int]:
        """Return how often mentions include `word` at their `side`, and how often they exclude it.

        At the left, a mention includes the word if more of the mention follows it, and excludes it if the word is directly
        before the mention. At the right, it is the other way round.
        """
        found = self._edges.get((side, word.casefold()), {})
        out = self._out(exclude, text)
        counts = [n for document, n in found.items() if document not in out]
        return sum(n[0] for n in counts), sum(n[1] for n in counts)

    def _out(self, exclude: Collection[str], text: str) -> set[int]:
        out = {document for name in exclude for document in self._kin.get(name, ())}
        return out | self._same.get(plain(text), set()) if text else out

    def _counted(self, words: list[str]) -> Counter[tuple[int, str]]:
        counts: Counter[tuple[int, str]] = Counter()
        rarest = min(words, key=lambda word: len(self._where.get(word, ())))
        at, width = words.index(rarest), len(words)
        for number in self._where.get(rarest, ()):
            row = self._rows[number]
            start = -1
            for _ in range(row.words.count(rarest)):
                start = row.words.index(rarest, start + 1)
                first, last = start - at, start - at + width - 1
                if first >= 0 and row.words[first : last + 1] == words:
                    counts[row.document, _treated(row, first, last)] += 1
        return counts

    @cached_property
    def _rows(self) -> list[_Row]:
        numbers: dict[str, int] = {}
        rows = []
        for (name, *_), text, spans in self._texts:
            found = list(WORD.finditer(text))
            marked = {}
            for start, end, label in spans:
                inside = [i for i, word in enumerate(found) if word.start() < end and start < word.end()]
                if inside:
                    marked[inside[0], inside[-1]] = label
            rows.append(_Row(numbers.setdefault(name, len(numbers)), [w[0].casefold() for w in found], marked))
        return rows

    @cached_property
    def _where(self) -> dict[str, list[int]]:
        where: defaultdict[str, list[int]] = defaultdict(list)
        for number, row in enumerate(self._rows):
            for word in dict.fromkeys(row.words):
                where[word].append(number)
        return dict(where)

    @cached_property
    def _kin(self) -> dict[str, set[int]]:
        kin: defaultdict[str, set[int]] = defaultdict(set)
        for row, (names, _, _) in zip(self._rows, self._texts, strict=True):
            for name in names:
                kin[name].add(row.document)
        return dict(kin)

    @cached_property
    def _same(self) -> dict[str, set[int]]:
        same: defaultdict[str, set[int]] = defaultdict(set)
        for row, (_, text, _) in zip(self._rows, self._texts, strict=True):
            same[plain(text)].add(row.document)
        return dict(same)

    @cached_property
    def _edges(self) -> dict[tuple[Side, str], dict[int, list[int]]]:
        """Map side and word to documents, each with the counts [included, excluded]."""
        edges: defaultdict[tuple[Side, str], defaultdict[int, list[int]]] = defaultdict(
            lambda: defaultdict(lambda: [0, 0])
        )
        for row in self._rows:
            for first, last in row.spans:
                for word in row.words[first:last]:
                    edges["left", word][row.document][0] += 1
                for word in row.words[first + 1 : last + 1]:
                    edges["right", word][row.document][0] += 1
                if first:
                    edges["left", row.words[first - 1]][row.document][1] += 1
                if last + 1 < len(row.words):
                    edges["right", row.words[last + 1]][row.document][1] += 1
        return {key: dict(found) for key, found in edges.items()}


def _words(string: str) -> list[str]:
    return [word.casefold() for word in WORD.findall(string)]


def _treated(row: _Row, first: int, last: int) -> str:
    if (label := row.spans.get((first, last))) is not None:
        return f"={label}"
    return " inside" if any(a <= last and first <= b for a, b in row.spans) else " unmarked"
