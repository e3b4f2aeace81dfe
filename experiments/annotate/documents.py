"""A bundle over new documents: text in, entities with offsets out, one document at a time."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from experiments.corpora import jsonl
from ner_programs.batch import run
from ner_programs.errors import NercError
from ner_programs.lms.pace import STOPPED
from ner_programs.program import NERProgram
from ner_programs.prompts.answers import NO_ANSWERS, Answers
from ner_programs.types import Document

NO_DOCUMENT = Document("", "")
FILTERED = "content_filter"
"""The code of an answer, or a prompt, that the provider's filter withholds: asking again changes nothing."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """A document with the entities that were found, how the LM's answers about it ended, and why some failed."""

    document: Document = field(repr=False)
    answers: Answers = NO_ANSWERS
    reasons: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether an answer about it was not given."""
        return self.answers.failed > 0

    @property
    def open(self) -> bool:
        """Whether an answer about it failed that may be given another time: not where the LM, or a filter, refused it."""
        return self.answers.unanswered > 0 and not (self.reasons and all(FILTERED in why for why in self.reasons))

    @property
    def unread(self) -> int:
        """How many answers about it were not simply read."""
        return sum(self.answers.as_dict().values()) - self.answers.read

    @property
    def doubtful(self) -> float:
        """How many entities are expected to be wrong: one less its score for each, one half where it has none."""
        return sum(0.5 if e.score is None else 1 - e.score for e in self.document.entities)


def by_doubt(annotated: Sequence[Annotated]) -> list[Annotated]:
    """Return the documents in which something is doubtful, the most useful to look at first.

    That is by how many entities are expected to be wrong, and one for each answer that could not be read. A score of `fuse` is
    low where its two readers disagree.
    """

    def doubt(one: Annotated) -> float:
        return one.unread + one.doubtful

    return sorted((a for a in annotated if doubt(a) > 0), key=doubt, reverse=True)


def annotate(
    program: NERProgram, documents: Iterable[Document], take: Callable[[Annotated], None], tick: Callable[[], None],
    stopped: Callable[[], bool] = lambda: False,
) -> None:  # fmt: skip
    """Annotate documents one after another, as they are read; `take` is given each, in their order.

    A document that fails is given without entities, and the others go on. Once the LM has `stopped` answering all others are
    given at once, as failed. Raises the NercError of a document that none can escape: no key, a host that may not be asked.
    """
    left = iter(documents)
    run(_annotate(program, left, take, tick, stopped))
    for document in left:
        take(Annotated(replace(document, entities=()), Answers.of("unanswered"), (STOPPED,)))
        tick()


async def _annotate(
    program: NERProgram, left: Iterator[Document], take: Callable[[Annotated], None], tick: Callable[[], None],
    stopped: Callable[[], bool],
) -> None:  # fmt: skip
    begun: deque[Document] = deque()

    def texts() -> Iterator[str]:
        while not stopped() and (document := next(left, None)) is not None:
            begun.append(document)
            yield document.text

    async for found in program.abatch(texts(), progress=tick):
        if isinstance(found.error, NercError):
            raise found.error
        ended = found.answers if found.error is None else Answers.of("unanswered")
        take(Annotated(replace(begun.popleft(), entities=tuple(found.entities)), ended, found.reasons))


def line(one: Annotated) -> str:
    """Return an annotated document as a JSON line.

    Where an answer was not simply read it says so, and why: `"answers": {"unanswered": 1}, "reasons": ["Timeout"]`.
    """
    ended: dict[str, Any] = {}
    if one.answers.troubles():
        ended["answers"] = {how: n for how, n in one.answers.as_dict().items() if n}
    if one.reasons:
        ended["reasons"] = list(one.reasons)
    return json.dumps(jsonl.dump(one.document) | ended, ensure_ascii=False) + "\n"


def finished(file: Path) -> Iterator[Annotated]:
    """Read annotated documents again from a file of such lines."""
    with file.open(encoding="utf-8") as stream:
        for document, text in zip(jsonl.read(file), stream, strict=True):
            yield ended(text, document)


def ended(line: str | bytes, document: Document = NO_DOCUMENT) -> Annotated:
    """Read again from such a line how the answers about a document ended."""
    row = json.loads(line)
    return Annotated(document, Answers(**row.get("answers", {})), tuple(row.get("reasons", ())))
