"""How an annotation ended: how the LM answered, and what failed and why, without a word of the texts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from experiments.annotate.documents import Annotated
from kb.files import draft_of
from ner_programs.prompts.answers import Answers

SHOWN = 10
"""So many reasons are shown."""
REFUSED = "the LM refused"


class Summary:
    """Counts annotated documents, those that lack an answer (`failed`), and their reasons; `open` ones may get it yet."""

    def __init__(self) -> None:
        self.answers, self.documents, self.failed, self.open = Answers(), 0, 0, 0
        self.reasons = Counter[str]()

    def add(self, one: Annotated) -> None:
        """Count a document."""
        self.answers += one.answers
        self.documents += 1
        self.open += one.open
        if one.failed:
            self.failed += 1
            self.reasons.update(reasons(one))

    def lines(self) -> Iterator[str]:
        """Yield what to tell people: nothing where every answer was simply read."""
        if troubles := self.answers.troubles():
            yield f"the LM's answers: {troubles}; what they would have found is missing (see `answers`)"
        if self.failed:
            yield f"{self.failed:,} of {self.documents:,} documents failed:"
            yield from (f"  {number:,} {why}" for why, number in self.reasons.most_common(SHOWN))
            if (more := len(self.reasons) - SHOWN) > 0:
                yield f"  {more} other reasons"


def reasons(one: Annotated) -> tuple[str, ...]:
    """Return why answers about a document failed."""
    return (*one.reasons, *([REFUSED] if one.answers.refused else []))


def summarized(annotated: Iterable[Annotated], listing: Path) -> Summary:
    """Count documents, and list those that failed in a file of JSON lines, for its owner alone: `{"id", "reasons"}`."""
    summary = Summary()
    with draft_of(listing, 0o600) as draft, draft.open("w", encoding="utf-8") as stream:
        for one in annotated:
            summary.add(one)
            if one.failed:
                stream.write(json.dumps({"id": one.document.id, "reasons": reasons(one)}, ensure_ascii=False) + "\n")
    return summary
