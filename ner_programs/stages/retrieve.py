"""Stage 1, RetrieveKnowledge: from a text to the knowledge lines of its prompt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import dspy

from kb import Knowledge, Retriever
from ner_programs.prompts.adapter import StageAdapter
from ner_programs.prompts.answers import NO_ANSWERS, Answers
from ner_programs.prompts.asking import ask, ended
from ner_programs.prompts.prompt import render_knowledge
from ner_programs.types import Label
from ner_programs.waiting import Module, Wait

NOTHING = "none"


class SuggestNames(dspy.Signature):
    """List every string of the text that may be a mention of one of the labels below, exactly as it stands there. Rather list
    too many than too few: they will be looked up."""

    text: str = dspy.InputField()
    names: list[str] = dspy.OutputField()


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The knowledge lines of one unit ("" where there are none), and what went wrong when the LM was asked for names."""

    lines: str
    unreadable: int = 0
    unanswered: str = ""
    answers: Answers = NO_ANSWERS


class KnowledgeLines:
    """What the knowledge base says about a text, as lines; needs no LM, and remembers what it was asked.

    `types` maps semantic types of the knowledge base to labels of the spec, or to "" for types that have none of them; a
    type that is a label but for its case maps to it by itself. `size` bounds the lines in characters (about four to a token).
    `only` says which concepts nothing speaks for but certain documents: what comes from these is not told so.
    """

    def __init__(
        self, retriever: Retriever, labels: Sequence[Label], types: Mapping[str, str], size: int = 1500,
        only: Callable[[Collection[str]], frozenset[str]] = lambda exclude: frozenset(),
    ) -> None:  # fmt: skip
        own = {label.name.casefold(): label.name for label in labels}
        self.types = own | {kind.casefold(): label for kind, label in types.items()}
        self.retriever, self.size, self.only = retriever, size, only
        self._render = lru_cache(maxsize=1 << 13)(self._rendered)  # every trial asks the same again

    def __deepcopy__(self, memo: dict[int, Any]) -> KnowledgeLines:
        return self  # nothing here is compiled; copies share what is remembered

    def __call__(
        self, text: str, document: str = "", candidates: Sequence[str] = (), exclude: Collection[str] = ()
    ) -> str:
        """Return the knowledge lines for `text`, "" where there are none; `document` is all of its document.

        What the knowledge base has only from the documents and groups in `exclude` is left out.
        """
        without = self.only(exclude) if exclude else frozenset()
        return self._render(text, document if document != text else "", tuple(candidates), without)

    def items(
        self, text: str, document: str = "", candidates: Sequence[str] = (), without: Collection[str] = ()
    ) -> list[Knowledge]:
        """Return what was retrieved, most relevant first, of concepts whose ids are not in `without`."""
        return self.retriever(text, document, candidates, without)

    def _rendered(self, text: str, document: str, candidates: tuple[str, ...], without: frozenset[str]) -> str:
        return render_knowledge(self.items(text, document, candidates, without), self.types, self.size)


class RetrieveKnowledge(Module):
    """Retrieves the knowledge lines of a unit of text.

    With `labels` the LM is asked first for strings that may be names (`seeds = "lm"`, the first pass of DiRAG), and those of
    them that the knowledge base has are added to what the text itself is found to name. Demonstrations never have such a
    first pass: their lines are `lines(text)`.
    """

    def __init__(self, lines: KnowledgeLines, labels: Sequence[Label] | None = None) -> None:
        super().__init__()
        self.lines = lines
        self.suggest = None if labels is None else dspy.Predict(SuggestNames)
        self.adapter = StageAdapter(Suggestions(), labels or ())

    def __deepcopy__(self, memo: dict[int, Any]) -> RetrieveKnowledge:
        if self.suggest is None:
            return self
        copy = RetrieveKnowledge(self.lines, self.adapter.labels)
        copy.suggest = deepcopy(self.suggest, memo)
        return copy

    async def steps(self, wait: Wait, text: str, document: str = "", exclude: Sequence[str] = ()) -> Retrieval:
        """Return the knowledge for `text`, a unit of `document`, without what only the documents in `exclude` say."""
        if self.suggest is None:
            return Retrieval(self.lines(text, document, (), exclude))
        said = await ask(wait, self.suggest, self.adapter, text=text)
        return Retrieval(self.lines(text, document, said.get("names") or (), exclude), *ended(said))


class Suggestions:
    """One string a line, each after a dash. A line break in a string is a blank; such a string is then found nowhere."""

    def describe(self) -> str:
        """Return the part of the prompt that says how to answer."""
        return f'Write each string on a line of its own, after "- ". Answer {NOTHING} if there is no such string.'

    def schema(self) -> dict[str, Any] | None:
        """Return None: lines have no schema."""
        return None

    def encode(self, fields: Mapping[str, Any]) -> str:
        """Write the answer of a demonstration."""
        return self.write(fields["names"])

    def decode(self, answer: str) -> dict[str, Any]:
        """Read an answer; other lines than those asked for are counted."""
        lines = [line.strip() for line in answer.split("\n")]
        names = [line[2:].strip() for line in lines if line.startswith("- ")]
        odd = sum(not line.startswith("- ") and line not in ("", "-", NOTHING) for line in lines)
        return {"names": list(dict.fromkeys(filter(None, names))), "unreadable": odd}

    def write(self, names: Iterable[str]) -> str:
        """Write strings."""
        return "\n".join(f"- {' '.join(name.split())}" for name in names if name.strip()) or NOTHING
