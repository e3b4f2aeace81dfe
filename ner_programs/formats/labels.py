"""Recognises the spec's labels in a model's spelling."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from ner_programs.types import Label

_BETWEEN = re.compile(r"[,;/|]| and | or ")
_BEFORE = re.compile(r"\s*(?:(?:entity\s*)?(?:label|type|class|category)\s*[:=]|[BIESLU][-_])\s*", re.IGNORECASE)


class Labels:
    """Recognises a label with another case, blanks, signs or grammatical number, or as the first known one of a list."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self.labels = tuple(labels)
        self.names = tuple(label.name for label in labels)
        self._spelled = {_plain(name): name for name in reversed(self.names)}
        self._numbered: dict[str, set[str]] = {}
        for name in self.names:
            for form in _forms(_plain(name)):
                self._numbered.setdefault(form, set()).add(name)

    def recognise(self, said: str) -> str | None:
        """Return the spec's spelling of the label in the answer's `said`, or None."""
        if said in self.names:
            return said
        if len(said) > 200:
            return None
        bare = _BEFORE.sub("", said, count=1) if _BEFORE.match(said) else said
        pieces = [said, bare, *(_BETWEEN.split(bare) if _BETWEEN.search(bare) else ())]
        return next((name for piece in pieces if (name := self._meant(_plain(piece)))), None)

    def _meant(self, plain: str) -> str | None:
        if plain in self._spelled:
            return self._spelled[plain]
        meant = {name for form in _forms(plain) for name in self._numbered.get(form, ())}
        return meant.pop() if len(meant) == 1 else None


def _plain(label: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", label).casefold() if c.isalnum())


def _forms(word: str) -> Iterator[str]:
    """Yield a word and its possible singulars."""
    yield word
    if len(word) < 4 or not word.endswith("s") or word.endswith("ss"):
        return
    yield word[:-1]
    if word.endswith("es"):
        yield word[:-2]
        yield word[:-2] + "is"
    if word.endswith("ies"):
        yield word[:-3] + "y"
